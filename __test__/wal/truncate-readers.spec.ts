import { setImmediate } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { Wal } from 'varve'
import { freshWal, texts } from '../support/directory.ts'

const outOfRange = { code: 'VARVE_OUT_OF_RANGE' }
const busy = { code: 'VARVE_BUSY' }

const fill = (log: Wal, count: number, what = 'record'): void => {
  log.appendBatch(Array.from({ length: count }, (_, i) => `${what} ${log.nextIndex + i}`))
}

/** A log of `count` records over several segments. */
function longWal(t: ExecutionContext, count = 2000): Wal {
  const log = freshWal(t, { segmentSize: 65_536 })
  for (let i = 0; i < count; i++) log.append(`record ${i}`.padEnd(150))
  t.true(log.segments().length > 3)
  return log
}

test('VARVE_BUSY: a reader that has returned a later record stands in the way, and nothing happens', async (t) => {
  const log = freshWal(t)
  fill(log, 10)
  const reader = log.reader()
  for (let i = 0; i <= 6; i++) reader.advance()
  t.is(reader.index, 6)
  for (const index of [-1, 0, 5]) {
    t.throws(() => log.truncateAfter(index), { ...busy, message: /6/ })
    await t.throwsAsync(log.truncateAfterAsync(index), busy)
  }
  t.is(log.nextIndex, 10)
  t.is(texts(log).length, 10)
  // The last that it has returned may stay the last.
  log.truncateAfter(6)
  t.false(reader.advance())
  log.append('seven')
  t.true(reader.advance())
  t.is(reader.data().toString(), 'seven')
  reader.close()
  log.truncateAfter(-1)
  t.is(log.nextIndex, 0)
})

test('VARVE_BUSY is only for what was returned: what a reader has read ahead is not', (t) => {
  const log = freshWal(t)
  fill(log, 200)
  using reader = log.reader()
  const records = log.records()
  // Both have the whole of it in memory after one step.
  t.true(reader.advance())
  t.is(records.next().value.index, 0)
  log.truncateAfter(2)
  fill(log, 3, 'other')
  const seen: string[] = []
  while (reader.advance()) seen.push(`${reader.index} ${reader.data()}`)
  const expected = ['1 record 1', '2 record 2', '3 other 3', '4 other 4', '5 other 5']
  t.deepEqual(seen, expected)
  t.deepEqual(Array.from({ [Symbol.iterator]: () => records }, ({ index, data }) => `${index} ${data}`), expected)
})

test('VARVE_BUSY goes by each iterator: records() until it is done or left, recordsAsync() likewise', async (t) => {
  const log = freshWal(t)
  fill(log, 10)
  const records = log.records()
  for (let i = 0; i < 5; i++) records.next()
  t.throws(() => log.truncateAfter(3), busy)
  records.return!()
  log.truncateAfter(8)
  const whole = [...log.records()]
  t.is(whole.length, 9)
  log.truncateAfter(7)
  for (const { index } of log.records()) {
    if (index === 6) t.throws(() => log.truncateAfter(5), busy)
    if (index === 6) break
  }
  log.truncateAfter(5)
  const ahead = log.recordsAsync()
  for (let i = 0; i < 3; i++) await ahead.next()
  t.throws(() => log.truncateAfter(1), busy)
  log.truncateAfter(3)
  await ahead.return!()
  log.truncateAfter(0)
  const all: number[] = []
  for await (const { index } of log.recordsAsync()) all.push(index)
  t.deepEqual(all, [0])
  log.truncateAfter(-1)
  t.is(log.nextIndex, 0)
})

test('a reader that has gone back by seek, or has not begun, stands in no way', (t) => {
  const log = freshWal(t)
  fill(log, 10)
  using reader = log.reader({ from: 9 })
  reader.advance()
  t.throws(() => log.truncateAfter(5), busy)
  reader.seek(9)
  log.truncateAfter(8)
  t.false(reader.advance())
  reader.seek(2)
  log.truncateAfter(1)
  t.false(reader.advance())
  log.append('other')
  t.true(reader.advance())
  t.is(reader.data().toString(), 'other')
})

test('a waiting tail blocks nothing; one that has returned what is cut is overtaken, and throws VARVE_OUT_OF_RANGE', async (t) => {
  const log = freshWal(t)
  fill(log, 10)
  const tail = log.tail({ from: 8 })
  t.is((await tail.next()).value!.index, 8)
  t.is((await tail.next()).value!.index, 9)
  const waiting = tail.next()
  await setImmediate()
  log.truncateAfter(4)
  await t.throwsAsync(waiting, outOfRange)
  t.true((await tail.next()).done)
})

test('a tail that stands at or before the cut goes on with the records that come instead', async (t) => {
  const log = freshWal(t)
  fill(log, 10)
  const tail = log.tail()
  for (let i = 0; i < 5; i++) await tail.next()
  log.truncateAfter(4)
  const waiting = tail.next()
  await setImmediate()
  log.append('other 5')
  t.deepEqual({ ...(await waiting).value! }, { index: 5, data: Buffer.from('other 5') })
  const next = tail.next()
  await setImmediate()
  log.truncateAfter(5)
  log.append('other 6')
  t.is((await next).value!.data.toString(), 'other 6')
  await tail.return!()
})

test('far behind, what a tail has read ahead and was cut is never returned', async (t) => {
  const log = freshWal(t, { segmentSize: 1 << 20 })
  fill(log, 10_000)
  const tail = log.tail()
  for (let i = 0; i < 100; i++) t.is((await tail.next()).value!.index, i)
  log.truncateAfter(149)
  fill(log, 5000, 'other')
  for (let i = 100; i < 5150; i++) {
    const { index, data } = (await tail.next()).value!
    if (index !== i || data.toString() !== `${i < 150 ? 'record' : 'other'} ${i}`) t.fail(`${index}: ${data}, where ${i} should come`)
  }
  await tail.return!()
})

test('a reader that stands past the cut without having returned anything is overtaken, and stays so until it is put elsewhere', (t) => {
  const log = freshWal(t)
  fill(log, 10)
  using reader = log.reader({ from: 8 })
  log.truncateAfter(4)
  fill(log, 10, 'other')
  for (let i = 0; i < 3; i++) t.throws(() => reader.advance(), outOfRange)
  reader.seek(5)
  t.true(reader.advance())
  t.is(reader.data().toString(), 'other 5')
})

test('truncateBefore overtakes readers: VARVE_OUT_OF_RANGE at the next step and at each after it, never a hop', async (t) => {
  const log = longWal(t)
  using reader = log.reader()
  const records = log.records()
  const ahead = log.recordsAsync()
  const tail = log.tail()
  for (let i = 0; i < 3; i++) {
    reader.advance()
    records.next()
    await ahead.next()
    await tail.next()
  }
  log.truncateBefore(1000)
  for (let i = 0; i < 3; i++) t.throws(() => reader.advance(), outOfRange)
  t.throws(() => records.next(), outOfRange)
  t.true(records.next().done)
  await t.throwsAsync(ahead.next(), outOfRange)
  await t.throwsAsync(tail.next(), outOfRange)
  t.true((await tail.next()).done)
  reader.seek(1000)
  t.true(reader.advance())
  t.is(reader.index, 1000)
})

test('truncateBefore up to where a reader stands lets it go on', async (t) => {
  const log = longWal(t)
  using reader = log.reader({ from: 500 })
  const records = log.records({ from: 500 })
  for (let i = 500; i < 1000; i++) {
    reader.advance()
    records.next()
  }
  log.truncateBefore(1000)
  t.true(reader.advance())
  t.is(reader.index, 1000)
  t.is(records.next().value.index, 1000)
  await log.sync()
  let next = 1001
  while (reader.advance()) t.is(reader.index, next++)
  t.is(next, 2000)
})

test('readers of a handle that has been closed stand in no way', async (t) => {
  const log = freshWal(t)
  fill(log, 200)
  const other = Wal.openSync(log.dir)
  const reader = other.reader()
  for (let i = 0; i < 100; i++) reader.advance()
  const records = other.records()
  for (let i = 0; i < 100; i++) records.next()
  t.throws(() => log.truncateAfter(3), busy)
  await other.close()
  log.truncateAfter(3)
  t.throws(() => reader.advance(), { code: 'VARVE_CLOSED' })
  t.is(log.nextIndex, 4)
})
