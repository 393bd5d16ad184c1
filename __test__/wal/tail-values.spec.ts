import test from 'ava'
import { type Codec, codecs, Wal, type WalRecord } from 'varve'
import { closedAfter, freshDir, freshWal } from '../support/directory.ts'
import { take } from '../support/following.ts'

const made: { codec: Codec<unknown>; value: (i: number) => unknown }[] = [
  { codec: codecs.utf8 as Codec<unknown>, value: (i) => `é${i}`.repeat(i % 30) },
  { codec: codecs.json() as Codec<unknown>, value: (i) => ({ i, list: [i, null] }) },
  { codec: codecs.varint as Codec<unknown>, value: (i) => i * 1_000_003 },
  { codec: codecs.int64 as Codec<unknown>, value: (i) => BigInt(i) << 20n },
  { codec: codecs.float64 as Codec<unknown>, value: (i) => i / 7 },
  { codec: codecs.boolean as Codec<unknown>, value: (i) => i % 3 === 0 },
]
for (const { codec, value } of made) {
  for (const { name, own } of [{ name: 'with decodeFrom', own: codec }, { name: 'without', own: { name: codec.name, encode: codec.encode.bind(codec), decode: codec.decode.bind(codec) } }]) {
    test(`${codec.name}, ${name}: a tail and recordsAsync decode what is far behind, near, and new`, async (t) => {
      const log = closedAfter(t, Wal.openSync(freshDir(t), { codec: own }))
      for (let i = 0; i < 1500; i++) log.append(value(i))
      const tail = log.tail()
      const taken = await take(tail, 1500)
      for (let i = 1500; i < 1600; i++) {
        const coming = take(tail, 1)
        log.append(value(i))
        taken.push(...(await coming))
      }
      t.deepEqual(taken.map(({ data }) => data), Array.from({ length: 1600 }, (_, i) => value(i)))
      const scanned: WalRecord<unknown>[] = []
      for await (const record of log.recordsAsync()) scanned.push(record)
      t.deepEqual(scanned, taken)
    })
  }
}

test('a codec that throws fails the tail that met it, and nothing else', async (t) => {
  for (const withDecodeFrom of [false, true]) {
    for (const count of [10, 3000]) {
      const decode = (bytes: Buffer): string => {
        if (bytes.toString() === '7') throw new RangeError('no sevens')
        return bytes.toString()
      }
      const codec: Codec<string> = { name: 'no-sevens', encode: (value) => value, decode }
      if (withDecodeFrom) codec.decodeFrom = (source, start, end) => decode(source.subarray(start, end))
      const log = closedAfter(t, Wal.openSync(freshDir(t), { codec }))
      for (let i = 0; i < count; i++) log.append(`${i}`)
      const [tail, other, scan] = [log.tail(), log.tail({ from: 8 }), log.recordsAsync()]
      await take(tail, 7)
      await t.throwsAsync(tail.next(), { instanceOf: RangeError, message: 'no sevens' })
      t.true((await tail.next()).done)
      await t.throwsAsync(take(scan, 10), { message: 'no sevens' })
      t.is((await take(other, 1))[0]!.data, '8')
      t.is(log.append('more'), count)
      t.is(log.get(8), '8')
    }
  }
})

test('a codec that appends to its own log, or closes it, does no harm', async (t) => {
  let act = (): void => {}
  const codec: Codec<string> = {
    name: 'acting',
    encode: (value) => value,
    decode: (bytes) => {
      act()
      return bytes.toString()
    },
  }
  const log = closedAfter(t, Wal.openSync(freshDir(t), { codec }))
  for (let i = 0; i < 2000; i++) log.append(`${i}`)
  const tail = log.tail()
  act = () => void log.append('by the codec')
  t.deepEqual((await take(tail, 100)).map(({ data }) => data), Array.from({ length: 100 }, (_, i) => `${i}`))
  t.is(log.nextIndex, 2100)
  act = () => log.closeSync()
  await tail.next()
  act = () => {}
  t.true((await tail.next()).done)
})

test('zeroCopy: the same records, as views where whole pages are written and as copies elsewhere', async (t) => {
  const log = freshWal(t, { segmentSize: 65_536 })
  const bytes = (i: number): Buffer => Buffer.alloc(100 + (i % 900), i)
  for (let i = 0; i < 3000; i++) log.append(bytes(i))
  const tail = log.tail({ zeroCopy: true })
  const taken = await take(tail, 3000)
  const scanned: WalRecord[] = []
  for await (const record of log.recordsAsync({ zeroCopy: true })) scanned.push(record)
  for (let i = 3000; i < 3300; i++) {
    log.append(bytes(i))
    if (i % 10 === 9) taken.push(...(await take(tail, 10)))
  }
  for (const [i, { index, data }] of taken.entries()) if (index !== i || !data.equals(bytes(i))) t.fail(`${index}`)
  for (const [i, { index, data }] of scanned.entries()) if (index !== i || !data.equals(bytes(i))) t.fail(`${index}`)
  t.is(taken.length, 3300)
  t.is(scanned.length, 3000)
  // Several views of one file share its map.
  t.true(new Set(taken.slice(0, 1000).map(({ data }) => data.buffer)).size < 100)
})

test('zeroCopy: views stay as they are through writes to them, truncation and close; what is read later is what was written', async (t) => {
  const log = freshWal(t, { segmentSize: 65_536 })
  for (let i = 0; i < 1000; i++) log.append(Buffer.alloc(500, i))
  const tail = log.tail({ zeroCopy: true })
  const taken = await take(tail, 500)
  taken[3]!.data.fill(0xff)
  t.true(log.get(3)!.equals(Buffer.alloc(500, 3)))
  t.true((await take(log.tail({ from: 3 }), 1))[0]!.data.equals(Buffer.alloc(500, 3)))
  log.truncateBefore(400)
  await log.sync()
  await log.close()
  for (const [i, { data }] of taken.entries()) {
    if (i !== 3 && !data.equals(Buffer.alloc(500, i))) t.fail(`${i}`)
  }
  t.is(taken.length, 500)
})
