import test from 'ava'
import { codecs, isVarveError, PartitionedLog, type PartitionedLogOptions } from 'varve'
import { closedAfter, freshDir } from '../support/directory.ts'
import { freshPartitions, values } from './opened.ts'

test('a message goes to the partition that Kafka gives its key; without one, to each in turn', async (t) => {
  const log = await freshPartitions(t, { partitions: 1000 })
  // murmur2 of these is -973932308 and -790332482, as its own tests say.
  t.deepEqual(log.append('a', '21'), { partition: 340, offset: 0 })
  t.deepEqual(log.append('b', Buffer.from('foobar')), { partition: (-790332482 & 0x7fffffff) % 1000, offset: 0 })
  t.deepEqual(log.append('c', '21', { headers: { a: 'b' } }), { partition: 340, offset: 1 })
  const turns = Array.from({ length: 5 }, () => log.append('d').partition)
  t.deepEqual(turns, Array.from({ length: 5 }, (_, i) => (turns[0]! + i) % 1000))
  t.is(log.logs.length, 1000)
  t.is(log.logs[340]!.get(0)!.value!.toString(), 'a')
  t.is(log.logs[340]!.get(1)!.headers['a']!.toString(), 'b')
})

test('a message goes to the partition that is named, whatever its key', async (t) => {
  const log = await freshPartitions(t)
  t.deepEqual(log.append('a', 'key', { partition: 3 }), { partition: 3, offset: 0 })
  t.deepEqual(await log.appendAsync('b', null, { partition: 3, time: 5, durability: 'disk' }), { partition: 3, offset: 1 })
  t.is(log.logs[3]!.get(1)!.time, 5)
  t.is(log.logs[3]!.durableOffset, 2)
  for (const partition of [-1, 4, 1.5, NaN, '1', null]) {
    t.throws(() => log.append('x', null, { partition: partition as number }), { code: 'VARVE_INVALID_ARGUMENT' })
    t.throws(() => log.appendBatch([{ value: 'x', partition: 0 }, { value: 'x', partition: partition as number }]), { code: 'VARVE_INVALID_ARGUMENT' })
    t.throws(() => log.consume(partition as number, 0), { code: 'VARVE_INVALID_ARGUMENT' })
  }
  t.deepEqual(values(log), [[], [], [], ['a', 'b']])
})

test('a batch is one batch a partition, in the order given; the result says where', async (t) => {
  const log = await freshPartitions(t)
  log.append('before', null, { partition: 2 })
  const batch = Array.from({ length: 300 }, (_, i) => ({ value: `${i}`, key: `key ${i % 7}`, partition: i % 3 === 0 ? 2 : 0 }))
  t.deepEqual(log.appendBatch(batch), [{ partition: 0, offset: 0, count: 200 }, { partition: 2, offset: 1, count: 100 }])
  t.deepEqual(values(log)[0], batch.filter(({ partition }) => partition === 0).map(({ value }) => value))
  t.deepEqual(values(log)[2], ['before', ...batch.filter(({ partition }) => partition === 2).map(({ value }) => value)])
  t.deepEqual(log.appendBatch([]), [])
  const written = await log.appendBatchAsync([{ value: 'x', key: 'k' }, { value: null, key: 'k' }, { value: 'y', partition: 1 }], { durability: 'os', compression: 'lz4' })
  t.is(written.reduce((sum, { count }) => sum + count, 0), 3)
})

test('an own partitioner gets the bytes of the key, or null, and their number', async (t) => {
  const seen: [string | null, number][] = []
  const partitioner = (key: Buffer | null, partitions: number): number => {
    seen.push([key === null ? null : key.toString(), partitions])
    return key === null ? 0 : key[0]! % partitions
  }
  const log = closedAfter(t, await PartitionedLog.open(freshDir(t), { partitions: 4, partitioner, key: codecs.utf8, value: codecs.json<number>() }))
  t.is(log.append(5, 'a').partition, 97 % 4)
  t.is(log.append(6).partition, 0)
  t.is(log.append(7, 'x', { partition: 1 }).partition, 1)
  t.deepEqual(log.appendBatch([{ value: 1, key: 'b' }, { value: 2 }, { value: 3, key: '' , partition: 3 }, { value: 4, key: 'bb' }]), [
    { partition: 0, offset: 1, count: 1 }, { partition: 2, offset: 0, count: 2 }, { partition: 3, offset: 0, count: 1 },
  ])
  t.deepEqual(seen, [['a', 4], [null, 4], ['b', 4], [null, 4], ['bb', 4]])
  t.deepEqual(Array.from(log.logs[2]!.messages(), ({ key, value }) => [key, value]), [['b', 1], ['bb', 4]])
})

test('a partitioner that throws, or returns what is no partition, writes nothing', async (t) => {
  const dir = freshDir(t)
  let answer: unknown = 0
  const partitioner = (): number => {
    if (answer instanceof Error) throw answer
    return answer as number
  }
  const log = closedAfter(t, await PartitionedLog.open(dir, { partitions: 2, partitioner }))
  for (const bad of [2, -1, 0.5, NaN, undefined, '0', Promise.resolve(0)]) {
    answer = bad
    t.throws(() => log.append('x', 'k'), { code: 'VARVE_INVALID_ARGUMENT' })
    t.throws(() => log.appendBatch([{ value: 'y', partition: 0 }, { value: 'x', key: 'k' }]), { code: 'VARVE_INVALID_ARGUMENT' })
  }
  answer = new Error('mine')
  t.throws(() => log.append('x'), { message: 'mine' })
  t.deepEqual(values(log), [[], []])
})

test('a batch that fails on its way says what was written before, and a producer completes it', async (t) => {
  const log = await freshPartitions(t)
  log.append('x', null, { partition: 2, producer: { id: 7, epoch: 2, sequence: 0 } })
  log.logs[1]!.append('leader', null, { leaderEpoch: 9 })
  const batch = [{ value: 'a', partition: 0 }, { value: 'b', partition: 1 }, { value: 'c', partition: 3 }]
  const error = t.throws(() => log.appendBatch(batch, { leaderEpoch: 5, producer: { id: 7, epoch: 2, sequence: 1 } }), { code: 'VARVE_FENCED' })
  t.true(isVarveError(error, 'VARVE_FENCED'))
  t.deepEqual((error as { written?: unknown }).written, [{ partition: 0, offset: 0, count: 1 }])
  t.deepEqual(log.appendBatch(batch, { leaderEpoch: 9, producer: { id: 7, epoch: 2, sequence: 1 } }).map(({ partition }) => partition), [0, 1, 3])
  t.deepEqual(values(log), [['a'], ['leader', 'b'], ['x'], ['c']])
  t.throws(() => log.append('old', null, { producer: { id: 7, epoch: 1, sequence: 5 } }), { code: 'VARVE_FENCED' })
  t.throws(() => log.appendBatch(batch, { expectedOffset: 5 }), { code: 'VARVE_INVALID_ARGUMENT' })
  t.throws(() => log.append('y', null, { partition: 0, expectedOffset: 5 }), { code: 'VARVE_CONFLICT' })
})

test('bad arguments of append and open are refused', async (t) => {
  const log = await freshPartitions(t)
  const bad: (() => unknown)[] = [
    () => log.append(undefined as never), () => log.append(5 as never), () => log.append('x', 5 as never), () => log.append('x', null, { unheard: 1 } as object),
    () => log.append('x', null, { durability: 'disk' } as object), () => log.appendBatch('x' as never), () => log.appendBatch([null as never]), () => log.appendBatch([{} as never]),
    () => log.appendBatch([{ value: 'x' }], { partition: 1 } as object),
  ]
  bad.forEach((call, i) => t.throws(call, { code: 'VARVE_INVALID_ARGUMENT' }, `${i}`))
  await t.throwsAsync(log.appendAsync('x', null, { partition: 9 }), { code: 'VARVE_INVALID_ARGUMENT' })
  for (const options of [undefined, { partitions: 0 }, { partitions: 5000 }, { partitions: 1.5 }, { partitions: 2, partitioner: 5 }, { partitions: 2, partition: 5 }]) {
    await t.throwsAsync(PartitionedLog.open(freshDir(t), options as PartitionedLogOptions), { code: 'VARVE_INVALID_ARGUMENT' }, JSON.stringify(options))
  }
  t.deepEqual(values(log), [[], [], [], []])
})
