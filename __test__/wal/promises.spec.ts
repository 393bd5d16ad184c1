import test from 'ava'
import { type Wal } from 'varve'
import { freshWal } from '../support/directory.ts'

test('an …Async write gives its index at the call, and tells of durability alone', async (t) => {
  const log = freshWal(t)
  const promise = log.appendAsync('a')
  t.is(log.nextIndex, 1)
  t.is(log.get(0)!.toString(), 'a')
  t.is(await promise, 0)
})

test('at disk a promise resolves when it is durable, and not before', async (t) => {
  const log = freshWal(t)
  const seen: number[] = []
  await Promise.all(Array.from({ length: 300 }, async (_, i) => {
    const index = await log.appendAsync(`${i}`, { durability: 'disk' })
    if (log.durableIndex <= index) t.fail(`${index} is not durable`)
    seen.push(index)
  }))
  t.deepEqual(seen, Array.from({ length: 300 }, (_, i) => i))
})

test('hundreds that wait together share a sync', async (t) => {
  const log = freshWal(t)
  await log.sync()
  const before = log.stats().syncs
  await Promise.all(Array.from({ length: 1000 }, () => log.appendAsync('x', { durability: 'disk' })))
  t.true(log.stats().syncs - before <= 5)
})

test('plain and …Async writes of all kinds interleave in call order', async (t) => {
  const log = freshWal(t)
  const promises: Promise<number>[] = []
  const expected: number[] = []
  for (let i = 0; i < 200; i++) {
    log.append('plain')
    expected.push(log.nextIndex)
    promises.push(
      i % 3 === 0 ? log.appendAsync('one', { durability: i % 2 === 0 ? 'os' : 'disk' })
      : i % 3 === 1 ? log.appendBatchAsync(['two', 'three'])
      : log.appendPackedAsync(Buffer.from('four'), Uint32Array.of(2, 4), { durability: 'disk' }),
    )
  }
  t.deepEqual(await Promise.all(promises), expected)
})

test('os resolves once the system has it, without a sync', async (t) => {
  const log = freshWal(t)
  const { syncs } = log.stats()
  t.is(await log.appendAsync('x', { durability: 'os' }), 0)
  t.is(await log.appendAsync('y'), 1)
  t.is(log.stats().pendingBytes, 0)
  t.is(log.stats().syncs, syncs)
})

test('on a handle at disk the default of …Async is disk', async (t) => {
  const log = freshWal(t, { durability: 'disk' })
  const promise = log.appendAsync('x')
  t.is(log.durableIndex, 0)
  await promise
  t.is(log.durableIndex, 1)
})

test('one after another, each awaited', async (t) => {
  const log = freshWal(t)
  for (let i = 0; i < 100; i++) t.is(await log.appendAsync('x', { durability: 'disk' }), i)
})

test('expectedIndex of an …Async write rejects, and writes nothing', async (t) => {
  const log = freshWal(t)
  t.is(await log.appendAsync('x', { expectedIndex: 0, durability: 'os' }), 0)
  await t.throwsAsync(log.appendAsync('y', { expectedIndex: 0 }), { code: 'VARVE_CONFLICT' })
  await t.throwsAsync(log.appendBatchAsync(['y'], { expectedIndex: 5 }), { code: 'VARVE_CONFLICT' })
  t.is(log.nextIndex, 1)
})

test('methods that return promises reject, and never throw', async (t) => {
  const log = freshWal(t)
  const bad: (() => Promise<unknown>)[] = [
    () => log.appendAsync(5 as unknown as string),
    () => log.appendAsync('x', { durability: 'buffered' as 'os' }),
    () => log.appendBatchAsync('x' as unknown as string[]),
    () => log.appendPackedAsync('x' as unknown as Buffer, Uint32Array.of(1)),
    () => log.getAsync(-1),
    () => (log.constructor as typeof Wal).open(5 as unknown as string),
    () => (log.constructor as typeof Wal).check(''),
    () => (log.constructor as typeof Wal).stat('\0'),
  ]
  for (const call of bad) await t.throwsAsync(call(), { code: 'VARVE_INVALID_ARGUMENT' })
  t.is(log.nextIndex, 0)
})

test('close settles every promise there is', async (t) => {
  const log = freshWal(t)
  const promises = Array.from({ length: 50 }, (_, i) => log.appendAsync('x', { durability: i % 2 === 0 ? 'os' : 'disk' }))
  const synced = log.sync()
  const closed = log.close()
  t.deepEqual(await Promise.all(promises), Array.from({ length: 50 }, (_, i) => i))
  t.is(await synced, 50)
  await closed
})

test('closeSync settles them too', async (t) => {
  const log = freshWal(t)
  const promise = log.appendAsync('x', { durability: 'disk' })
  log.closeSync()
  t.is(await promise, 0)
})
