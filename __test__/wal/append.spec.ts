import test from 'ava'
import { type VarveError, Wal } from 'varve'
import { resizable } from '../support/memory.ts'
import { closedAfter, freshDir, freshWal, texts } from '../support/directory.ts'
import { instanceOf } from '../support/errors.ts'

test('a record gets the next index at the call, and is there at once', (t) => {
  const log = freshWal(t)
  t.is(log.nextIndex, 0)
  t.is(log.append('zero'), 0)
  t.is(log.append(Buffer.from('one')), 1)
  t.is(log.append(new Uint8Array([116, 119, 111])), 2)
  t.is(log.nextIndex, 3)
  t.deepEqual(texts(log), ['zero', 'one', 'two'])
})

test('a string is its UTF-8 bytes, and a lone surrogate its replacement', (t) => {
  const log = freshWal(t)
  for (const text of ['', 'plain', 'é€😀', '\0', '漢字'.repeat(1000), 'a\uD800b', '\uDC00']) {
    t.deepEqual(log.get(log.append(text)), Buffer.from(text))
  }
})

test('an empty record is a record', (t) => {
  const log = freshWal(t)
  t.is(log.append(''), 0)
  t.is(log.append(new Uint8Array(0)), 1)
  t.is(log.nextIndex, 2)
  t.deepEqual(texts(log), ['', ''])
})

test('records of every length around borders come back as they went in', (t) => {
  const log = freshWal(t, { segmentSize: 1 << 20 })
  const lengths = [0, 1, 7, 8, 9, 63, 64, 65, 138, 255, 256, 4095, 4096, 4097, 65_535, 65_536, 65_537, 262_143, 262_144, 262_145, 500_000]
  const made = lengths.map((length) => Buffer.alloc(length, length % 251))
  for (const data of made) log.append(data)
  for (const [index, data] of made.entries()) t.true(log.get(index)!.equals(data), `${data.length} bytes`)
})

test('what is appended may be changed as soon as the call returns', (t) => {
  const log = freshWal(t)
  const data = Buffer.from('before')
  log.append(data)
  data.write('after!')
  t.deepEqual(log.get(0)!.toString(), 'before')
})

test('a view into the middle of a buffer is appended alone', (t) => {
  const log = freshWal(t)
  const whole = Buffer.from('0123456789')
  log.append(whole.subarray(3, 6))
  log.append(new Uint8Array(whole.buffer, whole.byteOffset + 8, 2))
  t.deepEqual(texts(log), ['345', '89'])
})

test('memory shared between threads is copied before it is checked', (t) => {
  const log = freshWal(t)
  const shared = new Uint8Array(new SharedArrayBuffer(1000)).fill(7)
  log.append(shared)
  shared.fill(8)
  t.true(log.get(0)!.every((byte) => byte === 7))
})

test('a resizable buffer is taken at its length of the moment', (t) => {
  const log = freshWal(t)
  const memory = resizable(4, 16)
  const tracking = new Uint8Array(memory).fill(1)
  log.append(tracking)
  memory.resize(12)
  log.append(tracking)
  t.is(log.get(0)!.length, 4)
  t.is(log.get(1)!.length, 12)
})

test('with expectedIndex a record is appended there, or not at all', (t) => {
  const log = freshWal(t)
  t.is(log.append('a', { expectedIndex: 0 }), 0)
  const error = t.throws(() => log.append('b', { expectedIndex: 0 }), { instanceOf, code: 'VARVE_CONFLICT' })
  t.regex(error!.message, /0.*1|1.*0/)
  t.throws(() => log.append('b', { expectedIndex: 2 }), { code: 'VARVE_CONFLICT' })
  t.is(log.nextIndex, 1)
  t.is(log.append('b', { expectedIndex: 1 }), 1)
  t.is(log.append('c', { expectedIndex: undefined } as unknown as { expectedIndex: number }), 2)
})

test('a record over the limit is refused with the limit, and nothing is written', (t) => {
  const log = freshWal(t, { segmentSize: 65_536 })
  const error = t.throws(() => log.append(Buffer.alloc(65_537)), { instanceOf, code: 'VARVE_TOO_LARGE' }) as VarveError
  t.is(typeof error.limit, 'number')
  t.true(error.limit! >= 65_536 - 4096 && error.limit! < 65_536)
  t.is(log.nextIndex, 0)
  t.is(log.append(Buffer.alloc(65_536 - 4096)), 0)
})

test('firstIndex is where a new log begins, up to the largest safe one', async (t) => {
  const log = freshWal(t, { firstIndex: 41 })
  t.is(log.firstIndex, 41)
  t.is(log.append('x'), 41)
  t.is(log.get(0), undefined)
  const dir = freshDir(t)
  const far = closedAfter(t, Wal.openSync(dir, { firstIndex: Number.MAX_SAFE_INTEGER - 2 }))
  t.is(far.append('a'), Number.MAX_SAFE_INTEGER - 2)
  t.is(far.append('b'), Number.MAX_SAFE_INTEGER - 1)
  t.throws(() => {
    far.append('c')
    far.append('d')
  }, { code: 'VARVE_OUT_OF_RANGE' })
  t.deepEqual(far.get(Number.MAX_SAFE_INTEGER - 1)!.toString(), 'b')
  await far.close()
})

test('after a reopen the log goes on where it was', async (t) => {
  const dir = freshDir(t)
  const first = Wal.openSync(dir)
  first.append('a')
  first.append('b')
  await first.close()
  const second = closedAfter(t, await Wal.open(dir))
  t.is(second.nextIndex, 2)
  t.is(second.durableIndex, 2)
  t.is(second.append('c'), 2)
  t.deepEqual(texts(second), ['a', 'b', 'c'])
})
