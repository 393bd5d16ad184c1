import test from 'ava'
import { Wal } from 'varve'
import { closedAfter, contents, freshDir, freshWal } from '../support/directory.ts'

test('the marker is stored in every new segment, whatever makes it', async (t) => {
  const dir = freshDir(t)
  const log = closedAfter(t, Wal.openSync(dir, { marker: 0xffffffff, segmentSize: 65_536 }))
  for (let i = 0; i < 1000; i++) log.append(Buffer.alloc(200))
  log.rotate()
  log.append('x')
  log.truncateAfter(500)
  log.append('y')
  t.true(log.segments().length > 2)
  t.deepEqual([...new Set(log.segments().map(({ marker }) => marker))], [0xffffffff])
  await log.close()
  const again = closedAfter(t, Wal.openSync(dir))
  t.deepEqual([...new Set(again.segments().map(({ marker }) => marker))], [0xffffffff])
  again.reset(0)
})

test('on an existing log a marker concerns new segments only', async (t) => {
  const dir = freshDir(t)
  for (const marker of [undefined, 7, 9]) {
    const log = Wal.openSync(dir, marker === undefined ? {} : { marker })
    log.append('x')
    log.rotate()
    log.append('y')
    await log.close()
  }
  const log = closedAfter(t, Wal.openSync(dir))
  t.deepEqual(log.segments().map(({ marker }) => marker), [0, 0, 7, 9])
})

test('validateMarker is asked for each mark that is stored, but 0, and a new log asks nothing', async (t) => {
  const dir = freshDir(t)
  const asked: number[] = []
  const validateMarker = (marker: number): boolean => {
    asked.push(marker)
    return true
  }
  closedAfter(t, Wal.openSync(dir, { marker: 7, validateMarker })).append('x')
  t.deepEqual(asked, [])
  for (const marker of [7, 8, 0]) {
    const log = closedAfter(t, Wal.openSync(freshDir(t)))
    log.closeSync()
    void marker
  }
  const other = freshDir(t)
  for (const marker of [7, 8]) {
    const log = Wal.openSync(other, { marker })
    log.append('x')
    log.rotate()
    log.append('x')
    log.closeSync()
  }
  const log = closedAfter(t, await Wal.open(other, { validateMarker }))
  t.deepEqual([...new Set(asked)].sort(), [7, 8])
  t.is(log.nextIndex, 4)
})

test('a mark that is refused is VARVE_CONFLICT with the path, before anything has happened', async (t) => {
  const dir = freshDir(t)
  const log = Wal.openSync(dir, { marker: 7 })
  log.append('x')
  await log.close()
  const before = contents(dir)
  const validateMarker = (marker: number): boolean => marker === 8
  const error = t.throws(() => Wal.openSync(dir, { validateMarker }), { code: 'VARVE_CONFLICT', message: /7/ })
  t.is((error as { path?: string }).path, dir)
  await t.throwsAsync(Wal.open(dir, { validateMarker, marker: 8, segmentSize: 1 << 20 }), { code: 'VARVE_CONFLICT' })
  t.deepEqual(contents(dir), before)
  // Nothing is held.
  closedAfter(t, Wal.openSync(dir, { validateMarker: (marker) => marker === 7 }))
})

test('a validateMarker that throws fails the open with what it threw, and nothing is held', async (t) => {
  const dir = freshDir(t)
  const log = Wal.openSync(dir, { marker: 7 })
  log.append('x')
  await log.close()
  const validateMarker = (): boolean => {
    throw new Error('mine')
  }
  t.throws(() => Wal.openSync(dir, { validateMarker }), { message: 'mine' })
  await t.throwsAsync(Wal.open(dir, { validateMarker }), { message: 'mine' })
  t.is(closedAfter(t, Wal.openSync(dir)).nextIndex, 1)
})

test('an open log is asked for its marks, too, by a second handle', (t) => {
  const log = freshWal(t, { marker: 7 })
  log.append('x')
  t.throws(() => Wal.openSync(log.dir, { validateMarker: () => false }), { code: 'VARVE_CONFLICT' })
  t.is(closedAfter(t, Wal.openSync(log.dir, { validateMarker: (marker) => marker === 7 })).nextIndex, 1)
})

test('a directory that is not there has no marks: the open says what it always says', async (t) => {
  const dir = `${freshDir(t)}/none`
  const validateMarker = (): boolean => false
  t.throws(() => Wal.openSync(dir, { create: false, validateMarker }), { code: 'VARVE_IO' })
  t.is(closedAfter(t, Wal.openSync(dir, { validateMarker })).nextIndex, 0)
})
