import test from 'ava'
import { freshWal } from '../support/directory.ts'

test('an index cut off, or not yet written, is undefined', async (t) => {
  const log = freshWal(t, { firstIndex: 10 })
  log.append('ten')
  for (const index of [0, 9, 11, 2 ** 32, Number.MAX_SAFE_INTEGER]) {
    t.is(log.get(index), undefined)
    t.is(await log.getAsync(index), undefined)
  }
  t.is((await log.getAsync(10))!.toString(), 'ten')
})

test('a Buffer handed out is a true Buffer, and the caller’s own', async (t) => {
  const log = freshWal(t)
  log.append('abc')
  log.append('def')
  const data = log.get(0)!
  t.is(data.constructor, Buffer)
  t.true(Buffer.isBuffer(data))
  data.fill('x')
  t.is(log.get(0)!.toString(), 'abc')
  t.is(log.get(1)!.toString(), 'def')
  t.is((await log.getAsync(0))!.toString(), 'abc')
  await log.close()
  t.is(data.toString(), 'xxx')
})

test('thousands of Buffers handed out do not touch one another', (t) => {
  const log = freshWal(t)
  for (let i = 0; i < 5000; i++) log.append(`record ${i}`)
  const held = Array.from({ length: 5000 }, (_, i) => log.get(i)!)
  for (const data of held) data[0] = 82
  t.true(held.every((data, i) => data.toString() === `Record ${i}`))
})

test('records of all sizes are read at random', async (t) => {
  const log = freshWal(t)
  const sizes = [0, 1, 8191, 8192, 8193, 65_535, 65_536, 65_537, 1_000_000, 12]
  for (const size of sizes) log.append(Buffer.alloc(size, size % 256))
  for (const index of [9, 0, 8, 1, 7, 2, 6, 3, 5, 4, 8, 8]) {
    t.true(log.get(index)!.equals(Buffer.alloc(sizes[index]!, sizes[index]! % 256)))
    t.true((await log.getAsync(index))!.equals(Buffer.alloc(sizes[index]!, sizes[index]! % 256)))
  }
})

test('what is still in the group buffer is read like all else', (t) => {
  const log = freshWal(t)
  for (let i = 0; i < 100; i++) {
    log.append(`${i}`)
    t.is(log.get(i)!.toString(), `${i}`)
    t.is(log.get(i >> 1)!.toString(), `${i >> 1}`)
  }
})

test('the memory of a Buffer cannot be taken away from its neighbours', (t) => {
  const log = freshWal(t)
  log.append('one')
  log.append('two')
  const [one, two] = [log.get(0)!, log.get(1)!]
  try {
    structuredClone(one.buffer, { transfer: [one.buffer] })
  } catch {
    // Newer versions of Node refuse; older ones copy.
  }
  t.is(two.toString(), 'two')
})
