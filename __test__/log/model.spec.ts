import test from 'ava'
import fc from 'fast-check'
import { Log, type LogOptions } from 'varve'
import { freshDir } from '../support/directory.ts'

// The log is held against an array: whatever is done, in whatever order, the two say the same.
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
  start: number
  cursors: Map<string, number>
}
interface Real {
  log: Log
  dir: string
}
type Command = fc.AsyncCommand<Model, Real>
type Given = { key: string | null; value: string | null; time: number; headers: Record<string, string> }

const same = (actual: unknown, expected: unknown, what: string): void => {
  if (JSON.stringify(actual) !== JSON.stringify(expected)) throw new Error(`${what}: ${JSON.stringify(actual)}, and should be ${JSON.stringify(expected)}`)
}

const command = (name: string, run: (model: Model, real: Real) => void | Promise<void>): Command => ({
  check: () => true,
  run: async (model, real) => {
    await run(model, real)
    same(real.log.nextOffset, model.next, `nextOffset after ${name}`)
    same(real.log.startOffset, model.held[0]?.offset ?? model.next, `startOffset after ${name}`)
  },
  toString: () => name,
})

const text = fc.oneof({ weight: 6, arbitrary: fc.string({ unit: 'grapheme', maxLength: 60 }) }, { weight: 1, arbitrary: fc.integer({ min: 300, max: 20_000 }).map((length) => 'x'.repeat(length)) })
const given: fc.Arbitrary<Given> = fc.record({
  key: fc.option(fc.constantFrom('', 'a', 'b', 'c', 'é', 'k'.repeat(300)), { nil: null }),
  value: fc.option(text, { nil: null, freq: 8 }),
  time: fc.integer({ min: -1000, max: 1000 }).map((time) => time / 8),
  headers: fc.dictionary(fc.string({ maxLength: 5 }).filter((name) => name !== '__proto__'), fc.string({ maxLength: 9 }), { maxKeys: 2, noNullPrototype: true }),
})
const add = (model: Model, { key, value, time, headers }: Given): void => void model.held.push({ offset: model.next++, key, value, time, headers: JSON.stringify(Object.entries(headers)) })
const seen = ({ offset, key, value, time, headers }: NonNullable<ReturnType<Log['get']>>): Held => ({
  offset, key: key && key.toString(), value: value && value.toString(), time, headers: JSON.stringify(Object.entries(headers).map(([name, bytes]) => [name, bytes.toString()])),
})

const OPTIONS: LogOptions = { segmentSize: 65_536 }
const place = fc.double({ min: 0, max: 1, noNaN: true })
const at = (model: Model, share: number): number => model.start + Math.floor(share * (model.next - model.start))
/** The log begins at the lowest offset left. */
const dropped = (model: Model): void => void (model.start = model.held[0]?.offset ?? model.next)

const commands: fc.Arbitrary<Command>[] = [
  given.map((one) => command('append', (model, { log }) => {
    same(log.append(one.value, one.key, { time: one.time, headers: one.headers }), model.next, 'offset')
    add(model, one)
  })),
  fc.tuple(fc.array(given, { maxLength: 300 }), fc.constantFrom('none', 'lz4', 'snappy', 'zstd', 'gzip')).map(([many, compression]) => command(`appendBatch(${many.length}, ${compression})`, (model, { log }) => {
    same(log.appendBatch(many, { compression: compression as 'none' }), model.next, 'offset')
    for (const one of many) add(model, one)
  })),
  place.map((share) => command(`get(${share})`, async (model, { log }) => {
    if (model.next === model.start) return
    const offset = Math.min(at(model, share), model.next - 1)
    const expected = model.held.find((held) => held.offset === offset)
    for (const found of [log.get(offset), await log.getAsync(offset)]) same(found && seen(found), expected, `get(${offset})`)
    const last = log.get('last')
    same(last && seen(last), model.held.at(-1), 'last')
    const first = log.get('first')
    same(first && seen(first), model.held[0], 'first')
  })),
  fc.tuple(place, place, fc.constantFrom(undefined, null, 'a', 'é')).map(([one, other, key]) => command(`messages(${one}, ${other}, ${key})`, async (model, { log }) => {
    const [from, to] = [at(model, Math.min(one, other)), at(model, Math.max(one, other))]
    const expected = model.held.filter((held) => held.offset >= from && held.offset < to && (key === undefined || held.key === key))
    const options = key === undefined ? { from, to } : { from, to, key }
    same(Array.from(log.messages(options), seen), expected, 'messages')
    const later: Held[] = []
    for await (const message of log.messagesAsync(options)) later.push(seen(message))
    same(later, expected, 'messagesAsync')
    const { messages, nextOffset } = log.consume(from, { max: 5, ...(key === undefined ? {} : { key }) })
    same(messages.map(seen), model.held.filter((held) => held.offset >= from && (key === undefined || held.key === key)).slice(0, 5), 'consume')
    if (messages.length === 5) same(nextOffset, messages[4]!.offset + 1, 'nextOffset of consume')
  })),
  fc.constantFrom('a', 'b', 'c', '', 'é', 'missing', null).map((key) => command(`getByKey(${key})`, async (model, { log }) => {
    const expected = model.held.filter((held) => held.key === key).at(-1)
    for (const found of [log.getByKey(key), await log.getByKeyAsync(key)]) same(found && seen(found), expected, `getByKey(${key})`)
    same(log.offsetByKey(key), expected?.offset, 'offsetByKey')
  })),
  fc.integer({ min: -1100, max: 1100 }).map((n) => n / 8).map((time) => command(`getByTime(${time})`, (model, { log }) => {
    const found = log.getByTime(time)
    same(found && seen(found), model.held.find((held) => held.time >= time), `getByTime(${time})`)
  })),
  fc.tuple(fc.constantFrom('one', 'two'), place).map(([name, share]) => command(`cursor(${name})`, (model, { log }) => {
    const cursor = log.cursor(name)
    same(cursor.offset, model.cursors.get(name) ?? model.start, 'cursor')
    cursor.save(at(model, share))
    model.cursors.set(name, at(model, share))
  })),
  fc.array(place, { maxLength: 40 }).map((shares) => command(`delete(${shares.length})`, async (model, { log }) => {
    const offsets = new Set(shares.map((share) => at(model, share)))
    const expected = model.held.filter(({ offset }) => offsets.has(offset)).map(({ offset }) => offset)
    same((await log.delete(offsets)).offsets, expected, 'deleted')
    model.held = model.held.filter(({ offset }) => !offsets.has(offset))
    dropped(model)
  })),
  place.map((share) => command(`trim(${share})`, async (model, { log }) => {
    const beforeOffset = at(model, share / 3)
    await log.trim({ beforeOffset })
    model.held = model.held.filter(({ offset }) => offset >= beforeOffset)
    dropped(model)
  })),
  fc.constant(command('compact', async (model, { log }) => {
    await log.compact()
    const last = new Map(model.held.map(({ key, offset }) => [key, offset]))
    model.held = model.held.filter(({ key, offset, value }) => key === null || (last.get(key) === offset && value !== null))
    dropped(model)
  })),
  fc.boolean().map((sync) => command(`reopen(${sync})`, async (_model, real) => {
    if (sync) real.log.syncSync()
    await real.log.close()
    real.log = await Log.open(real.dir, OPTIONS)
  })),
]

test('a message log is an array that survives', async (t) => {
  t.timeout(120_000)
  const seed = Number(process.env['VARVE_SEED'] ?? Date.now() & 0x7fffffff)
  t.log(`VARVE_SEED=${seed}`)
  await fc.assert(fc.asyncProperty(fc.commands(commands, { maxCommands: 60, size: 'max' }), async (given) => {
    const dir = freshDir(t)
    const real: Real = { dir, log: Log.openSync(dir, { ...OPTIONS, indexes: { key: true, time: true } }) }
    try {
      await fc.asyncModelRun(() => ({ model: { held: [], next: 0, start: 0, cursors: new Map() }, real }), given)
    } finally {
      await real.log.close()
    }
  }), { seed, numRuns: 80, interruptAfterTimeLimit: 40_000, markInterruptAsFailure: false, includeErrorInReport: true })
  t.pass()
})
