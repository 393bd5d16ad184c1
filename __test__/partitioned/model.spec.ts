import test from 'ava'
import fc from 'fast-check'
import { type Message, PartitionedLog, type PartitionedLogOptions } from 'varve'
import { freshDir } from '../support/directory.ts'
import { take } from './opened.ts'

// A log of partitions is held against an array of arrays: whatever is done, in whatever order, the two say the same.
interface Held {
  offset: number
  key: string | null
  value: string | null
  time: number
}
interface Part {
  held: Held[]
  next: number
  cursors: Map<string, number>
}
interface Model {
  parts: Part[]
  /** Where the last message without a key and a partition went; unknown at first. */
  turn: number | undefined
}
interface Real {
  log: PartitionedLog
  dir: string
}
type Command = fc.AsyncCommand<Model, Real>
interface Given {
  key: string | null
  value: string | null
  time: number
  partition: number | undefined
}

const KEPT = 20
const OPTIONS: PartitionedLogOptions = { segmentSize: 65_536, indexes: { key: true, time: true }, retention: { maxMessages: KEPT } }

/** Kafka's own hash of keys. */
function murmur2(data: Buffer): number {
  const m = 0x5bd1e995
  let h = 0x9747b28c ^ data.length
  let at = 0
  for (; at + 4 <= data.length; at += 4) {
    let k = Math.imul(data.readInt32LE(at), m)
    k = Math.imul(k ^ (k >>> 24), m)
    h = Math.imul(h, m) ^ k
  }
  for (let i = data.length - at; i > 0; i--) h ^= data[at + i - 1]! << (8 * (i - 1))
  if (at < data.length) h = Math.imul(h, m)
  h = Math.imul(h ^ (h >>> 13), m)
  return (h ^ (h >>> 15)) & 0x7fffffff
}

const same = (actual: unknown, expected: unknown, what: string): void => {
  if (JSON.stringify(actual) !== JSON.stringify(expected)) throw new Error(`${what}: ${JSON.stringify(actual)}, and should be ${JSON.stringify(expected)}`)
}
const seen = ({ offset, key, value, time }: Message): Held => ({ offset, key: key && key.toString(), value: value && value.toString(), time })
const startOf = ({ held, next }: Part): number => held[0]?.offset ?? next

/** Retention runs by itself, too, when a segment is sealed: a cursor in each partition keeps everything but while it is asked for. */
function hold(log: PartitionedLog, isHeld: boolean): void {
  for (const one of log.logs) one.cursor('holds', { holdRetention: true }).save(isHeld ? one.startOffset : one.nextOffset)
}

const command = (name: string, run: (model: Model, real: Real) => void | Promise<void>): Command => ({
  check: () => true,
  run: async (model, real) => {
    await run(model, real)
    same(real.log.logs.map(({ startOffset, nextOffset }) => [startOffset, nextOffset]), model.parts.map((part) => [startOf(part), part.next]), `places after ${name}`)
  },
  toString: () => name,
})

const KEYS = ['', 'a', 'b', 'key', 'keys', 'keys of', 'é', 'another key', 'k'.repeat(41)]
const key = fc.constantFrom(...KEYS)
const given = (keyed: boolean): fc.Arbitrary<Given> => fc.record({
  key: keyed ? key : fc.option(key, { nil: null }),
  value: fc.option(fc.oneof({ weight: 8, arbitrary: fc.string({ maxLength: 40 }) }, { weight: 1, arbitrary: fc.constant('x'.repeat(5000)) }), { nil: null, freq: 6 }),
  time: fc.integer({ min: -1000, max: 1000 }).map((time) => time / 8),
  partition: fc.option(fc.nat(5), { nil: undefined, freq: 1 }),
})
const place = fc.double({ min: 0, max: 1, noNaN: true })
const at = (part: Part, share: number): number => startOf(part) + Math.floor(share * (part.next - startOf(part)))
const some = (model: Model, share: number): number => Math.min(model.parts.length - 1, Math.floor(share * model.parts.length))

/** Where a message must go; undefined for one that goes in turn. */
function partitionOf(model: Model, { key, partition }: Given): number | undefined {
  const count = model.parts.length
  if (partition !== undefined) return partition % count
  return key === null ? undefined : murmur2(Buffer.from(key)) % count
}
function add(model: Model, partition: number, { key, value, time }: Given): number {
  const part = model.parts[partition]!
  part.held.push({ offset: part.next, key, value, time })
  return part.next++
}
const input = (model: Model, { partition, ...message }: Given): { partition?: number; key: string | null; value: string | null; time: number } =>
  (partition === undefined ? message : { ...message, partition: partition % model.parts.length })

const commands: fc.Arbitrary<Command>[] = [
  fc.tuple(given(false), fc.boolean()).map(([one, later]) => command(`append(${one.key}, ${one.partition})`, async (model, { log }) => {
    const { value, key, ...facts } = input(model, one)
    const placed = later ? await log.appendAsync(value, key, facts) : log.append(value, key, facts)
    let expected = partitionOf(model, one)
    if (expected === undefined) {
      expected = model.turn === undefined ? placed.partition : (model.turn + 1) % model.parts.length
      model.turn = expected
    }
    same(placed, { partition: expected, offset: add(model, expected, one) }, 'placed')
  })),
  fc.tuple(fc.array(given(true), { maxLength: 60 }), fc.constantFrom('none' as const, 'lz4' as const, 'zstd' as const)).map(([many, compression]) => command(`appendBatch(${many.length}, ${compression})`, (model, { log }) => {
    const placed = log.appendBatch(many.map((one) => input(model, one)), { compression })
    const expected = new Map<number, { partition: number; offset: number; count: number }>()
    for (const one of many) {
      const partition = partitionOf(model, one)!
      const offset = add(model, partition, one)
      const place = expected.get(partition) ?? { partition, offset, count: 0 }
      expected.set(partition, { ...place, count: place.count + 1 })
    }
    same(placed, [...expected.values()].sort((a, b) => a.partition - b.partition), 'placed')
  })),
  fc.tuple(place, place, place).map(([which, one, two]) => command(`read partition ${which}`, async (model, { log }) => {
    const partition = some(model, which)
    const part = model.parts[partition]!
    const [from, to] = [at(part, Math.min(one, two)), at(part, Math.max(one, two))]
    const { messages, nextOffset } = log.consume(partition, from, { max: 5 })
    const expected = part.held.filter(({ offset }) => offset >= from)
    same(messages.map(seen), expected.slice(0, 5), 'consume')
    same(nextOffset, expected.length >= 5 ? expected[4]!.offset + 1 : part.next, 'nextOffset of consume')
    same(Array.from(log.logs[partition]!.messages({ from, to }), seen), expected.filter(({ offset }) => offset < to), 'messages')
    if (from === part.next) return
    const got = log.logs[partition]!.get(from)
    same(got && seen(got), part.held.find(({ offset }) => offset === from), 'get')
  })),
  fc.tuple(fc.constantFrom(...KEYS, null), fc.integer({ min: -1100, max: 1100 }).map((n) => n / 8)).map(([key, time]) => command(`lookups of ${key} and ${time}`, (model, { log }) => {
    const found = log.logs.map((one) => [one.offsetByKey(key), one.offsetByTime(time)?.offset])
    same(found, model.parts.map(({ held }) => [held.filter((one) => one.key === key).at(-1)?.offset, held.find((one) => one.time >= time)?.offset]), 'lookups')
  })),
  fc.constant(command('subscribe', async (model, { log }) => {
    const stream = log.subscribe()
    const count = model.parts.reduce((sum, { held }) => sum + held.length, 0)
    const parts = model.parts.map((): Held[] => [])
    for (const message of await take(stream, count)) parts[message.partition]!.push(seen(message))
    same(parts, model.parts.map(({ held }) => held), 'what the stream gives')
    await stream.return!()
  })),
  fc.tuple(place, place).map(([which, share]) => command(`cursor of partition ${which}`, (model, { log }) => {
    const part = model.parts[some(model, which)]!
    const cursor = log.logs[some(model, which)]!.cursor('one')
    same(cursor.offset, part.cursors.get('one') ?? startOf(part), 'cursor')
    cursor.save(at(part, share))
    part.cursors.set('one', at(part, share))
  })),
  fc.tuple(place, fc.array(place, { maxLength: 20 })).map(([which, shares]) => command(`delete(${shares.length}) from ${which}`, async (model, { log }) => {
    const part = model.parts[some(model, which)]!
    const offsets = shares.map((share) => at(part, share))
    const gone = part.held.filter(({ offset }) => offsets.includes(offset))
    same((await log.logs[some(model, which)]!.delete(offsets)).offsets, gone.map(({ offset }) => offset), 'deleted')
    part.held = part.held.filter((one) => !gone.includes(one))
  })),
  fc.tuple(place, place).map(([which, share]) => command(`trim ${which}`, async (model, { log }) => {
    const part = model.parts[some(model, which)]!
    const beforeOffset = at(part, share / 3)
    await log.logs[some(model, which)]!.trim({ beforeOffset })
    part.held = part.held.filter(({ offset }) => offset >= beforeOffset)
  })),
  fc.option(place, { nil: undefined }).map((which) => command(`compact ${which}`, async (model, { log }) => {
    const named = which === undefined ? undefined : [some(model, which)]
    const { entries } = await log.compact(named === undefined ? {} : { partitions: named })
    let gone = 0
    for (const [partition, part] of model.parts.entries()) {
      if (named !== undefined && !named.includes(partition)) continue
      const last = new Map(part.held.map(({ key, offset }) => [key, offset]))
      const kept = part.held.filter(({ key, offset, value }) => key === null || (last.get(key) === offset && value !== null))
      gone += part.held.length - kept.length
      part.held = kept
    }
    same(entries, gone, 'entries removed')
  })),
  fc.constant(command('enforceRetention', async (model, { log }) => {
    hold(log, false)
    await log.enforceRetention()
    hold(log, true)
    for (const part of model.parts) part.held = part.held.slice(-KEPT)
  })),
  fc.tuple(fc.boolean(), fc.boolean()).map(([sync, more]) => command(`reopen(${sync}, ${more})`, async (model, real) => {
    if (sync) await real.log.sync()
    await real.log.close()
    if (more && model.parts.length < 8) model.parts.push({ held: [], next: 0, cursors: new Map() })
    real.log = await PartitionedLog.open(real.dir, { ...OPTIONS, partitions: model.parts.length })
    hold(real.log, true)
    model.turn = undefined
    same(real.log.logs.map((one) => Array.from(one.messages(), seen)), model.parts.map(({ held }) => held), 'messages after a reopen')
    if (sync) same(real.log.logs.map(({ durableOffset }) => durableOffset), model.parts.map(({ next }) => next), 'durable after a reopen')
  })),
]

test('a log of partitions is an array of arrays that survives, and every key has its place', async (t) => {
  const seed = Number(process.env['VARVE_SEED'] ?? Date.now() & 0x7fffffff)
  const numRuns = Number(process.env['VARVE_RUNS'] ?? 40)
  t.timeout(Math.max(120_000, numRuns * 5000))
  t.log(`VARVE_SEED=${seed}`)
  await fc.assert(fc.asyncProperty(fc.integer({ min: 1, max: 6 }), fc.commands(commands, { maxCommands: 50, size: 'max' }), async (partitions, given) => {
    const dir = freshDir(t)
    const real: Real = { dir, log: await PartitionedLog.open(dir, { ...OPTIONS, partitions }) }
    hold(real.log, true)
    try {
      const parts = Array.from({ length: partitions }, (): Part => ({ held: [], next: 0, cursors: new Map() }))
      await fc.asyncModelRun(() => ({ model: { parts, turn: undefined }, real }), given)
    } finally {
      await real.log.close()
    }
  }), { seed, numRuns, interruptAfterTimeLimit: numRuns * 500, markInterruptAsFailure: false, includeErrorInReport: true })
  t.pass()
})
