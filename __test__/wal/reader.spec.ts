import test from 'ava'
import { codecs, Wal } from 'varve'
import { closedAfter, freshDir, freshWal } from '../support/directory.ts'

test('a reader goes from record to record without an object for each', (t) => {
  const log = freshWal(t)
  log.appendBatch(Array.from({ length: 1000 }, (_, i) => `record ${i}`))
  using reader = log.reader()
  for (let i = 0; i < 1000; i++) {
    if (!reader.advance() || reader.index !== i || reader.buffer.toString('utf8', reader.start, reader.end) !== `record ${i}`) t.fail(`at ${i}`)
  }
  t.false(reader.advance())
  t.pass()
})

test('at the end it may be advanced again later', (t) => {
  const log = freshWal(t)
  using reader = log.reader()
  t.false(reader.advance())
  for (let i = 0; i < 500; i++) {
    log.append(`${i}`)
    t.true(reader.advance())
    t.is(reader.data().toString(), `${i}`)
    t.false(reader.advance())
  }
})

test('data() is a copy that may be kept', (t) => {
  const log = freshWal(t)
  log.appendBatch(['abc', 'xyz'])
  using reader = log.reader()
  reader.advance()
  const first = reader.data()
  t.not(first.buffer, reader.buffer.buffer)
  reader.advance()
  t.is(first.toString(), 'abc')
  t.is(reader.data().toString(), 'xyz')
})

test('seek goes to any record, and to the end', (t) => {
  const log = freshWal(t, { firstIndex: 100 })
  log.appendBatch(Array.from({ length: 700 }, (_, i) => `${100 + i}`))
  using reader = log.reader({ from: 400 })
  for (const index of [400, 100, 799, 101, 655, 656]) {
    reader.seek(index)
    t.true(reader.advance())
    t.is(reader.index, index)
    t.is(reader.data().toString(), `${index}`)
  }
  reader.seek(800)
  t.false(reader.advance())
  t.throws(() => reader.seek(801), { code: 'VARVE_OUT_OF_RANGE' })
  t.throws(() => reader.seek(99), { code: 'VARVE_OUT_OF_RANGE' })
  t.throws(() => reader.seek(NaN), { code: 'VARVE_INVALID_ARGUMENT' })
})

test('a record larger than the buffer gets a larger one', (t) => {
  const log = freshWal(t)
  const sizes = [10, 100_000, 10, 3_000_000, 0, 70_000]
  for (const size of sizes) log.append(Buffer.alloc(size, 7))
  using reader = log.reader()
  for (const size of sizes) {
    t.true(reader.advance())
    t.is(reader.end - reader.start, size)
    t.true(reader.data().equals(Buffer.alloc(size, 7)))
  }
})

test('indexes above 32 bits are whole', (t) => {
  const first = 2 ** 40 + 2 ** 31 - 3
  const log = freshWal(t, { firstIndex: first })
  log.appendBatch(['a', 'b', 'c', 'd', 'e'])
  using reader = log.reader()
  for (let i = 0; i < 5; i++) {
    reader.advance()
    t.is(reader.index, first + i)
  }
  t.deepEqual(Array.from(log.records(), ({ index }) => index - first), [0, 1, 2, 3, 4])
})

test('it goes over rotations', (t) => {
  const log = freshWal(t, { segmentSize: 65_536 })
  for (let i = 0; i < 2000; i++) log.append(`${i}`.padEnd(200))
  using reader = log.reader()
  let count = 0
  while (reader.advance()) count += reader.index === count && Number(reader.data().toString()) === count ? 1 : 0
  t.is(count, 2000)
})

test('a buffer that someone detached is replaced', (t) => {
  const log = freshWal(t)
  log.appendBatch(Array.from({ length: 2000 }, (_, i) => `${i}`.padEnd(100)))
  using reader = log.reader()
  reader.advance()
  try {
    structuredClone(reader.buffer.buffer, { transfer: [reader.buffer.buffer as ArrayBuffer] })
  } catch {
    // Refused by newer versions of Node.
  }
  let count = 1
  while (reader.advance()) count++
  t.is(count, 2000)
})

test('after close of the reader, or of the log, it is VARVE_CLOSED', async (t) => {
  const log = freshWal(t)
  log.appendBatch(['a', 'b', 'c'])
  const one = log.reader()
  const two = log.reader()
  one.advance()
  two.advance()
  one.close()
  one.close()
  t.throws(() => one.advance(), { code: 'VARVE_CLOSED' })
  await log.close()
  t.throws(() => two.advance(), { code: 'VARVE_CLOSED' })
  t.throws(() => log.reader(), { code: 'VARVE_CLOSED' })
})

test('a handle that is closed ends its readers, though the log is open in another', async (t) => {
  const other = freshWal(t)
  other.appendBatch(Array.from({ length: 1000 }, (_, i) => `${i}`))
  const log = await Wal.open(other.dir)
  const reader = log.reader()
  const records = log.records()
  reader.advance()
  records.next()
  await log.close()
  const closed = { code: 'VARVE_CLOSED' }
  t.throws(() => reader.advance(), closed)
  t.throws(() => reader.seek(5), closed)
  t.throws(() => records.next(), closed)
  t.is(other.get(999)?.toString(), '999')
})

test('records whose memory someone has transferred away are read again', (t) => {
  const log = freshWal(t)
  log.appendBatch(Array.from({ length: 1000 }, (_, i) => `${i}`.padEnd(100)))
  const seen: number[] = []
  for (const { index, data } of log.records()) {
    seen.push(Number(data.toString()))
    if (index % 100 === 7) {
      try {
        structuredClone(data.buffer, { transfer: [data.buffer] })
      } catch {
        // Refused by newer versions of Node.
      }
    }
  }
  t.deepEqual(seen, Array.from({ length: 1000 }, (_, i) => i))
})

test('hundreds of readers and iterators left open hold nothing up', async (t) => {
  const log = freshWal(t, { segmentSize: 65_536 })
  log.appendBatch(Array.from({ length: 1000 }, (_, i) => `${i}`.padEnd(150)))
  const left = Array.from({ length: 300 }, () => [log.reader({ from: 500 }), log.records({ from: 10 })] as const)
  for (const [reader, records] of left) {
    reader.advance()
    records.next()
  }
  log.append('goes on')
  await log.close()
  t.is(left.length, 300)
})

test('with a codec, data() is the value', (t) => {
  const log = closedAfter(t, Wal.openSync(freshDir(t), { codec: codecs.json<{ n: number }>() }))
  log.appendBatch([{ n: 1 }, { n: 2 }])
  using reader = log.reader()
  reader.advance()
  reader.advance()
  t.deepEqual(reader.data(), { n: 2 })
})
