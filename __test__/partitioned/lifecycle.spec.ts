import { existsSync, readdirSync } from 'node:fs'
import test from 'ava'
import { codecs, Log, PartitionedLog, type PartitionMessage } from 'varve'
import { run } from '../support/child.ts'
import { closedAfter, freshDir } from '../support/directory.ts'
import { Remote } from '../support/following.ts'
import { thread } from '../support/thread.ts'
import { freshPartitions, take, textOf, values } from './opened.ts'

test('what was written is there after a reopen; the number of partitions may grow, and never shrink', async (t) => {
  const dir = freshDir(t)
  const log = await PartitionedLog.open(dir, { partitions: 3 })
  for (let i = 0; i < 90; i++) log.append(`${i}`, null, { partition: i % 3 })
  await log.close()
  await t.throwsAsync(PartitionedLog.open(dir, { partitions: 2 }), { code: 'VARVE_INVALID_ARGUMENT', message: /never fewer/ })
  const again = await PartitionedLog.open(dir)
  t.deepEqual(values(again).map((of) => of.length), [30, 30, 30])
  await again.close()
  const more = closedAfter(t, await PartitionedLog.open(dir, { partitions: 5 }))
  t.deepEqual(values(more).map((of) => of.length), [30, 30, 30, 0, 0])
  t.is(more.append('x', null, { partition: 4 }).offset, 0)
})

test('a partition takes no place before its first message', async (t) => {
  const log = await freshPartitions(t, { partitions: 100 })
  log.append('x', null, { partition: 42 })
  await log.sync()
  t.deepEqual(readdirSync(log.dir).filter((name) => /^\d{4}$/.test(name)), ['0042'])
  t.is(log.logs[7]!.nextOffset, 0)
  t.is(log.logs[7]!.get('first'), undefined)
  t.deepEqual(log.consume(7, 'start'), { messages: [], nextOffset: 0 })
})

test('sync makes all partitions durable, and levels are those of the whole', async (t) => {
  const log = await freshPartitions(t)
  for (let i = 0; i < 4; i++) log.append('x', null, { partition: i })
  await log.sync()
  t.deepEqual(log.logs.map(({ durableOffset }) => durableOffset), [1, 1, 1, 1])
  await Promise.all([log.sync(), log.sync(), log.appendAsync('y', null, { partition: 1, durability: 'disk' })])
  t.is(log.logs[1]!.durableOffset, 2)
  const disk = await freshPartitions(t, { durability: 'disk' })
  disk.append('x', null, { partition: 2 })
  t.is(disk.logs[2]!.durableOffset, 1)
  disk.logs[2]!.append('y')
  t.is(disk.logs[2]!.durableOffset, 2)
})

test('the logs of the partitions are ordinary ones, typed, and made once', async (t) => {
  const log = closedAfter(t, await PartitionedLog.open(freshDir(t), { partitions: 2, indexes: { key: true }, key: codecs.utf8, value: codecs.json<{ n: number }>() }))
  const { partition } = log.append({ n: 1 }, 'a')
  const one = log.logs[partition]!
  t.is(one, log.logs[partition]!)
  t.deepEqual(one.getByKey('a')!.value, { n: 1 })
  t.is(one.append({ n: 2 }, 'a'), 1)
  t.deepEqual(log.consume(partition, 0, { key: 'a' }).messages.map(({ value }) => value), [{ n: 1 }, { n: 2 }])
  one.cursor('c').save(1)
  t.is(log.stats()[partition]!.messages, 2)
  t.is(log.stats().length, 2)
  t.throws(() => log.logs[1 - partition]!.get(5), { code: 'VARVE_OUT_OF_RANGE' })
})

test('close closes the logs, ends the streams, and keeps what was promised; twice is once', async (t) => {
  const log = await freshPartitions(t)
  const one = log.logs[1]!
  const promises = [log.appendAsync('a', null, { partition: 1, durability: 'disk' }), one.appendAsync('b', null, { durability: 'disk' })]
  const stream = log.subscribe({ from: 'end' })
  const next = stream.next()
  await Promise.all([log.close(), log.close()])
  t.deepEqual(await Promise.all(promises), [{ partition: 1, offset: 0 }, 1])
  t.deepEqual(await next, { value: undefined, done: true })
  const after: (() => unknown)[] = [() => log.append('x'), () => log.appendBatch([{ value: 'x' }]), () => log.consume(1, 0), () => log.stats(), () => one.get(0), () => one.append('x'), () => log.subscribe()]
  after.forEach((call, i) => t.throws(call, { code: 'VARVE_CLOSED' }, `${i}`))
  for (const call of [() => log.sync(), () => log.enforceRetention(), () => log.compact(), () => log.backup(freshDir(t)), () => log.appendAsync('x')]) await t.throwsAsync(call, { code: 'VARVE_CLOSED' })
  await log.close()
  const again = closedAfter(t, await PartitionedLog.open(log.dir))
  t.deepEqual(values(again)[1], ['a', 'b'])
})

test('one handle that is closed leaves the others open, in this thread and in another', async (t) => {
  const log = await freshPartitions(t)
  const other = await PartitionedLog.open(log.dir)
  other.append('a', null, { partition: 0 })
  const kept = other.logs[0]!
  await other.close()
  t.throws(() => kept.append('x'), { code: 'VARVE_CLOSED' })
  t.deepEqual(values(log)[0], ['a'])
  const worker = thread(t)
  await worker.run('state.log = await PartitionedLog.open(args)', log.dir)
  const stream = log.subscribe()
  t.deepEqual((await take(stream, 1)).map(textOf), ['a'])
  const next = stream.next()
  await worker.run('state.log.append("b", null, { partition: 3 })')
  const { value } = (await next) as { value: PartitionMessage }
  t.deepEqual([value.partition, textOf(value)], [3, 'b'])
  await worker.end()
  t.is(log.append('c', null, { partition: 3 }).offset, 1)
})

test('a second process is refused, and neither engine opens the directory of the other', async (t) => {
  const dir = freshDir(t)
  const remote = new Remote(t, dir, { partitions: 2 }, 'remote-partitions')
  await remote.call('open')
  await t.throwsAsync(PartitionedLog.open(dir), { code: 'VARVE_LOCKED' })
  await remote.call('fill', 0, 10)
  await remote.call('close')
  await t.throwsAsync(Log.open(dir), { code: 'VARVE_UNSUPPORTED' })
  await t.throwsAsync(Log.open(`${dir}/0000`), { code: 'VARVE_UNSUPPORTED' })
  const plain = freshDir(t)
  await Log.open(plain).then((log) => log.close())
  await t.throwsAsync(PartitionedLog.open(plain, { partitions: 2 }), { code: 'VARVE_UNSUPPORTED' })
  t.false(existsSync(`${plain}/partitions`))
})

test('process.exit() hands over what is buffered', async (t) => {
  const dir = freshDir(t)
  const remote = new Remote(t, dir, { partitions: 3 }, 'remote-partitions')
  await remote.call('open')
  await remote.call('fill', 0, 500)
  await t.throwsAsync(remote.call('exit'), { code: 'ENDED' })
  const log = closedAfter(t, await PartitionedLog.open(dir))
  t.is(values(log).flat().length, 500)
})

test('an idle log keeps no process alive', async (t) => {
  const { code, stderr } = await run('idle-partitions', [freshDir(t)])
  t.is(code, 0, stderr)
})

test('a follower in another process sees partitions that come, and messages; it writes nothing', async (t) => {
  const dir = freshDir(t)
  const remote = new Remote(t, dir, { partitions: 8 }, 'remote-partitions')
  await remote.call('open')
  const log = closedAfter(t, await PartitionedLog.open(dir, { readOnly: true }))
  t.is(log.logs.length, 8)
  t.deepEqual(log.consume(3, 'start'), { messages: [], nextOffset: 0 })
  t.throws(() => log.consume(3, 5), { code: 'VARVE_OUT_OF_RANGE' })
  t.throws(() => log.logs[3], { code: 'VARVE_READONLY' })
  const stream = log.subscribe()
  const taken = take(stream, 200)
  await remote.call('fill', 0, 100)
  await remote.call('fill', 100, 200)
  t.deepEqual((await taken).map(textOf).map((text) => Number(text.slice(6))).sort((a, b) => a - b), Array.from({ length: 200 }, (_, i) => i))
  t.is(values(log).flat().length, 200)
  t.throws(() => log.append('x'), { code: 'VARVE_READONLY' })
  await t.throwsAsync(log.sync(), { code: 'VARVE_READONLY' })
  const waiting = stream.next()
  await stream.return!()
  t.deepEqual(await waiting, { value: undefined, done: true })
})

test('a stream of partitions that never come can be ended', async (t) => {
  const dir = freshDir(t)
  const remote = new Remote(t, dir, { partitions: 3 }, 'remote-partitions')
  await remote.call('open')
  const log = closedAfter(t, await PartitionedLog.open(dir, { readOnly: true }))
  const control = new AbortController()
  const aborted = log.subscribe({ signal: control.signal }).next()
  const stream = log.subscribe()
  const returned = stream.next()
  const left = log.subscribe().next()
  control.abort('enough')
  await t.throwsAsync(aborted, { name: 'AbortError' })
  await stream.return!()
  t.true((await returned).done)
  await log.close()
  t.true((await left).done)
})
