import { existsSync, statSync } from 'node:fs'
import { isAbsolute } from 'node:path'
import test from 'ava'
import { Wal } from 'varve'
import { closedAfter, freshDir, freshWal, segments as files } from '../support/directory.ts'
import { soon } from '../support/soon.ts'

test('segments() lists every segment in order, with what is in it', async (t) => {
  const before = Date.now()
  const log = freshWal(t, { segmentSize: 65_536, firstIndex: 10, marker: 5 })
  for (let i = 0; i < 1500; i++) log.append(`record ${i}`.padEnd(150))
  await log.sync()
  const list = log.segments()
  t.true(list.length > 3)
  t.deepEqual(list.map(({ path }) => path), files(log.dir))
  let next = 10
  for (const [i, segment] of list.entries()) {
    t.deepEqual(Object.keys(segment).sort(), ['bytes', 'capacity', 'createdAt', 'entries', 'firstIndex', 'id', 'marker', 'modifiedAt', 'nextIndex', 'path', 'pendingDeletion', 'references', 'sealed'])
    t.true(isAbsolute(segment.path))
    t.is(segment.firstIndex, next)
    t.is(segment.entries, segment.nextIndex - segment.firstIndex)
    next = segment.nextIndex
    t.is(segment.sealed, i < list.length - 1)
    t.is(segment.marker, 5)
    t.is(segment.references, 0)
    t.false(segment.pendingDeletion)
    t.is(statSync(segment.path).size, segment.capacity)
    t.true(segment.bytes > 150 * segment.entries && segment.bytes <= segment.capacity)
    t.true(segment.createdAt >= before - 1 && segment.createdAt <= Date.now() + 1)
    t.true(segment.modifiedAt >= segment.createdAt && segment.modifiedAt <= Date.now() + 1)
    if (i > 0) t.true(segment.id > list[i - 1]!.id)
  }
  t.is(next, log.nextIndex)
  t.is(log.stats().segments, list.length)
})

test('segments() after a reopen says the same', async (t) => {
  const dir = freshDir(t)
  const log = closedAfter(t, Wal.openSync(dir, { segmentSize: 65_536 }))
  for (let i = 0; i < 1000; i++) log.append(`record ${i}`.padEnd(150))
  log.truncateAfter(800)
  log.truncateBefore(300)
  log.append('x')
  await log.sync()
  const pick = (of: Wal) => of.segments().map(({ id, firstIndex, nextIndex, entries, sealed, pendingDeletion }) => ({ id, firstIndex, nextIndex, entries, sealed, pendingDeletion }))
  const before = pick(log)
  t.is(before.at(-1)!.nextIndex, 802)
  await log.close()
  const again = closedAfter(t, Wal.openSync(dir))
  t.deepEqual(pick(again), before)
})

test('modifiedAt of a sealed segment is there after a reopen', async (t) => {
  const dir = freshDir(t)
  const log = closedAfter(t, Wal.openSync(dir))
  log.append('x')
  log.rotate()
  log.append('y')
  await log.sync()
  const [sealed] = log.segments()
  await log.close()
  const [again] = closedAfter(t, Wal.openSync(dir)).segments()
  t.is(again!.createdAt, sealed!.createdAt)
  t.true(Math.abs(again!.modifiedAt - sealed!.modifiedAt) < 1000)
})

test('truncateBefore takes whole segments out of the log, and their files from the disk with the next sync', async (t) => {
  const log = freshWal(t, { segmentSize: 65_536 })
  for (let i = 0; i < 2000; i++) log.append(`record ${i}`.padEnd(150))
  await log.sync()
  const before = log.segments()
  const middle = before[3]!
  log.truncateBefore(middle.firstIndex + 1)
  const live = log.segments().filter(({ pendingDeletion }) => !pendingDeletion)
  t.is(live[0]!.id, middle.id)
  await log.sync()
  t.true(await soon(() => files(log.dir).length === live.length))
  t.deepEqual(files(log.dir), live.map(({ path }) => path))
  for (const { path } of before.slice(0, 3)) t.true(await soon(() => !existsSync(path)))
  t.true(await soon(() => log.segments().length === live.length))
  t.deepEqual(log.segments().map(({ id }) => id), live.map(({ id }) => id))
})

test('disk space comes back: what truncation at both ends drops is no more on the disk', async (t) => {
  const log = freshWal(t, { segmentSize: 1 << 20 })
  const used = (): number => files(log.dir).reduce((sum, path) => sum + statSync(path).blocks * 512, 0)
  for (let i = 0; i < 8000; i++) log.append(Buffer.alloc(1000, i))
  await log.sync()
  t.true(used() > 8_000_000)
  log.truncateBefore(7000)
  await log.sync()
  t.true(await soon(() => used() < 5_000_000), String(used()))
  log.truncateAfter(7010)
  await log.sync()
  await log.close()
  t.true(await soon(() => used() < 2_500_000), String(used()))
})

test('a log of several thousand small segments is written, retired, reopened and read at every place', async (t) => {
  t.timeout(120_000)
  const dir = freshDir(t)
  const log = closedAfter(t, Wal.openSync(dir, { segmentSize: 65_536, retention: { maxSegments: 2500 } }))
  const count = 3000
  for (let i = 0; i < count; i++) {
    log.append(`record ${i}`)
    log.rotate()
  }
  await log.sync()
  await log.enforceRetention()
  t.is(log.stats().segments, 2500)
  t.is(log.firstIndex, count + 1 - 2500)
  const check = (of: Wal): void => {
    let next = of.firstIndex
    for (const { index, data } of of.records()) {
      if (index !== next || data.toString() !== `record ${index}`) t.fail(`${index}: ${data}`)
      next++
    }
    t.is(next, count)
    for (let i = 0; i < 2000; i++) {
      const index = of.firstIndex + ((i * 7919) % (count - of.firstIndex))
      if (of.get(index)?.toString() !== `record ${index}`) t.fail(`get(${index})`)
      if (i % 10 === 0 && of.get(index, { zeroCopy: true })?.toString() !== `record ${index}`) t.fail(`view of ${index}`)
    }
  }
  check(log)
  await log.close()
  t.true(await soon(() => files(dir).length === 2500))
  const again = closedAfter(t, Wal.openSync(dir))
  check(again)
  again.truncateBefore(count - 10)
  await again.sync()
  t.true(await soon(() => files(dir).length === 11))
  t.is([...again.records()].length, 10)
})
