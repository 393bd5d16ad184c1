import test from 'ava'
import { type PartitionedLog, type Seek } from 'varve'
import { run } from '../support/child.ts'
import { freshDir } from '../support/directory.ts'
import { freshPartitions, take, textOf } from './opened.ts'

test('all partitions in one stream, each in its order, and fairly', async (t) => {
  const log = await freshPartitions(t, { partitions: 3 })
  for (let i = 0; i < 3000; i++) log.append(`${i}`, null, { partition: i < 1000 ? 0 : i < 2000 ? 1 : 2 })
  const stream = log.subscribe()
  const first = await take(stream, 900)
  const next = [0, 0, 0]
  for (const { partition, offset } of first) t.is(offset, next[partition]!++)
  // None is far ahead of the others while all have some.
  t.true(next.every((count) => count >= 290), next.join(' '))
  const rest = await take(stream, 2100)
  for (const { partition, offset } of rest) t.is(offset, next[partition]!++)
  t.deepEqual(next, [1000, 1000, 1000])
  const waiting = stream.next()
  log.append('late', 'k', { partition: 1 })
  const { value } = await waiting
  t.deepEqual([value!.partition, value!.offset, textOf(value!), value!.key!.toString()], [1, 1000, 'late', 'k'])
  t.deepEqual(JSON.parse(JSON.stringify(value)).partition, 1)
  await stream.return!()
  t.true((await stream.next()).done)
})

test('a partition that has to be read on another thread is not kept waiting by one that always has something', async (t) => {
  const log = await freshPartitions(t, { partitions: 2 })
  for (let i = 0; i < 20_000; i++) log.append(`${i}`, null, { partition: 0 })
  for (let i = 0; i < 100; i++) log.append('x', null, { partition: 1 })
  const stream = log.subscribe()
  let others = 0
  for await (const { partition } of stream) {
    if (partition === 0) break
    if (++others === 200_000) break
    // It never comes to its end.
    log.append('x', null, { partition: 1 })
  }
  t.true(others < 200_000)
})

test('from: an offset or an end for all, or one for each; partitions: those named', async (t) => {
  const log = await freshPartitions(t)
  for (let i = 0; i < 40; i++) log.append(`${i}`, null, { partition: i % 4 })
  const places = async (options: Parameters<PartitionedLog['subscribe']>[0], count: number): Promise<string[]> => {
    const stream = log.subscribe(options)
    const taken = await take(stream, count)
    await stream.return!()
    return taken.map(({ partition, offset }) => `${partition}:${offset}`).sort()
  }
  t.deepEqual(await places({ from: 9 }, 4), ['0:9', '1:9', '2:9', '3:9'])
  t.deepEqual(await places({ partitions: [3, 1], from: [8, 9] }, 3), ['1:9', '3:8', '3:9'])
  t.deepEqual(await places({ partitions: [2] }, 10), Array.from({ length: 10 }, (_, i) => `2:${i}`))
  const end = log.subscribe({ from: 'end' })
  const next = end.next()
  log.append('new', null, { partition: 2 })
  t.is((await next).value!.offset, 10)
  await end.return!()
  t.true((await log.subscribe({ partitions: [] }).next()).done)
  const bad: unknown[] = [{ from: [1, 2] }, { from: 'middle' }, { from: -1 }, { partitions: [4] }, { partitions: [0, 0] }, { partitions: 'all' }, { unheard: 1 }, { partitions: [1], from: [] }]
  for (const options of bad) t.throws(() => log.subscribe(options as object), { code: 'VARVE_INVALID_ARGUMENT' }, JSON.stringify(options))
  t.throws(() => log.subscribe({ from: 50 satisfies Seek }), { code: 'VARVE_OUT_OF_RANGE' })
})

test('a signal ends it, before, while it waits, and while there is more', async (t) => {
  const log = await freshPartitions(t)
  for (let i = 0; i < 40; i++) log.append(`${i}`)
  const control = new AbortController()
  const stream = log.subscribe({ signal: control.signal })
  await take(stream, 10)
  control.abort('enough')
  t.is((await t.throwsAsync(stream.next(), { name: 'AbortError' })).cause, 'enough')
  t.true((await stream.next()).done)
  await t.throwsAsync(log.subscribe({ signal: control.signal }).next(), { name: 'AbortError' })
  const other = new AbortController()
  const waits = log.subscribe({ signal: other.signal, from: 'end' })
  const next = waits.next()
  other.abort()
  await t.throwsAsync(next, { name: 'AbortError' })
})

test('what is removed under a reader is an error of the stream, and ends it', async (t) => {
  const log = await freshPartitions(t, { segmentSize: 65_536 })
  for (let i = 0; i < 5000; i++) log.append(`${i}`.padEnd(200), null, { partition: 1 })
  const stream = log.subscribe()
  await take(stream, 10)
  await log.logs[1]!.trim({ beforeOffset: 4900 })
  const error = await t.throwsAsync(async () => {
    for (;;) await stream.next().then(({ done }) => { if (done) throw new Error('ended') })
  })
  t.is((error as { code?: string }).code, 'VARVE_OUT_OF_RANGE')
  t.true((await stream.next()).done)
})

test('calls of next that overlap are answered in order', async (t) => {
  const log = await freshPartitions(t, { partitions: 1 })
  const stream = log.subscribe()
  const calls = Array.from({ length: 5 }, () => stream.next())
  for (let i = 0; i < 5; i++) log.append(`${i}`)
  t.deepEqual((await Promise.all(calls)).map(({ value }) => textOf(value!)), ['0', '1', '2', '3', '4'])
})

test('a stream that has read all there is and waits holds no memory to read into', async (t) => {
  const end = await run('idle-streams', [freshDir(t)], { env: { ...process.env, NODE_OPTIONS: '' } })
  t.is(end.code, 0, end.stderr)
  const { bytes, last } = JSON.parse(end.stdout) as { bytes: number; last: string }
  t.is(last, 'last last')
  // With buffers that are kept it is three times as much.
  t.true(bytes < 80_000, `${bytes} bytes each`)
})
