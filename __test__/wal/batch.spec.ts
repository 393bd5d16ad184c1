import test from 'ava'
import { codecs, type VarveError, Wal } from 'varve'
import { closedAfter, freshDir, freshWal, texts } from '../support/directory.ts'
import { instanceOf } from '../support/errors.ts'

test('a batch gets consecutive indexes and returns the first', (t) => {
  const log = freshWal(t)
  log.append('zero')
  t.is(log.appendBatch(['one', Buffer.from('two'), new Uint8Array([51])]), 1)
  t.deepEqual(texts(log), ['zero', 'one', 'two', '3'])
})

test('an empty batch writes nothing and returns the next index', async (t) => {
  const log = freshWal(t)
  log.append('x')
  t.is(log.appendBatch([]), 1)
  t.is(log.appendPacked(new Uint8Array(0), new Uint32Array(0)), 1)
  t.is(await log.appendBatchAsync([]), 1)
  t.is(log.nextIndex, 1)
})

test('a batch may hold empty records, many small ones, and ones larger than the scratch buffer', (t) => {
  const log = freshWal(t)
  const records = ['', Buffer.alloc(300_000, 1), '', 'é'.repeat(70_000), ...Array.from({ length: 5000 }, (_, i) => `n${i}`), '']
  log.appendBatch(records)
  t.deepEqual(Array.from(log.records(), ({ data }) => data), records.map((data) => Buffer.from(data as string)))
})

test('a batch that would be over 32 MiB is refused with the limit, and nothing is written', (t) => {
  const log = freshWal(t)
  const half = Buffer.alloc(17 << 20)
  for (const batch of [[half, half], ['x'.repeat(17 << 20), half], Array.from({ length: 3 << 20 }, () => ''), Object.assign([], { length: 2 ** 32 - 1 })]) {
    const error = t.throws(() => log.appendBatch(batch), { instanceOf, code: 'VARVE_TOO_LARGE' }) as VarveError
    t.is(error.limit, 32 << 20)
  }
  t.is(log.nextIndex, 0)
  t.is(log.appendBatch(['still', 'well']), 0)
})

test('a batch larger than a segment spans several, whole', async (t) => {
  const dir = freshDir(t)
  const log = Wal.openSync(dir, { segmentSize: 65_536 })
  const records = Array.from({ length: 100 }, (_, i) => Buffer.alloc(5000, i))
  t.is(log.appendBatch(records), 0)
  await log.close()
  const again = closedAfter(t, Wal.openSync(dir))
  t.deepEqual(Array.from(again.records(), ({ data }) => data), records)
})

test('a batch whose fifth record cannot be taken writes none', (t) => {
  const log = freshWal(t)
  for (const bad of [5, null, undefined, {}, [], new Uint16Array(2), new DataView(new ArrayBuffer(2)), new ArrayBuffer(3)]) {
    t.throws(() => log.appendBatch(['a', 'b', 'c', 'd', bad as string]), { instanceOf: TypeError, code: 'VARVE_INVALID_ARGUMENT' })
  }
  t.is(log.nextIndex, 0)
})

test('a codec that throws on the fifth record writes none, and fails that call alone', (t) => {
  const codec = { ...codecs.utf8, name: 'picky', encode: (text: string) => { if (text === 'bad') throw new RangeError('picky'); return text } }
  const log = closedAfter(t, Wal.openSync(freshDir(t), { codec }))
  t.throws(() => log.appendBatch(['a', 'b', 'c', 'd', 'bad']), { instanceOf: RangeError, message: 'picky' })
  t.is(log.nextIndex, 0)
  t.is(log.appendBatch(['a', 'b']), 0)
})

test('a codec may append to the log that it encodes for', (t) => {
  const dir = freshDir(t)
  const codec = {
    ...codecs.utf8,
    name: 'nested',
    encode(text: string): string {
      if (text.startsWith('outer')) log.appendBatch([`inner of ${text}`, 'filler'])
      return text
    },
  }
  const log: Wal<string> = closedAfter(t, Wal.openSync(dir, { codec }))
  log.appendBatch(['outer 1', 'plain', 'outer 2'])
  t.deepEqual(Array.from(log.records(), ({ data }) => data), ['inner of outer 1', 'filler', 'inner of outer 2', 'filler', 'outer 1', 'plain', 'outer 2'])
})

test('an array that changes while it is encoded is taken as long as it was', (t) => {
  const records: string[] = []
  const codec = { ...codecs.utf8, name: 'pushing', encode: (text: string) => { records.push('more'); return text } }
  const log = closedAfter(t, Wal.openSync(freshDir(t), { codec }))
  records.push('a', 'b')
  log.appendBatch(records)
  t.is(log.nextIndex, 2)
})

test('with expectedIndex a batch begins there, or nothing of it is written', (t) => {
  const log = freshWal(t)
  t.is(log.appendBatch(['a', 'b'], { expectedIndex: 0 }), 0)
  t.throws(() => log.appendBatch(['c'], { expectedIndex: 1 }), { code: 'VARVE_CONFLICT' })
  t.is(log.nextIndex, 2)
})

test('a property put on an array cannot lie about its length', (t) => {
  const log = freshWal(t)
  const lying = Object.defineProperty(new Uint8Array([1, 2, 3]), 'length', { value: 60 })
  log.appendBatch([lying])
  log.append(lying)
  t.deepEqual(Array.from(log.records(), ({ data }) => [...data]), [[1, 2, 3], [1, 2, 3]])
})
