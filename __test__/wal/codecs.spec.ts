import test from 'ava'
import { type Bytes, type Codec, codecs, isVarveError, Wal } from 'varve'
import { closedAfter, freshDir } from '../support/directory.ts'
import { instanceOf } from '../support/errors.ts'

const openWith = <T>(t: Parameters<typeof freshDir>[0], codec: Codec<T>): Wal<T> => closedAfter(t, Wal.openSync(freshDir(t), { codec }))

const values: { [name: string]: { codec: Codec<unknown>; good: unknown[]; bad: unknown[] } } = {
  utf8: { codec: codecs.utf8 as Codec<unknown>, good: ['', 'a', 'é€😀', 'x'.repeat(100_000)], bad: [5, null, undefined, Buffer.from('x')] },
  varint: {
    codec: codecs.varint as Codec<unknown>,
    good: [0, 1, -1, 63, -64, 64, -65, 8191, -8192, 8192, 2 ** 31, -(2 ** 31), 2 ** 32, 2 ** 52 + 1, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER],
    bad: [0.5, NaN, Infinity, 2 ** 53, -(2 ** 53), '1', 1n, null, undefined],
  },
  int64: { codec: codecs.int64 as Codec<unknown>, good: [0n, 1n, -1n, 2n ** 63n - 1n, -(2n ** 63n)], bad: [2n ** 63n, -(2n ** 63n) - 1n, 1, '1', null] },
  float64: { codec: codecs.float64 as Codec<unknown>, good: [0, -0, 1.5, NaN, Infinity, -Infinity, Number.MIN_VALUE, Number.MAX_VALUE], bad: ['1', 1n, null, undefined] },
  boolean: { codec: codecs.boolean as Codec<unknown>, good: [true, false], bad: [0, 1, 'true', null, undefined] },
  json: { codec: codecs.json(), good: [null, 0, 'x', [], {}, { a: [1, { b: null }] }, 'é€😀', true], bad: [undefined, () => {}, Symbol('s')] },
}

for (const [name, { codec, good, bad }] of Object.entries(values)) {
  test(`${name}: what goes in comes out, by every way`, async (t) => {
    const log = openWith(t, codec)
    for (const value of good) log.append(value)
    log.appendBatch(good)
    await log.appendAsync(good[0])
    await log.appendBatchAsync(good)
    const all = [...good, ...good, good[0], ...good]
    t.deepEqual(Array.from(log.records(), ({ data }) => data), all)
    t.deepEqual(all.map((_, index) => log.get(index)), all)
    t.deepEqual(await Promise.all(all.map((_, index) => log.getAsync(index))), all)
    using reader = log.reader()
    for (const value of all) {
      t.true(reader.advance())
      t.deepEqual(reader.data(), value)
    }
  })

  test(`${name}: what it cannot hold is refused, and nothing is written`, async (t) => {
    const log = openWith(t, codec)
    for (const value of bad) {
      const error = t.throws(() => log.append(value), { code: 'VARVE_INVALID_ARGUMENT' })
      t.true(error instanceof TypeError || error instanceof RangeError)
      t.throws(() => log.appendBatch([good[0], value]), { code: 'VARVE_INVALID_ARGUMENT' })
      await t.throwsAsync(log.appendAsync(value), { code: 'VARVE_INVALID_ARGUMENT' })
    }
    t.is(log.nextIndex, 0)
  })
}

test('bytes is the default', async (t) => {
  const dir = freshDir(t)
  const log = Wal.openSync(dir, { codec: codecs.bytes })
  log.append(Buffer.from('x'))
  await log.close()
  const again = closedAfter(t, Wal.openSync(dir))
  t.is(again.get(0)!.toString(), 'x')
})

test('a varint is zigzag LEB128, and has one form', (t) => {
  const encode = (value: number): string => (codecs.varint.encode(value) as Buffer).toString('hex')
  t.is(encode(0), '00')
  t.is(encode(-1), '01')
  t.is(encode(63), '7e')
  t.is(encode(64), '8001')
  t.is(encode(-300), 'd704')
  for (const bytes of ['', '80', '8000', '0001', 'ffffffffffffffff7f', 'ffffffffffffff7f']) {
    t.throws(() => codecs.varint.decode(Buffer.from(bytes, 'hex')), { instanceOf, code: 'VARVE_TYPE_MISMATCH' }, bytes)
  }
})

test('bytes of another length are no int64, float64 or boolean', (t) => {
  for (const codec of [codecs.int64, codecs.float64, codecs.boolean] as Codec<unknown>[]) {
    for (const length of [0, 2, 7, 9]) t.throws(() => codec.decode(Buffer.alloc(length, 1)), { code: 'VARVE_TYPE_MISMATCH' })
  }
  t.throws(() => codecs.boolean.decode(Buffer.of(2)), { code: 'VARVE_TYPE_MISMATCH' })
})

test('the name of the codec is stored; another at open is refused, naming both', async (t) => {
  const dir = freshDir(t)
  const log = Wal.openSync(dir, { codec: codecs.json() })
  log.append({})
  const shared = t.throws(() => Wal.openSync(dir, { codec: codecs.utf8 }), { code: 'VARVE_INVALID_ARGUMENT' })
  t.regex(shared!.message, /json.*utf8|utf8.*json/)
  await log.close()
  for (const codec of [codecs.bytes, codecs.utf8] as Codec<unknown>[]) {
    const error = t.throws(() => Wal.openSync(dir, { codec }), { code: 'VARVE_INVALID_ARGUMENT' })
    t.regex(error!.message, /json/)
    t.regex(error!.message, new RegExp(codec.name))
  }
  Wal.openSync(dir, { codec: codecs.json() }).closeSync()
})

test('a codec that throws when it decodes fails that call alone', (t) => {
  const codec: Codec<string> = { name: 'picky', encode: (text) => text, decode: (bytes) => { if (bytes.toString() === 'bad') throw new Error('picky'); return bytes.toString() } }
  const log = openWith(t, codec)
  log.appendBatch(['good', 'bad', 'fine'])
  t.throws(() => log.get(1), { message: 'picky' })
  t.is(log.get(0), 'good')
  const records = log.records()
  t.is(records.next().value.data, 'good')
  t.throws(() => records.next(), { message: 'picky' })
  t.is(records.next().value.data, 'fine')
})

test('a codec that returns neither bytes nor a string is refused', (t) => {
  const log = openWith(t, { name: 'odd', encode: (value) => value as string, decode: (bytes) => bytes } as Codec<unknown>)
  for (const value of [5, null, undefined, {}, [1]]) {
    t.throws(() => log.append(value), { code: 'VARVE_INVALID_ARGUMENT' })
    t.throws(() => log.appendBatch([value]), { code: 'VARVE_INVALID_ARGUMENT' })
  }
  t.is(log.nextIndex, 0)
})

test('bytes given to decode are the value’s own', (t) => {
  const kept: Bytes[] = []
  const log = openWith(t, { name: 'keeper', encode: (value) => value, decode: (bytes) => { kept.push(bytes); return bytes } } as Codec<Bytes>)
  for (let i = 0; i < 1000; i++) log.append(Buffer.from(`${i}`))
  for (const _ of log.records()) void _
  for (let i = 0; i < 1000; i++) log.get(i)
  t.true(kept.every((bytes, i) => bytes.toString() === `${i % 1000}`))
})

test('encodeInto is asked again where it does not fit, and must say where it ended', (t) => {
  const answer: { end: number | undefined } = { end: undefined }
  const codec: Required<Codec<Bytes>> = {
    name: 'into',
    encode: (value) => value,
    decode: (bytes) => bytes,
    encodeInto: (value, target, at) => answer.end ?? (at + value.length <= target.length ? at + value.copy(target, at) : -1),
    decodeFrom: (source, start, end) => Buffer.from(source.subarray(start, end)),
  }
  const log = openWith(t, codec)
  const records = [Buffer.alloc(10, 1), Buffer.alloc(100_000, 2), Buffer.alloc(3_000_000, 3)]
  log.appendBatch(records)
  t.deepEqual(Array.from(log.records(), ({ data }) => data), records)
  for (const end of [-2, 1.5, NaN, 1e9, '5', {}]) {
    answer.end = end as number
    t.throws(() => log.appendBatch([Buffer.from('x')]), { code: 'VARVE_INVALID_ARGUMENT' }, String(end))
  }
  answer.end = -1
  t.throws(() => log.appendBatch([Buffer.from('x')]), { code: 'VARVE_TOO_LARGE' })
  t.is(log.nextIndex, 3)
})

test('decodeFrom may read from the log itself', (t) => {
  const codec: Codec<string> = {
    ...codecs.utf8,
    name: 'deep',
    decodeFrom(source, start, end) {
      if (source.toString('utf8', start, end) === 'nested') log.get(0)
      return source.toString('utf8', start, end)
    },
  }
  const log: Wal<string> = openWith(t, codec)
  log.appendBatch(['first', 'nested', 'last'])
  t.is(log.get(1), 'nested')
  t.deepEqual(Array.from(log.records(), ({ data }) => data), ['first', 'nested', 'last'])
})

const flight = {
  '~standard': {
    validate(value: unknown): unknown {
      const { date } = (value ?? {}) as { date?: unknown }
      if (typeof date !== 'string' || Number.isNaN(Date.parse(date))) return { issues: [{ message: 'is no date', path: ['date'] }] }
      return { value: { date: new Date(date) } }
    },
    types: undefined as { output: { date: Date } } | undefined,
  },
}

test('a schema checks what goes in as it will be read, and makes what comes out', (t) => {
  const dir = freshDir(t)
  const log = closedAfter(t, Wal.openSync(dir, { codec: codecs.json({ schema: flight }) }))
  log.append({ date: new Date(0) })
  t.deepEqual(log.get(0), { date: new Date(0) })
  const error = t.throws(() => log.append({ date: 'never' as unknown as Date }), { instanceOf: TypeError, code: 'VARVE_INVALID_ARGUMENT' })
  t.regex(error!.message, /date: is no date/)
  t.is(log.nextIndex, 1)
  const loose = closedAfter(t, Wal.openSync(dir, { codec: codecs.json() }))
  loose.append({ other: 1 })
  t.throws(() => log.get(1), { instanceOf, code: 'VARVE_TYPE_MISMATCH', message: /date: is no date/ })
})

test('an asynchronous schema is VARVE_UNSUPPORTED, and what is no schema is refused', (t) => {
  const later = { '~standard': { validate: async (value: unknown) => ({ value }) } }
  const log = openWith(t, codecs.json({ schema: later }))
  t.throws(() => log.append(1), { code: 'VARVE_UNSUPPORTED' })
  for (const schema of [null, 5, {}, { '~standard': {} }]) {
    const error = t.throws(() => codecs.json({ schema: schema as unknown as typeof later }), { instanceOf: TypeError })
    t.true(isVarveError(error, 'VARVE_INVALID_ARGUMENT'))
  }
  t.throws(() => codecs.json({ shema: later } as object), { code: 'VARVE_INVALID_ARGUMENT' })
})
