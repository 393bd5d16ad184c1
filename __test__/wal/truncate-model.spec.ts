import test from 'ava'
import fc from 'fast-check'
import { Wal, type WalOptions, type WalReader, type WalRecord } from 'varve'
import { freshDir } from '../support/directory.ts'

// The log is held against an array, with readers that stand in it: whatever is dropped and by whom, the two say the same.

interface Standing {
  /** Index of the next record. */
  next: number
  returned: boolean
  /** A truncation or a reset has dropped what is before it, or where it stands. */
  cut: boolean
  gated: boolean
  done: boolean
}
interface Model {
  records: string[]
  first: number
  /** Number of committed records, counted from 0. */
  committed: number
  readers: Standing[]
}
interface Real {
  dir: string
  plain: Wal
  gated: Wal
  readers: (WalReader | IterableIterator<WalRecord>)[]
}
type Command = fc.AsyncCommand<Model, Real>

const same = (actual: unknown, expected: unknown, what: string): void => {
  if (actual !== expected) throw new Error(`${what}: ${String(actual)}, and should be ${String(expected)}`)
}

/** What `call` gives, or the code that it fails with. */
function outcome(call: () => unknown): unknown {
  try {
    return call()
  } catch (error) {
    const { code } = error as { code?: string }
    if (code === undefined) throw error
    return code
  }
}

const end = (model: Model): number => model.first + model.records.length

const command = (name: string, run: (model: Model, real: Real) => void | Promise<void>): Command => ({
  check: () => true,
  run: async (model, real) => {
    await run(model, real)
    const { plain, gated } = real
    same(plain.firstIndex, model.first, `firstIndex after ${name}`)
    same(plain.nextIndex, end(model), `nextIndex after ${name}`)
    same(gated.committedIndex, model.committed - 1, `committedIndex after ${name}`)
    same(plain.committedIndex, end(model) - 1, `committedIndex of the plain handle after ${name}`)
    same(plain.durableIndex <= end(model), true, `durableIndex after ${name}`)
  },
  toString: () => name,
})

function cutAt(model: Model, next: number): void {
  for (const reader of model.readers) if (reader.next > next) reader.cut = true
}

let serial = 0
const texts = (count: number, size: number): string[] => Array.from({ length: count }, () => `${serial++}`.padEnd(size, '.'))

/** A number that means a place in the log, or a little beside it. */
const place = fc.nat({ max: 1_000_000 })
const placed = (model: Model, n: number): number => model.first - 2 + (n % (model.records.length + 4))

const commands: fc.Arbitrary<Command>[] = [
  fc.tuple(fc.integer({ min: 1, max: 40 }), fc.constantFrom(5, 100, 2000)).map(([count, size]) => command(`append(${count} of ${size})`, (model, { plain }) => {
    const batch = texts(count, size)
    same(plain.appendBatch(batch), end(model), 'index')
    model.records.push(...batch)
  })),
  fc.constantFrom('os', 'disk').map((durability) => command(`appendAsync(${durability})`, async (model, { gated }) => {
    const [text = ''] = texts(1, 20)
    const appending = gated.appendAsync(text, { durability: durability as 'os' | 'disk', expectedIndex: end(model) })
    model.records.push(text)
    same(await appending, end(model) - 1, 'index')
    if (durability === 'disk') same(gated.durableIndex, end(model), 'durableIndex')
  })),
  fc.tuple(place, fc.boolean()).map(([n, later]) => command(`truncateAfter(${n}${later ? ', async' : ''})`, async (model, { plain, gated }) => {
    const index = placed(model, n)
    if (index < -1) return
    const next = index + 1
    const inRange = next >= model.first && next <= end(model)
    const busy = next < end(model) && model.readers.some((reader) => !reader.done && !reader.cut && reader.returned && reader.next > next)
    const expected = !inRange ? 'VARVE_OUT_OF_RANGE' : busy ? 'VARVE_BUSY' : undefined
    const actual = later ? await plain.truncateAfterAsync(index).catch((error: { code: string }) => error.code) : outcome(() => gated.truncateAfter(index))
    same(actual, expected, `truncateAfter(${index})`)
    if (expected !== undefined || next === end(model)) return
    model.records.length = next - model.first
    model.committed = Math.min(model.committed, next)
    cutAt(model, next)
  })),
  fc.tuple(place, fc.boolean()).map(([n, later]) => command(`truncateBefore(${n}${later ? ', async' : ''})`, async (model, { plain, gated }) => {
    const index = placed(model, n)
    if (index < 0) return
    const expected = index > end(model) ? 'VARVE_OUT_OF_RANGE' : undefined
    const actual = later ? await gated.truncateBeforeAsync(index).catch((error: { code: string }) => error.code) : outcome(() => plain.truncateBefore(index))
    same(actual, expected, `truncateBefore(${index})`)
    if (expected !== undefined || index <= model.first) return
    model.records.splice(0, index - model.first)
    model.first = index
    model.committed = Math.max(model.committed, index)
  })),
  place.map((n) => command(`reset(${n})`, (model, { plain }) => {
    const to = n % 5 === 0 ? n : Math.max(0, placed(model, n))
    plain.reset(to)
    Object.assign(model, { first: to, committed: to, records: [] })
    cutAt(model, to)
  })),
  place.map((n) => command(`commit(${n})`, (model, { plain }) => {
    const index = placed(model, n)
    if (index < 0) return
    same(outcome(() => plain.commit(index)), index >= end(model) ? 'VARVE_OUT_OF_RANGE' : undefined, `commit(${index})`)
    if (index < end(model)) model.committed = Math.max(model.committed, index + 1)
  })),
  fc.constant(command('rotate', (_, { plain }) => plain.rotate())),
  fc.constant(command('sync', async (model, { gated }) => same(await gated.sync(), end(model), 'durableIndex'))),
  fc.boolean().map((verify) => command(`reopen(${verify})`, async (model, real) => {
    await real.plain.close()
    await real.gated.close()
    real.plain = await Wal.open(real.dir, { verify })
    real.gated = await Wal.open(real.dir, { commitGate: true })
    real.readers = []
    model.readers = []
  })),
  place.map((n) => command(`get(${n})`, (model, { gated }) => {
    const index = placed(model, n)
    if (index < 0) return
    const expected = model.records[index - model.first]
    same(gated.get(index)?.toString(), expected, `record ${index}`)
    same(gated.get(index, { zeroCopy: true })?.toString(), expected, `view of record ${index}`)
    const position = gated.positionOf(index)
    same(position === undefined, expected === undefined, `positionOf(${index})`)
    if (position !== undefined) same(gated.getAt(position)?.toString(), expected, `getAt of ${index}`)
  })),
  fc.boolean().map((gate) => command(`all(${gate})`, (model, { gated, plain }) => {
    const seen = Array.from((gate ? gated : plain).records(), ({ data }) => data.toString())
    same(seen.join(), model.records.slice(0, gate ? model.committed - model.first : undefined).join(), 'all records')
  })),
  fc.tuple(place, fc.boolean(), fc.boolean(), fc.boolean()).map(([n, gate, iterates, zeroCopy]) => command(`begin(${n}, ${gate ? 'gated' : 'plain'}, ${iterates ? 'records' : 'reader'})`, (model, { gated, plain, readers }) => {
    if (readers.length > 6) return
    const from = Math.min(Math.max(placed(model, n), model.first), end(model))
    const log = gate ? gated : plain
    readers.push(iterates ? log.records({ from, zeroCopy }) : log.reader({ from, zeroCopy }))
    model.readers.push({ next: from, returned: false, cut: false, gated: gate, done: false })
  })),
  fc.tuple(place, fc.integer({ min: 1, max: 30 })).map(([n, steps]) => command(`step(${n}, ${steps})`, (model, { readers }) => {
    if (readers.length === 0) return
    const [real, reader] = [readers[n % readers.length]!, model.readers[n % readers.length]!]
    for (let i = 0; i < steps; i++) {
      if (reader.done) return
      const overtaken = reader.cut || reader.next < model.first || reader.next > end(model)
      const limit = reader.gated ? model.committed : end(model)
      const text = reader.next < limit ? `${reader.next} ${model.records[reader.next - model.first]}` : undefined
      const actual = outcome(() => {
        if ('advance' in real) return real.advance() ? `${real.index} ${real.data()}` : undefined
        const { value, done } = real.next() as IteratorResult<WalRecord, undefined>
        return done ? undefined : `${value!.index} ${value!.data}`
      })
      same(actual, overtaken ? 'VARVE_OUT_OF_RANGE' : text, `step of reader ${n % readers.length}`)
      // An iterator that has thrown is done.
      if (overtaken) return void (reader.done = !('advance' in real))
      if (text === undefined) reader.done = !('advance' in real)
      else Object.assign(reader, { next: reader.next + 1, returned: true })
    }
  })),
  fc.tuple(place, place).map(([n, m]) => command(`seek(${n}, ${m})`, (model, { readers }) => {
    const real = readers[n % Math.max(1, readers.length)]
    if (real === undefined || !('seek' in real)) return
    const index = placed(model, m)
    if (index < 0) return
    const inRange = index >= model.first && index <= end(model)
    same(outcome(() => real.seek(index)), inRange ? undefined : 'VARVE_OUT_OF_RANGE', `seek(${index})`)
    if (inRange) Object.assign(model.readers[n % readers.length]!, { next: index, returned: false, cut: false })
  })),
  place.map((n) => command(`leave(${n})`, (model, { readers }) => {
    if (readers.length === 0) return
    const [real] = readers.splice(n % readers.length, 1)
    model.readers.splice(n % (readers.length + 1), 1)
    if ('close' in real!) real.close()
    else real!.return!()
  })),
]

test('a log whose ends move is an array that survives, and its readers are told', async (t) => {
  t.timeout(120_000)
  const seed = Number(process.env['VARVE_SEED'] ?? Date.now() & 0x7fffffff)
  t.log(`VARVE_SEED=${seed}`)
  const options: fc.Arbitrary<WalOptions> = fc.record({ segmentSize: fc.constantFrom(65_536, 1 << 20), firstIndex: fc.constantFrom(0, 5, 2 ** 32 - 5) })
  await fc.assert(
    fc.asyncProperty(options, fc.commands(commands, { maxCommands: 80, size: 'max' }), async (given, list) => {
      const dir = freshDir(t)
      const plain = Wal.openSync(dir, given)
      const real: Real = { dir, plain, gated: Wal.openSync(dir, { commitGate: true }), readers: [] }
      try {
        await fc.asyncModelRun(() => ({ model: { records: [], first: given.firstIndex!, committed: given.firstIndex!, readers: [] }, real }), list)
      } finally {
        await real.plain.close()
        await real.gated.close()
      }
    }),
    { seed, numRuns: 80, interruptAfterTimeLimit: 60_000, markInterruptAsFailure: false },
  )
  t.pass()
})
