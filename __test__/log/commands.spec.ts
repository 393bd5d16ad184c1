import { setImmediate } from 'node:timers/promises'
import test from 'ava'
import fc from 'fast-check'
import { Log, type LogOptions, type Message, type Rule } from 'varve'
import { freshDir } from '../support/directory.ts'
import { type Thread, thread } from '../support/thread.ts'

// A log that two threads have open, held against an array: whichever of them does something, both say the same of it.
interface Held {
  offset: number
  key: string | null
  value: string | null
  time: number
  headers: string
}
interface Model {
  held: Held[]
  next: number
  cursors: Map<string, number>
  mark: number
  /** Of the one producer, the offsets of its batches. */
  batches: number[]
}
interface Real {
  log: Log
  /** Its `state.log` is the same log, and `state.gated` one that stops at the mark. */
  other: Thread
  dir: string
}
type Command = fc.AsyncCommand<Model, Real>
type Given = { key: string | null; value: string | null; time: number; headers: Record<string, string> }

const OPTIONS: LogOptions = { segmentSize: 65_536, indexes: { key: true, time: true } }
const OPEN = `state.log ??= await Log.open(args.dir, args.options)
  state.gated ??= await Log.open(args.dir, { ...args.options, commitGate: true })`

const seen = ({ offset, key, value, time, headers }: Message): Held => ({
  offset, key: key && key.toString(), value: value && value.toString(), time, headers: JSON.stringify(Object.entries(headers).map(([name, bytes]) => [name, bytes.toString()])),
})
/** The same, there. */
const SEEN = `const seen = ({ offset, key, value, time, headers }) => ({
  offset, key: key && key.toString(), value: value && value.toString(), time, headers: JSON.stringify(Object.entries(headers).map(([name, bytes]) => [name, bytes.toString()])),
});`

function same(actual: unknown, expected: unknown, what: string): void {
  if (JSON.stringify(actual) !== JSON.stringify(expected)) throw new Error(`${what}: ${JSON.stringify(actual)}, and should be ${JSON.stringify(expected)}`)
}
const startOf = (model: Model): number => model.held[0]?.offset ?? model.next

const command = (name: string, run: (model: Model, real: Real) => Promise<void>): Command => ({
  check: () => true,
  run: async (model, real) => {
    await run(model, real)
    const places = [model.next, startOf(model)]
    same([real.log.nextOffset, real.log.startOffset], places, `places here after ${name}`)
    same(await real.other.run('return [state.log.nextOffset, state.log.startOffset]'), places, `places there after ${name}`)
  },
  toString: () => name,
})

const text = fc.oneof({ weight: 8, arbitrary: fc.string({ unit: 'grapheme', maxLength: 60 }) }, { weight: 1, arbitrary: fc.integer({ min: 300, max: 10_000 }).map((length) => 'x'.repeat(length)) })
const KEYS = ['', 'a', 'b', 'c', 'é']
const given: fc.Arbitrary<Given> = fc.record({
  key: fc.option(fc.constantFrom(...KEYS), { nil: null }),
  value: fc.option(text, { nil: null, freq: 6 }),
  time: fc.integer({ min: -1000, max: 1000 }).map((time) => time / 8),
  headers: fc.dictionary(fc.constantFrom('x', 'y', 'é'), fc.string({ maxLength: 9 }), { maxKeys: 2, noNullPrototype: true }),
})
const list = (maxLength: number): fc.Arbitrary<Given[]> => fc.array(given, { maxLength })
const compression = fc.constantFrom('none' as const, 'lz4' as const, 'snappy' as const, 'zstd' as const, 'gzip' as const)
const place = fc.double({ min: 0, max: 1, noNaN: true })
const time = fc.integer({ min: -1100, max: 1100 }).map((n) => n / 8)
const isHere = fc.boolean()
const at = (model: Model, share: number): number => startOf(model) + Math.floor(share * (model.next - startOf(model)))

function add(model: Model, { key, value, time, headers }: Given): void {
  model.held.push({ offset: model.next++, key, value, time, headers: JSON.stringify(Object.entries(headers)) })
}
const lastOf = (held: readonly Held[]): Map<string | null, number> => new Map(held.map(({ key, offset }) => [key, offset]))

/** The messages that a rule means. */
function meant({ held }: Model, rule: Rule): Held[] {
  const last = lastOf(held)
  const prefix = (goes: (one: Held, i: number) => boolean): Held[] => {
    const end = held.findIndex((one, i) => !goes(one, i))
    return held.slice(0, end < 0 ? held.length : end)
  }
  if (rule.olderThan !== undefined) return prefix((one) => one.time < Number(rule.olderThan))
  if (rule.beforeOffset !== undefined) return prefix(({ offset }) => offset < rule.beforeOffset)
  if (rule.keepMessages !== undefined) return prefix((_one, i) => i < held.length - rule.keepMessages)
  if (rule.updatesBefore !== undefined) return held.filter(({ key, time, offset }) => key !== null && time < Number(rule.updatesBefore) && last.get(key)! > offset)
  return held.filter(({ key, value, time }, i) => key !== null && value === null && time < Number(rule.deletesBefore) && !held.slice(0, i).some((one) => one.key === key))
}
const remove = (model: Model, gone: readonly Held[]): void => void (model.held = model.held.filter((one) => !gone.includes(one)))

const commands: fc.Arbitrary<Command>[] = [
  given.map((one) => command('append there', async (model, { other }) => {
    same(await other.run('return state.log.append(args.value, args.key, { time: args.time, headers: args.headers })', one), model.next, 'offset')
    add(model, one)
  })),
  fc.tuple(list(200), compression, isHere).map(([many, compression, here]) => command(`batch of ${many.length}, ${compression}, ${here ? 'here' : 'there'}`, async (model, { log, other }) => {
    const offset = here ? log.appendBatch(many, { compression }) : await other.run('return state.log.appendBatch(args.many, { compression: args.compression })', { many, compression })
    same(offset, model.next, 'offset')
    for (const one of many) add(model, one)
  })),
  fc.tuple(list(40), list(40)).map(([here, there]) => command(`both append, ${here.length} and ${there.length}`, async (model, { log, other }) => {
    const later = other.run<number[]>('return args.map(({ value, key, ...facts }) => state.log.append(value, key, facts))', there)
    const offsets: number[] = []
    for (const { value, key, ...facts } of here) {
      offsets.push(log.append(value, key, facts))
      if (offsets.length % 3 === 0) await setImmediate()
    }
    const placed = [...here.map((one, i) => ({ one, offset: offsets[i]! })), ...(await later).map((offset, i) => ({ one: there[i]!, offset }))]
    // Each thread's are in its order, and none is given twice or left out.
    for (const of of [offsets, await later]) same(of, [...of].sort((a, b) => a - b), 'offsets of a thread')
    placed.sort((a, b) => a.offset - b.offset)
    same(placed.map(({ offset }) => offset), placed.map((_one, i) => model.next + i), 'offsets of both')
    for (const { one } of placed) add(model, one)
  })),
  given.map((one) => command('one waits there for what comes here', async (model, { log, other }) => {
    await other.run(`state.waits = [state.log.consumeBlocking('end'), state.log.subscribe({ from: 'end' }).next(), state.log.waitFor(args)]
      for (const promise of state.waits) promise.catch(() => {})`, model.next)
    same(log.append(one.value, one.key, { time: one.time, headers: one.headers }), model.next, 'offset')
    add(model, one)
    const told = await other.run(`${SEEN}
      const [consumed, next, end] = await Promise.all(state.waits)
      return [consumed.messages.map(seen), consumed.nextOffset, seen(next.value), end]`)
    same(told, [[model.held.at(-1)], model.next, model.held.at(-1), model.next], 'what was waited for')
  })),
  fc.tuple(place, place, fc.constantFrom(undefined, null, 'a', 'é')).map(([one, two, key]) => command(`messages(${one}, ${two}, ${key}) there`, async (model, { log, other }) => {
    const [from, to] = [at(model, Math.min(one, two)), at(model, Math.max(one, two))]
    const of = (held: Held): boolean => key === undefined || held.key === key
    const expected = model.held.filter((held) => held.offset >= from && held.offset < to && of(held))
    const options = key === undefined ? { from, to } : { from, to, key }
    const [messages, later, reader, got] = await other.run<[Held[], Held[], number[], (Held | undefined)[]]>(`${SEEN}
      const later = []
      for await (const message of state.log.messagesAsync(args)) later.push(seen(message))
      const reader = state.log.reader({ from: args.from })
      const offsets = []
      while (reader.advance()) offsets.push(reader.offset)
      reader.close()
      const got = ['first', 'last', ...(args.from < state.log.nextOffset ? [args.from] : [])].map((offset) => state.log.get(offset))
      return [Array.from(state.log.messages(args), seen), later, offsets, got.map((message) => message && seen(message))]`, options)
    same(messages, expected, 'messages there')
    same(later, expected, 'messagesAsync there')
    same(reader, model.held.filter(({ offset }) => offset >= from).map(({ offset }) => offset), 'reader there')
    same(got, [model.held[0], model.held.at(-1), ...(from < model.next ? [model.held.find(({ offset }) => offset === from)] : [])], 'get there')
    same(Array.from(log.messages(options), seen), expected, 'messages here')
  })),
  fc.tuple(fc.constantFrom(...KEYS, 'missing', null), time).map(([key, time]) => command(`lookups of ${key} and ${time} there`, async (model, { log, other }) => {
    const [byKey, byTime] = [model.held.filter((held) => held.key === key).at(-1), model.held.find((held) => held.time >= time)]
    const found = await other.run(`${SEEN}
      const all = [state.log.getByKey(args.key), await state.log.getByKeyAsync(args.key), state.log.getByTime(args.time), await state.log.getByTimeAsync(args.time)]
      return [...all.map((message) => message && seen(message)), state.log.offsetByKey(args.key), state.log.offsetByTime(args.time)]`, { key, time })
    same(found, [byKey, byKey, byTime, byTime, byKey?.offset, byTime && { offset: byTime.offset, time: byTime.time }], 'lookups there')
    same([log.offsetByKey(key), log.offsetByTime(time)?.offset], [byKey?.offset, byTime?.offset], 'lookups here')
  })),
  fc.tuple(fc.constantFrom('one', 'two'), place).map(([name, share]) => command(`cursor(${name}) there`, async (model, { log, other }) => {
    const offset = at(model, share)
    await other.run('state.log.cursor(args.name).save(args.offset)', { name, offset })
    model.cursors.set(name, offset)
    same(log.cursor(name).offset, offset, 'cursor here')
    same(log.cursors().map(({ name, offset }) => [name, offset]), [...model.cursors].sort(([a], [b]) => (a < b ? -1 : 1)), 'cursors here')
  })),
  fc.tuple(place, isHere).map(([share, here]) => command(`high-water mark at ${share}, ${here ? 'here' : 'there'}`, async (model, { log, other }) => {
    const to = at(model, share)
    if (here) log.advanceHighWaterMark(to)
    else await other.run('state.log.advanceHighWaterMark(args)', to)
    model.mark = Math.max(model.mark, to)
    const gated = await other.run('return [...state.gated.messages()].map(({ offset }) => offset)')
    same(gated, model.held.filter(({ offset }) => offset < model.mark).map(({ offset }) => offset), 'messages of the gated handle')
  })),
  fc.tuple(list(20), fc.nat(6), isHere).map(([many, back, here]) => command(`producer, ${back} back`, async (model, { log, other }) => {
    // A batch again that is remembered, or the next one.
    const sequence = Math.max(0, model.batches.length - back)
    const isNew = sequence === model.batches.length
    if (many.length === 0 || (!isNew && back > 5)) return
    const producer = { id: 7, epoch: 1, sequence }
    const offset = here ? log.appendBatch(many, { producer }) : await other.run('return state.log.appendBatch(args.many, { producer: args.producer })', { many, producer })
    same(offset, isNew ? model.next : model.batches[sequence], 'offset of the batch')
    if (!isNew) return
    model.batches.push(model.next)
    for (const one of many) add(model, one)
  })),
  given.map((one) => command('expectedOffset', async (model, { log, other }) => {
    for (const expectedOffset of [model.next + 1, Math.max(0, model.next - 1)]) {
      if (expectedOffset === model.next) continue
      const code = await other.run('try { state.log.append(args.one.value, null, { expectedOffset: args.expectedOffset }) } catch (error) { return error.code }', { one, expectedOffset })
      same(code, 'VARVE_CONFLICT', 'an append that expects another offset')
    }
    same(log.append(one.value, one.key, { expectedOffset: model.next, time: one.time, headers: one.headers }), model.next, 'offset')
    add(model, one)
  })),
  fc.tuple(fc.array(place, { maxLength: 30 }), isHere).map(([shares, here]) => command(`delete(${shares.length}) ${here ? 'here' : 'there'}`, async (model, { log, other }) => {
    const offsets = shares.map((share) => at(model, share))
    const gone = model.held.filter(({ offset }) => offsets.includes(offset))
    const deleted = here ? await log.delete(offsets) : await other.run<{ offsets: number[] }>('return state.log.delete(args)', offsets)
    same(deleted.offsets, gone.map(({ offset }) => offset), 'deleted')
    remove(model, gone)
  })),
  fc.tuple(fc.constantFrom('olderThan', 'beforeOffset', 'keepMessages', 'updatesBefore', 'deletesBefore'), time, place, isHere).map(([which, time, share, here]) => command(`find and trim ${which}`, async (model, { log, other }) => {
    const value = which === 'beforeOffset' ? at(model, share / 2) : which === 'keepMessages' ? Math.ceil(model.held.length * (0.5 + share / 2)) : which === 'olderThan' ? time - 100 : time
    const rule = { [which]: value } as unknown as Rule
    const gone = meant(model, rule)
    const offsets = gone.map(({ offset }) => offset)
    same(await log.find(rule), offsets, 'found here')
    same(await other.run('return state.log.find(args)', rule), offsets, 'found there')
    const { entries } = here ? await log.trim(rule) : await other.run<{ entries: number }>('return state.log.trim(args)', rule)
    same(entries, gone.length, 'trimmed')
    remove(model, gone)
  })),
  isHere.map((here) => command(`compact ${here ? 'here' : 'there'}`, async (model, { log, other }) => {
    if (here) await log.compact()
    else await other.run('await state.log.compact()')
    const last = lastOf(model.held)
    remove(model, model.held.filter(({ key, offset, value }) => key !== null && (last.get(key) !== offset || value === null)))
  })),
  fc.constant(command('backup', async (model, { log }) => {
    const copy = `${log.dir}.copy-${model.next}-${model.held.length}`
    await log.backup(copy)
    const opened = await Log.open(copy)
    try {
      same(Array.from(opened.messages(), seen), model.held, 'messages of the copy')
      for (const key of KEYS) same(opened.offsetByKey(key), lastOf(model.held).get(key), `last of ${key} in the copy`)
    } finally {
      await opened.close()
    }
  })),
  fc.constantFrom('here', 'there', 'both').map((which) => command(`reopen ${which}`, async (model, real) => {
    const args = { dir: real.dir, options: OPTIONS }
    if (which !== 'here') await real.other.run('await state.log.close(); await state.gated.close(); state.log = state.gated = undefined')
    if (which !== 'there') {
      await real.log.close()
      real.log = await Log.open(real.dir, OPTIONS)
    }
    await real.other.run(OPEN, args)
    same(Array.from(real.log.messages(), seen), model.held, 'messages after a reopen')
  })),
  fc.constant(command('gc', async (_model, { log, other }) => {
    log.gc()
    await other.run('state.log.gc()')
  })),
]

test('a message log that two threads have open is an array, whichever of them asks and whichever writes', async (t) => {
  const seed = Number(process.env['VARVE_SEED'] ?? Date.now() & 0x7fffffff)
  const numRuns = Number(process.env['VARVE_RUNS'] ?? 40)
  t.timeout(Math.max(150_000, numRuns * 5000))
  t.log(`VARVE_SEED=${seed}`)
  const other = thread(t)
  await fc.assert(fc.asyncProperty(fc.commands(commands, { maxCommands: 50, size: 'max' }), async (given) => {
    const dir = `${freshDir(t)}/log`
    const real: Real = { dir, other, log: Log.openSync(dir, OPTIONS) }
    try {
      await other.run(OPEN, { dir, options: OPTIONS })
      await fc.asyncModelRun(() => ({ model: { held: [], next: 0, cursors: new Map(), mark: 0, batches: [] }, real }), given)
    } finally {
      await other.run('await state.log.close(); await state.gated.close(); state.log = state.gated = undefined')
      await real.log.close()
    }
  }), { seed, numRuns, interruptAfterTimeLimit: numRuns * 750, markInterruptAsFailure: false, includeErrorInReport: true })
  t.pass()
})
