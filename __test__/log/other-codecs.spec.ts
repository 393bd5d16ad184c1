// Codecs of others, as they are: a name, and the two functions of the package.
import { decode as cborDecode, encode as cborEncode } from 'cbor-x'
import { pack, unpack } from 'msgpackr'
import test from 'ava'
import { type Codec, Log, Wal } from 'varve'
import { closedAfter, freshDir } from '../support/directory.ts'

interface Order {
  id: number
  at: Date
  items: { name: string; count: number }[]
  signature: Uint8Array
  note?: string | null
}

const orderOf = (i: number): Order => ({
  id: i,
  at: new Date(Date.UTC(2026, 0, 1, 0, 0, i)),
  items: Array.from({ length: i % 4 }, (_, j) => ({ name: `item ${j} – 茶`, count: i * j })),
  signature: Uint8Array.from({ length: 1 + (i % 40) }, (_, j) => (i + j) % 256),
  ...(i % 3 === 0 ? {} : { note: i % 3 === 1 ? null : `note ${i}` }),
})
/** As plain data: packages give bytes as whatever kind of array they like. */
const plain = (order: Order | undefined | null): unknown => order && { ...order, signature: [...order.signature] }

const packages: { [name: string]: <T>() => Codec<T> } = {
  msgpackr: <T>() => ({ name: 'msgpack', encode: (value: T) => pack(value), decode: (bytes) => unpack(bytes) as T }),
  'cbor-x': <T>() => ({ name: 'cbor', encode: (value: T) => cborEncode(value), decode: (bytes) => cborDecode(bytes) as T }),
}

for (const [name, codec] of Object.entries(packages)) {
  test(`${name} is a codec of records: append, get, read on every way, and reopen`, async (t) => {
    const dir = freshDir(t)
    const log = closedAfter(t, await Wal.open(dir, { codec: codec<Order>() }))
    for (let i = 0; i < 300; i++) log.append(orderOf(i))
    log.appendBatch(Array.from({ length: 200 }, (_, i) => orderOf(300 + i)))
    await log.sync()
    for (const i of [0, 7, 299, 499]) t.deepEqual(plain(log.get(i)), plain(orderOf(i)))
    const kept = Array.from(log.records(), ({ data }) => data)
    for await (const { index, data } of log.recordsAsync()) t.deepEqual(plain(data), plain(orderOf(index)))
    for (const { index, data } of log.records({ zeroCopy: true })) t.deepEqual(plain(data), plain(orderOf(index)))
    // What was decoded may be kept, bytes in it too.
    t.deepEqual(kept.map(plain), Array.from({ length: 500 }, (_, i) => plain(orderOf(i))))
    await log.close()
    await t.throwsAsync(Wal.open(dir), { code: 'VARVE_INVALID_ARGUMENT', message: new RegExp(codec().name) })
    const again = closedAfter(t, await Wal.open(dir, { codec: codec<Order>() }))
    t.deepEqual(plain(again.get(42)), plain(orderOf(42)))
  })

  test(`${name} is a codec of keys and of values: messages, lookups by key, compaction`, async (t) => {
    const log = closedAfter(t, Log.openSync(freshDir(t), { key: codec<[string, number]>(), value: codec<Order>(), indexes: { key: true }, compression: 'lz4' }))
    for (let i = 0; i < 200; i++) log.append(orderOf(i), ['customer', i % 10])
    log.appendBatch(Array.from({ length: 200 }, (_, i) => ({ key: ['customer', i % 10], value: i < 10 ? null : orderOf(200 + i) })))
    t.deepEqual(plain(log.getByKey(['customer', 3])!.value), plain(orderOf(393)))
    t.is(log.getByKey(['nobody', 3]), undefined)
    for (const { offset, key, value } of log.messages()) {
      t.deepEqual(key, ['customer', offset % 10])
      t.deepEqual(plain(value), offset >= 200 && offset < 210 ? null : plain(orderOf(offset)))
    }
    const { messages } = log.consume(100, { max: 10, key: ['customer', 4] })
    t.deepEqual(messages.map(({ value }) => value!.id), Array.from({ length: 10 }, (_, i) => 104 + 10 * i))
    await log.compact({ before: Date.now() + 1000 })
    t.is([...log.messages()].length, 10)
    using reader = log.reader()
    while (reader.advance()) t.deepEqual(plain(reader.value()), plain(orderOf(reader.offset)))
  })

  test(`an encoder of ${name} that fails fails its call and nothing else`, (t) => {
    const log = closedAfter(t, Log.openSync(freshDir(t), { value: codec<unknown>() }))
    log.append({ good: 1 })
    const circular: { self?: unknown } = {}
    Object.defineProperty(circular, 'self', { enumerable: true, get: () => { throw new Error('mine') } })
    t.throws(() => log.append(circular), { message: 'mine' })
    log.append({ good: 2 })
    t.deepEqual(Array.from(log.messages(), ({ value }) => value), [{ good: 1 }, { good: 2 }])
  })
}
