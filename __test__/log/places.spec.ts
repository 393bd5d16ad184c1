// Where a user of a log meets places in it, they are offsets of messages, and counts are of messages: not of the entries below, which hold one or many.
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { Log, type LogOptions, PartitionedLog, type SegmentInfo } from 'varve'
import { closedAfter, freshDir, freshLog, segments } from '../support/directory.ts'
import { flip } from '../support/damage.ts'
import { soon } from '../support/soon.ts'

const textOf = (i: number): string => `value ${i}.`.padEnd(300)

/** Appends messages up to `to`: single ones, and batches of 50, which are one entry each. */
function fill(log: Log, to: number): void {
  while (log.nextOffset < to) {
    const from = log.nextOffset
    if (from % 100 === 0) log.appendBatch(Array.from({ length: 50 }, (_, i) => ({ value: textOf(from + i), key: `key ${i}` })))
    else for (let i = from; i < from + 50; i++) log.append(textOf(i), `key ${i % 50}`)
  }
}

/** A log of 2,000 messages in some ten segments. */
function filled(t: ExecutionContext, options: LogOptions = {}): Log {
  const log = freshLog(t, { segmentSize: 65_536, ...options })
  fill(log, 2000)
  return log
}

const placesOf = (infos: readonly SegmentInfo[]): number[][] => infos.map(({ id, firstIndex, nextIndex, entries }) => [id, firstIndex, nextIndex, entries])

/** Checks that segments tell of all of a log, whose messages are all there. */
function cover(t: ExecutionContext, infos: readonly SegmentInfo[], to: number): void {
  t.is(infos[0]!.firstIndex, 0)
  infos.slice(1).forEach(({ firstIndex }, i) => t.is(firstIndex, infos[i]!.nextIndex))
  t.is(infos.at(-1)!.nextIndex, to)
  for (const { firstIndex, nextIndex, entries } of infos) t.is(entries, nextIndex - firstIndex)
}

test('segments() has offsets and counts of messages: of what is open, reopened, followed, and appended to', async (t) => {
  const log = filled(t)
  const infos = log.segments()
  t.true(infos.length > 5)
  cover(t, infos, 2000)
  const follower = closedAfter(t, Log.openSync(log.dir, { readOnly: true }))
  await log.sync()
  t.deepEqual(placesOf(follower.segments()), placesOf(infos))
  log.append(textOf(2000))
  cover(t, log.segments(), 2001)
  await log.close()
  const again = closedAfter(t, Log.openSync(log.dir))
  t.deepEqual(placesOf(again.segments()), placesOf(log.dir === again.dir ? again.segments() : []))
  cover(t, again.segments(), 2001)
  t.deepEqual(placesOf(again.segments()).slice(0, 5), placesOf(infos).slice(0, 5))
})

test('segments() of a log from which messages were removed, and while an old file of one is held', async (t) => {
  const log = filled(t)
  const [first, second] = log.segments()
  using _pin = log.pin(second!.id)
  const gone = [first!.firstIndex, first!.firstIndex + 3, second!.nextIndex - 1]
  await log.delete(gone)
  await log.sync()
  const now = log.segments()
  const old = now.find(({ pendingDeletion }) => pendingDeletion)!
  t.deepEqual(placesOf([old]), placesOf([second!]))
  const [one, two] = now.filter(({ pendingDeletion }) => !pendingDeletion)
  t.is(one!.entries, first!.entries - 2)
  t.is(two!.entries, second!.entries - 1)
  t.is(two!.firstIndex, second!.firstIndex)
  t.is(now.filter(({ pendingDeletion }) => !pendingDeletion).reduce((sum, { entries }) => sum + entries, 0), 1997)
  t.deepEqual(log.stats().recovery.gaps, [])
  await log.close()
  const again = closedAfter(t, Log.openSync(log.dir))
  t.deepEqual(again.stats().recovery.gaps, [])
  t.is(again.segments().reduce((sum, { entries }) => sum + entries, 0), 1997)
})

test('an empty log, and one of which all is trimmed, have an empty segment at the next offset', async (t) => {
  const log = freshLog(t)
  t.deepEqual(placesOf(log.segments()), [[1, 0, 0, 0]])
  fill(log, 100)
  await log.trim({ beforeOffset: 100 })
  await log.sync()
  t.true(await soon(() => log.segments().length === 1))
  const [left] = log.segments()
  t.deepEqual(placesOf([left!]).map(([, ...places]) => places), [[100, 100, 0]])
})

test('rotate and delete events, and mayDelete, tell offsets', async (t) => {
  const asked: SegmentInfo[] = []
  const log = closedAfter(t, Log.openSync(freshDir(t), { segmentSize: 65_536, retention: { maxMessages: 500, mayDelete: (info) => asked.push(info) > 0 } }))
  const rotated: SegmentInfo[] = []
  const deleted: SegmentInfo[] = []
  log.on('rotate', (info) => rotated.push(info))
  log.on('delete', (info) => deleted.push(info))
  fill(log, 2000)
  t.true(await soon(() => rotated.length > 5))
  cover(t, rotated.slice().sort((a, b) => a.id - b.id), rotated.at(-1)!.nextIndex)
  await log.enforceRetention()
  await log.sync()
  t.true(await soon(() => deleted.length > 3))
  for (const infos of [asked, deleted]) {
    for (const info of infos) t.deepEqual(placesOf([info]), placesOf(rotated.filter(({ id }) => id === info.id)))
  }
  t.true(asked.length > 0)
})

test('the same of a log of partitions, and of its parts', async (t) => {
  const log = closedAfter(t, await PartitionedLog.open(freshDir(t), { partitions: 2, segmentSize: 65_536 }))
  const rotated: SegmentInfo[] = []
  const inPart: SegmentInfo[] = []
  log.on('rotate', (info) => rotated.push(info))
  log.logs[1]!.on('rotate', (info) => inPart.push(info))
  for (let i = 0; i < 20; i++) log.appendBatch(Array.from({ length: 100 }, (_, j) => ({ value: textOf(100 * i + j), partition: 1 })))
  t.true(await soon(() => rotated.length > 5 && inPart.length === rotated.length))
  cover(t, rotated, rotated.at(-1)!.nextIndex)
  t.deepEqual(placesOf(inPart), placesOf(rotated))
  cover(t, log.logs[1]!.segments(), 2000)
})

test('gaps are told by the offsets of the messages on both sides', async (t) => {
  const log = filled(t)
  const infos = log.segments()
  await log.close()
  // A group of 50, in the middle of a segment; a single message; and a segment that is gone.
  flip(segments(log.dir)[2]!, 'value ', 2)
  const first = infos[2]!.firstIndex
  const files = segments(log.dir)
  rmSync(files[5]!)
  const skipping = closedAfter(t, Log.openSync(log.dir, { onDamage: 'skip', readOnly: true }))
  const { gaps } = skipping.stats().recovery
  t.is(gaps.length, 2)
  const held = Array.from(skipping.messages(), ({ offset }) => offset)
  // The first entry of the third segment: a group, or a single message.
  t.is(gaps[0]!.from, first)
  t.is(gaps[0]!.to, held.find((offset) => offset >= first))
  t.deepEqual([gaps[1]!.from, gaps[1]!.to], [infos[5]!.firstIndex, infos[5]!.nextIndex])
  const missing = new Set(Array.from({ length: 2000 }, (_, i) => i))
  for (const offset of held) missing.delete(offset)
  t.deepEqual([...missing], gaps.flatMap(({ from, to }) => Array.from({ length: to! - from! }, (_, i) => from! + i)))
})

test('what is lost at the end of a log reaches to the next offset; at its start, from the start', async (t) => {
  const log = filled(t)
  await log.trim({ beforeOffset: 10 })
  const infos = log.segments()
  const [first, last] = [infos[0]!, infos.at(-1)!]
  await log.close()
  const files = segments(log.dir)
  flip(files[0]!, textOf(0).trimEnd(), 2)
  flip(files.at(-1)!, textOf(last.nextIndex - 1).trimEnd(), 2)
  const damaged = closedAfter(t, Log.openSync(log.dir, { onDamage: 'skip' }))
  // Those without a range have lost nothing.
  const gaps = damaged.stats().recovery.gaps.filter(({ from }) => from !== undefined)
  t.is(gaps[0]!.from, 10)
  t.true(gaps[0]!.to! > 10 && gaps[0]!.to! <= first.nextIndex)
  t.is(gaps.at(-1)!.to, 2000)
  t.true(gaps.at(-1)!.from! >= last.firstIndex)
  const held = new Set(Array.from(damaged.messages(), ({ offset }) => offset))
  for (const { from, to } of gaps) for (let i = from!; i < to!; i++) t.false(held.has(i))
  t.is(held.size, 1990 - gaps.reduce((sum, { from, to }) => sum + to! - from!, 0))
})

test('salvage and recover count messages, and the gaps of a copy are the same offsets', async (t) => {
  const log = filled(t)
  await log.trim({ beforeOffset: 20 })
  await log.close()
  const third = segments(log.dir)[2]!
  flip(third, 'value ', 2)
  const skipping = closedAfter(t, Log.openSync(log.dir, { onDamage: 'skip', readOnly: true }))
  const { gaps } = skipping.stats().recovery
  t.is(gaps.length, 1)
  await skipping.close()
  const { from, to } = gaps[0]!
  t.true(to! > from!)
  t.like(await Log.check(log.dir), { ok: false, entries: 1980 - (to! - from!) })
  const copy = join(freshDir(t), 'copy')
  t.like(await Log.salvage(log.dir, copy), { ok: false, entries: 1980 - (to! - from!), keptEntries: 1980 - (to! - from!) })
  const saved = closedAfter(t, Log.openSync(copy))
  t.like(saved.stats().recovery.gaps, [{ from, to }])
  t.is([...saved.messages()].length, 1980 - (to! - from!))
  t.like(await Log.recover(log.dir), { ok: false, entries: 1980 - (to! - from!), keptEntries: from! - 20 })
  t.is([...closedAfter(t, Log.openSync(log.dir)).messages()].length, from! - 20)
})

test('recover of a sound log counts messages, too', async (t) => {
  const log = filled(t)
  await log.trim({ beforeOffset: 20 })
  await log.close()
  t.like(await Log.recover(log.dir), { ok: true, entries: 1980, keptEntries: 1980 })
})

test('VARVE_CORRUPT tells the offset that was looked for, or where the reader came to', async (t) => {
  const log = filled(t)
  const { firstIndex } = log.segments()[2]!
  await log.close()
  flip(segments(log.dir)[2]!, 'value ', 2)
  const damaged = closedAfter(t, Log.openSync(log.dir))
  const told = { code: 'VARVE_CORRUPT', index: firstIndex }
  t.like(t.throws(() => damaged.get(firstIndex)), told)
  t.regex(t.throws(() => damaged.get(firstIndex)).message, new RegExp(`\\(offset ${firstIndex}\\)`))
  t.like(await t.throwsAsync(damaged.getAsync(firstIndex)), told)
  t.like(t.throws(() => [...damaged.messages()]), told)
  t.like(t.throws(() => damaged.consume(firstIndex)), told)
  t.like(await t.throwsAsync(damaged.consumeAsync(firstIndex)), told)
  using reader = damaged.reader({ from: firstIndex - 1 })
  t.true(reader.advance())
  t.like(t.throws(() => reader.advance()), told)
})
