import { setImmediate } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { Wal } from 'varve'
import { closedAfter, freshDir, freshWal, segments, texts } from '../support/directory.ts'
import { soon } from '../support/soon.ts'
import { thread } from '../support/thread.ts'

const fill = (log: Wal, count: number, what = 'record'): void => {
  log.appendBatch(Array.from({ length: count }, (_, i) => `${what} ${log.nextIndex + i}`))
}

const empty = (t: ExecutionContext, log: Wal, at: number): void => {
  t.is(log.firstIndex, at)
  t.is(log.nextIndex, at)
  t.is(log.stats().entries, 0)
  t.deepEqual(texts(log), [])
  for (const index of [0, 5, at - 1, at, at + 1]) if (index >= 0 && index <= Number.MAX_SAFE_INTEGER) t.is(log.get(index), undefined)
}

for (const to of [0, 1, 5, 20, 21, 1000, 2 ** 32 + 1, 2 ** 50]) {
  test(`reset(${to}) drops every record, and the next one gets that index, also after a reopen`, async (t) => {
    const dir = freshDir(t)
    const log = closedAfter(t, Wal.openSync(dir, { firstIndex: 5 }))
    fill(log, 15)
    log.commit(10)
    log.reset(to)
    empty(t, log, to)
    t.true(log.durableIndex <= to)
    await log.close()
    t.is((await Wal.check(dir)).entries, 0)
    const again = closedAfter(t, Wal.openSync(dir))
    empty(t, again, to)
    t.is(again.append('first'), to)
    t.is(again.append('second'), to + 1)
    t.is(await again.sync(), to + 2)
    await again.close()
    const last = closedAfter(t, Wal.openSync(dir, { verify: true }))
    t.is(last.firstIndex, to)
    t.deepEqual(texts(last), ['first', 'second'])
  })
}

test('reset of an empty log, and several after one another', async (t) => {
  const dir = freshDir(t)
  const log = closedAfter(t, Wal.openSync(dir))
  log.reset(10)
  empty(t, log, 10)
  log.reset(3)
  log.reset(7)
  empty(t, log, 7)
  fill(log, 2)
  log.reset(7)
  empty(t, log, 7)
  await log.close()
  empty(t, closedAfter(t, Wal.openSync(dir)), 7)
})

test('reset gives the disk back: its old segments are gone after the next sync', async (t) => {
  const log = freshWal(t, { segmentSize: 65_536 })
  for (let i = 0; i < 2000; i++) log.append(Buffer.alloc(200, i))
  const before = segments(log.dir)
  t.true(before.length > 4)
  log.reset(0)
  await log.sync()
  t.true(await soon(() => segments(log.dir).length === 1))
  t.false(before.includes(segments(log.dir)[0]!))
  t.true(await soon(() => log.segments().length === 1))
  t.deepEqual(log.segments().map(({ entries, firstIndex, sealed }) => ({ entries, firstIndex, sealed })), [{ entries: 0, firstIndex: 0, sealed: false }])
})

test('the commit mark is reset, too', async (t) => {
  const dir = freshDir(t)
  const log = closedAfter(t, Wal.openSync(dir, { commitGate: true }))
  fill(log, 10)
  log.commit(8)
  log.reset(4)
  t.is(log.committedIndex, 3)
  fill(log, 3)
  t.deepEqual(texts(log), [])
  log.commit(5)
  await log.close()
  t.is(closedAfter(t, Wal.openSync(dir, { commitGate: true })).committedIndex, 5)
})

test('readers and tails are overtaken by a reset: VARVE_OUT_OF_RANGE, in this thread and in others, never a hop', async (t) => {
  const log = freshWal(t)
  fill(log, 300)
  const other = thread(t)
  await other.run('state.log = Wal.openSync(args); state.reader = state.log.reader(); state.reader.advance(); state.tail = state.log.tail({ from: "end" }); state.next = state.tail.next(); state.next.catch(() => {})', log.dir)
  const records = log.records()
  records.next()
  using reader = log.reader()
  for (let i = 0; i < 100; i++) reader.advance()
  const tail = log.tail({ from: 'end' })
  const waiting = tail.next()
  await setImmediate()
  log.reset(1000)
  fill(log, 10)
  const outOfRange = { code: 'VARVE_OUT_OF_RANGE' }
  t.throws(() => records.next(), outOfRange)
  for (let i = 0; i < 3; i++) t.throws(() => reader.advance(), outOfRange)
  await t.throwsAsync(waiting, outOfRange)
  for (let i = 0; i < 2; i++) await t.throwsAsync(other.run('state.reader.advance()'), outOfRange)
  await t.throwsAsync(other.run('await state.next'), outOfRange)
  reader.seek(1000)
  t.true(reader.advance())
})

test('past the last index that a log can have, reset is refused', async (t) => {
  const log = freshWal(t)
  fill(log, 3)
  t.throws(() => log.reset(2 ** 53), { instanceOf: RangeError, code: 'VARVE_INVALID_ARGUMENT' })
  t.is(log.nextIndex, 3)
  const last = Number.MAX_SAFE_INTEGER
  try {
    log.reset(last)
    t.is(log.nextIndex, last)
  } catch (error) {
    t.is((error as { code: string }).code, 'VARVE_OUT_OF_RANGE')
    t.is(log.nextIndex, 3)
  }
  // Whatever is accepted, no index is made that JavaScript could not tell from another.
  for (let i = 0; i < 3; i++) {
    try {
      t.true(Number.isSafeInteger(log.append('x')))
    } catch (error) {
      t.true(['VARVE_OUT_OF_RANGE', 'VARVE_TOO_LARGE'].includes((error as { code: string }).code), String(error))
    }
  }
  t.true(Number.isSafeInteger(log.nextIndex) || log.nextIndex === 2 ** 53)
})

test('a reset under appends of another thread: no record is lost but those before it', async (t) => {
  const log = freshWal(t, { segmentSize: 65_536 })
  const other = thread(t)
  const appending = other.run<number>(`
    const log = Wal.openSync(args)
    for (let i = 0; i < 3000; i++) { log.append('w' + i); if (i % 100 === 0) await new Promise(setImmediate) }
    await log.close()
    return log.dir.length`, log.dir)
  for (let i = 1; i <= 10; i++) {
    log.reset(i * 100_000)
    t.is(log.firstIndex, i * 100_000)
    await setImmediate()
  }
  await appending
  const left = texts(log)
  t.is(log.nextIndex - log.firstIndex, left.length)
  left.forEach((text, i) => t.is(text, `w${3000 - left.length + i}`))
})
