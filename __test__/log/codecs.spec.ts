import test from 'ava'
import { type Codec, codecs, Log, type StandardSchemaLike } from 'varve'
import { closedAfter, freshDir } from '../support/directory.ts'

interface Flight { origin: string; delay: number }

test('keys and values go through their codecs, by every way in and out', async (t) => {
  const dir = freshDir(t)
  const log = closedAfter(t, await Log.open(dir, { key: codecs.utf8, value: codecs.json<Flight>(), indexes: { key: true, time: true } }))
  const flights: Flight[] = Array.from({ length: 20 }, (_, i) => ({ origin: `é${i}`, delay: i / 4 }))
  log.append(flights[0]!, 'a')
  log.append(flights[1]!, 'b', { headers: { h: 'x' } })
  await log.appendAsync(flights[2]!, 'c')
  log.appendBatch(flights.slice(3, 10).map((value) => ({ value, key: value.origin })))
  await log.appendBatchAsync(flights.slice(10).map((value) => ({ value })))
  log.append(null, 'a')
  const values = [...flights, null]
  const keys = ['a', 'b', 'c', ...flights.slice(3, 10).map(({ origin }) => origin), ...flights.slice(10).map(() => null), 'a']
  t.deepEqual(Array.from(log.messages(), ({ value }) => value), values)
  t.deepEqual(Array.from(log.messages(), ({ key }) => key), keys)
  t.deepEqual(log.consume(0).messages.map(({ value }) => value), values)
  t.deepEqual((await log.consumeAsync(0)).messages.map(({ key }) => key), keys)
  t.deepEqual(values.map((_, offset) => log.get(offset)!.value), values)
  t.deepEqual(await Promise.all(values.map(async (_, offset) => (await log.getAsync(offset))!.value)), values)
  using reader = log.reader()
  for (let i = 0; i < values.length; i++) {
    t.true(reader.advance())
    t.deepEqual([reader.key(), reader.value()], [keys[i]!, values[i]!])
  }
  t.is(log.getByKey('a')!.value, null)
  t.deepEqual(log.getByKey('b')!.value, flights[1])
  t.is(log.offsetByKey('c'), 2)
  t.deepEqual((await log.getByKeyAsync('é5'))!.value, flights[5])
  t.deepEqual(Array.from(log.messages({ key: 'a' }), ({ value }) => value), [flights[0], null])
  t.is(log.consume(0, { key: 'é7' }).messages[0]!.key, 'é7')
})

test('the names of both codecs are stored, and others are refused, naming both', async (t) => {
  const dir = freshDir(t)
  await (await Log.open(dir, { key: codecs.utf8, value: codecs.json() })).close()
  for (const options of [{}, { value: codecs.json() }, { key: codecs.utf8, value: codecs.utf8 }, { key: codecs.json(), value: codecs.utf8 }] as object[]) {
    const error = t.throws(() => Log.openSync(dir, options), { code: 'VARVE_INVALID_ARGUMENT' })
    t.regex(error!.message, /utf8\/json/)
    await t.throwsAsync(Log.open(dir, options), { code: 'VARVE_INVALID_ARGUMENT' })
  }
  const log = closedAfter(t, Log.openSync(dir, { key: codecs.utf8, value: codecs.json() }))
  t.is(log.stats().codec, 'utf8/json')
  const named = (name: string): Codec<string> => ({ name, encode: (text) => text, decode: (bytes) => bytes.toString() })
  const other = freshDir(t)
  await (await Log.open(other, { key: named('a/b'), value: named('c') })).close()
  t.throws(() => Log.openSync(other, { key: named('a'), value: named('b/c') }), { code: 'VARVE_INVALID_ARGUMENT' })
})

test('bytes are the default', async (t) => {
  const dir = freshDir(t)
  const log = await Log.open(dir, { key: codecs.bytes, value: codecs.bytes })
  log.append('x')
  await log.close()
  t.is(closedAfter(t, Log.openSync(dir)).get(0)!.value!.toString(), 'x')
})

test('what is not looked at is not decoded, and what is, once', (t) => {
  const counted = { decoded: 0 }
  const codec: Codec<string> = { name: 'counted', encode: (text) => text, decode: (bytes) => (counted.decoded++, bytes.toString()) }
  const log = closedAfter(t, Log.openSync(freshDir(t), { key: codecs.utf8, value: codec }))
  for (let i = 0; i < 100; i++) log.append(`${i}`, 'k')
  const messages = [...log.messages()]
  t.is(messages.reduce((sum, { offset }) => sum + offset, 0), 4950)
  t.is(counted.decoded, 0)
  t.is(messages[5]!.value, '5')
  t.is(messages[5]!.value, '5')
  t.is(counted.decoded, 1)
})

test('a codec that throws fails its call and nothing else', async (t) => {
  const codec: Codec<number> = {
    name: 'picky',
    encode(value) {
      if (value === 13) throw new RangeError('unlucky')
      return String(value)
    },
    decode(bytes) {
      if (bytes.toString() === '7') throw new RangeError('seven')
      return Number(bytes)
    },
  }
  const log = closedAfter(t, Log.openSync(freshDir(t), { value: codec }))
  t.throws(() => log.append(13), { instanceOf: RangeError, message: 'unlucky' })
  t.throws(() => log.appendBatch([{ value: 1 }, { value: 13 }]), { message: 'unlucky' })
  await t.throwsAsync(log.appendAsync(13), { message: 'unlucky' })
  t.is(log.nextOffset, 0)
  log.appendBatch([{ value: 6 }, { value: 7 }, { value: 8 }])
  const messages = [...log.messages()]
  t.is(messages[0]!.value, 6)
  t.throws(() => messages[1]!.value, { message: 'seven' })
  t.throws(() => messages[1]!.value, { message: 'seven' })
  t.is(messages[2]!.value, 8)
})

test('a codec that itself appends, in the middle of a batch, is allowed', (t) => {
  const log: Log<Buffer<ArrayBuffer>, string> = closedAfter(t, Log.openSync(freshDir(t), {
    value: {
      name: 'nested',
      encode(text: string) {
        if (text.startsWith('outer')) log.appendBatch([{ value: `inner of ${text}` }], { expectedOffset: log.nextOffset })
        return text
      },
      decode: (bytes) => bytes.toString(),
    },
  }))
  log.appendBatch([{ value: 'outer 1' }, { value: 'outer 2' }], { compression: 'lz4' })
  t.deepEqual(Array.from(log.messages(), ({ value }) => value), ['inner of outer 1', 'inner of outer 2', 'outer 1', 'outer 2'])
})

test('a value codec that yields null or undefined is refused: null is no value', (t) => {
  const json = closedAfter(t, Log.openSync(freshDir(t), { value: codecs.json<unknown>() }))
  const code = { code: 'VARVE_INVALID_ARGUMENT' }
  for (const value of [NaN, { toJSON: () => null }, undefined]) {
    t.throws(() => json.append(value), code)
    t.throws(() => json.append(value, null, { time: 5 }), code)
    t.throws(() => json.appendBatch([{ value }]), code)
  }
  t.is(json.nextOffset, 0)
  json.append('null')
  json.append(null)
  t.deepEqual(Array.from(json.messages(), ({ value }) => value), ['null', null])

  const nothing: Codec<string> = { name: 'nothing', encode: () => undefined as unknown as string, decode: () => undefined as unknown as string }
  const log = closedAfter(t, Log.openSync(freshDir(t), { value: nothing }))
  t.throws(() => log.append('x'), code)
  t.throws(() => log.appendBatch([{ value: 'x' }]), code)
  t.is(log.nextOffset, 0)
  const reads: Codec<string> = { name: 'reads', encode: (text) => text, decode: () => null as unknown as string }
  const other = closedAfter(t, Log.openSync(freshDir(t), { value: reads }))
  other.append('x')
  t.throws(() => other.get(0)!.value, { code: 'VARVE_TYPE_MISMATCH' })
})

test('a schema checks what is written and what is read', (t) => {
  const schema: StandardSchemaLike<Flight> = {
    '~standard': {
      validate: (value) => (typeof (value as Flight).delay === 'number' ? { value } : { issues: [{ message: 'no delay', path: ['delay'] }] }),
    },
  }
  const dir = freshDir(t)
  const loose = Log.openSync(dir, { value: codecs.json<object>() })
  loose.append({ origin: 'SJC' })
  loose.closeSync()
  const log = closedAfter(t, Log.openSync(dir, { value: codecs.json({ schema }) }))
  t.throws(() => log.append({ origin: 'x' } as Flight), { code: 'VARVE_INVALID_ARGUMENT' })
  log.append({ origin: 'x', delay: 1 })
  const [first, second] = [...log.messages()]
  t.throws(() => first!.value, { code: 'VARVE_TYPE_MISMATCH' })
  t.is(second!.value!.delay, 1)
})

test('codecs with encodeInto and decodeFrom', async (t) => {
  const log = closedAfter(t, Log.openSync(freshDir(t), { key: codecs.varint, value: codecs.float64 }))
  for (let i = -500; i < 500; i++) log.append(i / 8, i)
  log.appendBatch(Array.from({ length: 1000 }, (_, i) => ({ value: i / 8, key: i - 500 })))
  let at = 0
  for (const { key, value } of log.messages()) {
    const i = at < 1000 ? at - 500 : at - 1000
    if (value !== i / 8 || key !== (at % 1000) - 500) t.fail(`${at}: ${key} ${value}`)
    at++
  }
  t.is(at, 2000)
  t.is((await log.getAsync(3))!.value, -497 / 8)
})
