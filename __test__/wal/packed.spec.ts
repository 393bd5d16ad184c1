import test from 'ava'
import { freshWal, texts } from '../support/directory.ts'

test('record i of a packed batch is data[ends[i-1] .. ends[i]]', async (t) => {
  const log = freshWal(t)
  t.is(log.appendPacked(Buffer.from('onetwothree'), Uint32Array.of(3, 6, 6, 11)), 0)
  t.is(await log.appendPackedAsync(Buffer.from('x'), Uint32Array.of(1)), 4)
  t.deepEqual(texts(log), ['one', 'two', '', 'three', 'x'])
})

test('bytes behind the last end are not part of the batch', (t) => {
  const log = freshWal(t)
  log.appendPacked(Buffer.from('taken, not taken'), Uint32Array.of(5))
  t.deepEqual(texts(log), ['taken'])
})

test('ends that fall, or lie outside of the data, are refused, and nothing is written', (t) => {
  const log = freshWal(t)
  for (const ends of [[3, 2], [4], [1, 2, 9], [0xffffffff]]) {
    t.throws(() => log.appendPacked(Buffer.from('abc'), Uint32Array.from(ends)), { code: 'VARVE_INVALID_ARGUMENT' }, String(ends))
  }
  t.is(log.nextIndex, 0)
})

test('other types are refused', async (t) => {
  const log = freshWal(t)
  const data = Buffer.from('abc')
  const ends = Uint32Array.of(3)
  for (const [a, b] of [['abc', ends], [data, [3]], [data, Int32Array.of(3)], [data, new Float64Array([3])], [null, ends], [data, null], [data], []]) {
    t.throws(() => log.appendPacked(a as Buffer, b as Uint32Array), { instanceOf: TypeError, code: 'VARVE_INVALID_ARGUMENT' })
    await t.throwsAsync(log.appendPackedAsync(a as Buffer, b as Uint32Array), { instanceOf: TypeError, code: 'VARVE_INVALID_ARGUMENT' })
  }
  t.is(log.nextIndex, 0)
})

test('the arrays may be changed as soon as the call returns', (t) => {
  const log = freshWal(t)
  const data = Buffer.from('ab')
  const ends = Uint32Array.of(1, 2)
  log.appendPacked(data, ends)
  data.fill(0)
  ends.fill(0)
  t.deepEqual(texts(log), ['a', 'b'])
})
