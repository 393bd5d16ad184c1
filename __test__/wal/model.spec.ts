import test from 'ava'
import fc from 'fast-check'
import { Wal, type WalOptions } from 'varve'
import { freshDir } from '../support/directory.ts'

// The log is held against an array: whatever is done, in whatever order, the two say the same.
interface Model {
  records: Buffer[]
  first: number
}
interface Real {
  log: Wal
  dir: string
}
type Command = fc.AsyncCommand<Model, Real>

const same = (actual: unknown, expected: unknown, what: string): void => {
  if (actual !== expected) throw new Error(`${what}: ${String(actual)}, and should be ${String(expected)}`)
}
const sameBytes = (actual: Buffer | undefined, expected: Buffer | undefined, what: string): void => {
  if (actual === undefined || expected === undefined ? actual !== expected : !actual.equals(expected)) throw new Error(`${what} differs`)
}

const command = (name: string, run: (model: Model, real: Real) => void | Promise<void>): Command => ({
  check: () => true,
  run: async (model, real) => {
    await run(model, real)
    same(real.log.nextIndex, model.first + model.records.length, `nextIndex after ${name}`)
  },
  toString: () => name,
})

const bytes = fc.oneof({ weight: 8, arbitrary: fc.uint8Array({ maxLength: 300 }) }, { weight: 1, arbitrary: fc.integer({ min: 300, max: 40_000 }).map((length) => new Uint8Array(length).fill(length)) })
const record = fc.oneof(bytes, fc.string({ unit: 'grapheme', maxLength: 80 }))
const asBytes = (data: Uint8Array | string): Buffer => Buffer.from(data as string)

const commands: fc.Arbitrary<Command>[] = [
  record.map((data) => command(`append(${data.length})`, (model, { log }) => {
    same(log.append(data), model.first + model.records.length, 'index')
    model.records.push(asBytes(data))
  })),
  fc.array(record, { maxLength: 60 }).map((batch) => command(`appendBatch(${batch.length})`, (model, { log }) => {
    same(log.appendBatch(batch), model.first + model.records.length, 'index')
    model.records.push(...batch.map(asBytes))
  })),
  fc.array(bytes, { maxLength: 20 }).map((batch) => command(`appendPacked(${batch.length})`, (model, { log }) => {
    let end = 0
    const ends = Uint32Array.from(batch, (data) => (end += data.length))
    same(log.appendPacked(Buffer.concat(batch), ends), model.first + model.records.length, 'index')
    model.records.push(...batch.map(asBytes))
  })),
  fc.tuple(record, fc.constantFrom('os', 'disk')).map(([data, durability]) => command(`appendAsync(${data.length}, ${durability})`, async (model, { log }) => {
    const index = model.first + model.records.length
    same(await log.appendAsync(data, { durability: durability as 'os' | 'disk' }), index, 'index')
    if (durability === 'disk') same(log.durableIndex, index + 1, 'durableIndex')
    model.records.push(asBytes(data))
  })),
  fc.nat().map((n) => command(`get(${n})`, (model, { log }) => {
    const index = model.first + (n % (model.records.length + 3)) - 1
    if (index >= 0) sameBytes(log.get(index), model.records[index - model.first], `record ${index}`)
  })),
  fc.tuple(fc.nat(), fc.nat()).map(([a, b]) => command(`records(${a}, ${b})`, (model, { log }) => {
    const from = a % (model.records.length + 1)
    const to = b % (model.records.length + 1)
    let next = from
    for (const { index, data } of log.records({ from: model.first + from, to: model.first + to })) {
      same(index, model.first + next, 'index')
      sameBytes(data, model.records[next], `record ${index}`)
      next++
    }
    same(next, Math.max(from, to), 'end')
  })),
  fc.nat().map((n) => command(`reader(${n})`, (model, { log }) => {
    let next = n % (model.records.length + 1)
    using reader = log.reader({ from: model.first + next })
    while (reader.advance()) sameBytes(reader.data(), model.records[next++], `record ${reader.index}`)
    same(next, model.records.length, 'end')
  })),
  fc.constant(command('rotate', (_, { log }) => log.rotate())),
  fc.constant(command('sync', async (model, { log }) => same(await log.sync(), model.first + model.records.length, 'durableIndex'))),
  fc.constant(command('conflict', (model, { log }) => {
    try {
      log.append('x', { expectedIndex: model.first + model.records.length + 1 })
    } catch (error) {
      return same((error as { code: string }).code, 'VARVE_CONFLICT', 'code')
    }
    throw new Error('no conflict')
  })),
  fc.boolean().map((verify) => command(`reopen(${verify})`, async (_, real) => {
    await real.log.close()
    real.log = await Wal.open(real.dir, { verify })
  })),
]

test('a log is an array that survives', async (t) => {
  t.timeout(120_000)
  const seed = Number(process.env['VARVE_SEED'] ?? Date.now() & 0x7fffffff)
  t.log(`VARVE_SEED=${seed}`)
  const options: fc.Arbitrary<WalOptions> = fc.record({ segmentSize: fc.constantFrom(65_536, 131_072, 16 << 20), firstIndex: fc.constantFrom(0, 1, 2 ** 32 - 5, 2 ** 50) })
  await fc.assert(
    fc.asyncProperty(options, fc.commands(commands, { maxCommands: 60, size: 'max' }), async (given, list) => {
      const dir = freshDir(t)
      const real: Real = { dir, log: Wal.openSync(dir, given) }
      try {
        await fc.asyncModelRun(() => ({ model: { records: [], first: given.firstIndex! }, real }), list)
      } finally {
        await real.log.close()
      }
    }),
    { seed, numRuns: 120, interruptAfterTimeLimit: 60_000, markInterruptAsFailure: false },
  )
  t.pass()
})
