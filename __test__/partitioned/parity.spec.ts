// Behaviour that the storage of streambus has a test for, and that no other test here is about: see docs/parity/streambus.md.
import { setImmediate } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { PartitionedLog, type PartitionedLogOptions, type Retention } from 'varve'
import { closedAfter, freshDir } from '../support/directory.ts'
import { soon } from '../support/soon.ts'
import { freshPartitions, textOf, values } from './opened.ts'

const nothing = { segments: 0, entries: 0, bytes: 0 }
const HOUR = 3_600_000

/** A log of two partitions, the first with `ages` of its messages in hours, oldest first; opened with rules. */
async function aged(t: ExecutionContext, ages: readonly number[], retention?: Retention, options: PartitionedLogOptions = {}): Promise<PartitionedLog> {
  const dir = freshDir(t)
  const now = Date.now()
  const made = await PartitionedLog.open(dir, { partitions: 2, segmentSize: 65_536 })
  for (const [i, age] of ages.entries()) made.append(`${i}`.padEnd(500), null, { partition: 0, time: now - age * HOUR })
  await made.close()
  return closedAfter(t, await PartitionedLog.open(dir, { ...options, ...(retention === undefined ? {} : { retention }) }))
}

const starts = (log: PartitionedLog): number[] => log.logs.map(({ startOffset }) => startOffset)

for (const [what, retention, ages, start] of [
  ['the older ones', { maxAgeMs: 2 * HOUR }, [5, 4, 3, 1, 0], 3],
  ['none: all are young', { maxAgeMs: 9 * HOUR }, [5, 4, 3, 1, 0], 0],
  ['all: all are old', { maxAgeMs: HOUR / 2 }, [5, 4, 3, 1], 4],
  ['none: there is no rule', {}, [5, 4, 3, 1, 0], 0],
  ['none: an empty log', { maxAgeMs: 1, maxMessages: 0, maxBytes: 0 }, [], 0],
  ['by number', { maxMessages: 2 }, [5, 4, 3, 1, 0], 3],
  ['none: there are not so many', { maxMessages: 9 }, [5, 4, 3, 1, 0], 0],
  ['none: they do not take so much', { maxBytes: 1e9 }, [5, 4, 3, 1, 0], 0],
  ['by age and number, where age says more', { maxAgeMs: 2 * HOUR, maxMessages: 4 }, [5, 4, 3, 1, 0], 3],
  ['by age and number, where number says more', { maxAgeMs: 2 * HOUR, maxMessages: 1 }, [5, 4, 3, 1, 0], 4],
] as const) {
  test(`retention takes ${what}: ${JSON.stringify(retention)}, and the rest is read and goes on, also after a reopen`, async (t) => {
    const log = await aged(t, ages, retention)
    const removed = await log.enforceRetention()
    t.like(removed, { entries: start, partitions: 2 })
    t.like(await log.enforceRetention(), { ...nothing, partitions: 2 })
    t.deepEqual(starts(log), [start, 0])
    const rest = ages.map((_, i) => `${i}`).slice(start)
    t.deepEqual(values(log)[0]!.map((text) => text.trim()), rest)
    await log.close()
    const again = closedAfter(t, await PartitionedLog.open(log.dir))
    t.deepEqual(starts(again), [start, 0])
    t.deepEqual(values(again)[0]!.map((text) => text.trim()), rest)
    t.is(again.append('next', null, { partition: 0 }).offset, ages.length)
  })
}

test('retention by bytes takes the oldest segments of each partition, until the rest is small enough; together with age, whichever says more', async (t) => {
  for (const rules of [{ maxBytes: 200_000 }, { maxBytes: 200_000, maxAgeMs: 1000 * HOUR }]) {
    const log = await aged(t, Array.from({ length: 1000 }, (_, i) => 1000 - i), rules)
    const before = log.logs[0]!.segments()
    const removed = await log.enforceRetention()
    t.true(removed.segments > 0 && removed.entries === log.logs[0]!.startOffset)
    const left = log.logs[0]!.segments()
    t.deepEqual(left.map(({ id }) => id), before.slice(removed.segments).map(({ id }) => id))
    t.true(left.reduce((sum, { bytes }) => sum + bytes, 0) <= 200_000)
    t.deepEqual(values(log)[0]!.map((text) => Number(text)), Array.from({ length: 1000 - removed.entries }, (_, i) => removed.entries + i))
  }
  const both = await aged(t, Array.from({ length: 1000 }, (_, i) => 1000 - i), { maxBytes: 200_000, maxAgeMs: 10 * HOUR })
  await both.enforceRetention()
  t.true(both.logs[0]!.startOffset >= 989)
})

test('rules out of their range are refused: what is not wanted is left out', async (t) => {
  for (const retention of [{ maxAgeMs: -1 }, { maxBytes: -1 }, { maxMessages: -1 }, { intervalMs: -1 }, { intervalMs: NaN }]) {
    await t.throwsAsync(PartitionedLog.open(freshDir(t), { partitions: 1, retention }), { code: 'VARVE_INVALID_ARGUMENT' }, JSON.stringify(retention))
  }
  // An interval of 0 is none: it runs when it is called, and when a segment rotates.
  const log = await aged(t, [5, 4], { maxMessages: 1, intervalMs: 0 })
  for (let i = 0; i < 20; i++) {
    await log.sync()
    await setImmediate()
  }
  t.is(log.retentionStats().runs, 0)
  t.deepEqual(starts(log), [0, 0])
})

test('retention in the background ends with close, at whatever moment, and its figures add up over all runs', async (t) => {
  const log = await aged(t, [5, 4, 3, 2, 1], { maxMessages: 2, intervalMs: 1 })
  t.true(await soon(() => log.retentionStats().runs >= 3))
  t.is(log.retentionStats().entries, 3)
  for (let i = 0; i < 10; i++) log.append('more', null, { partition: i % 2 })
  t.true(await soon(() => log.retentionStats().entries === 3 + 5 + 3))
  const closing = log.close()
  await closing
  t.throws(() => log.retentionStats(), { code: 'VARVE_CLOSED' })
  t.deepEqual(values(closedAfter(t, await PartitionedLog.open(log.dir))).map((of) => of.length), [2, 2])
  // One that never ran, and one that nobody looked at.
  for (let i = 0; i < 20; i++) await (await aged(t, [1], { maxMessages: 0, intervalMs: 1 })).close()
})

test('retention of many partitions sees to each of them', async (t) => {
  const log = await freshPartitions(t, { partitions: 50, retention: { maxMessages: 3 } })
  for (let i = 0; i < 500; i++) log.append(`${i}`, null, { partition: i % 50 })
  t.like(await log.enforceRetention(), { entries: 350, partitions: 50 })
  t.deepEqual(values(log).map((of) => of.map(Number)), Array.from({ length: 50 }, (_, partition) => [7, 8, 9].map((round) => round * 50 + partition)))
})

test('the high-water mark is of each partition; readers of a handle with commitGate stop at it, in one stream too', async (t) => {
  const log = await freshPartitions(t, { partitions: 2, commitGate: true })
  for (let i = 0; i < 20; i++) log.append(`${i}`, null, { partition: i % 2 })
  t.deepEqual(log.logs.map(({ highWaterMark }) => highWaterMark), [0, 0])
  t.deepEqual(log.consume(1, 'start'), { messages: [], nextOffset: 0 })
  const stream = log.subscribe()
  const next = stream.next()
  log.logs[1]!.advanceHighWaterMark(4)
  t.is(textOf((await next).value!), '1')
  t.deepEqual(log.consume(1, 0).messages.map(({ offset }) => offset), [0, 1, 2, 3])
  t.deepEqual(log.consume(0, 0).messages, [])
  t.throws(() => log.logs[0]!.advanceHighWaterMark(11), { code: 'VARVE_OUT_OF_RANGE' })
  await stream.return!()
  await log.close()
  const again = closedAfter(t, await PartitionedLog.open(log.dir, { commitGate: true }))
  t.deepEqual(again.logs.map(({ highWaterMark }) => highWaterMark), [0, 4])
})

test('headers, times, keys and producers of a message are there in every partition, after a reopen', async (t) => {
  const log = await freshPartitions(t, { partitions: 2 })
  const headers = { 'a': '', 'b é': Buffer.from([0, 255, 10]), 'c': 'text' }
  for (const partition of [0, 1]) {
    log.append('v', 'k', { partition, time: 1_700_000_000_000.125, headers, producer: { id: 5, epoch: 0, sequence: partition } })
    log.append(null, null, { partition, time: -1 })
  }
  await log.close()
  const again = closedAfter(t, await PartitionedLog.open(log.dir))
  for (const partition of [0, 1]) {
    const [first, second] = again.consume(partition, 0).messages
    t.deepEqual(Object.entries(first!.headers).map(([name, value]) => [name, value.toString('hex')]), [['a', ''], ['b é', '00ff0a'], ['c', Buffer.from('text').toString('hex')]])
    t.is(first!.time, 1_700_000_000_000.125)
    t.deepEqual([second!.key, second!.value, second!.time, second!.headers], [null, null, -1, {}])
    t.deepEqual(again.append('v', 'k', { partition, producer: { id: 5, epoch: 0, sequence: partition } }), { partition, offset: 0 })
    t.is(again.logs[partition]!.nextOffset, 2)
  }
})
