import { once } from 'node:events'
import { setImmediate } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import test from 'ava'
import { Wal } from 'varve'
import { program } from '../support/child.ts'
import { closedAfter, freshDir } from '../support/directory.ts'
import { take } from '../support/following.ts'

const launch = (dir: string, how: string, options: object = {}): Worker => new Worker(program('tailer'), { workerData: { dir, how, ...options }, execArgv: [], env: {} })
const message = async (worker: Worker): Promise<string> => ((await once(worker, 'message')) as [string])[0]

test('an append here wakes a tail in a worker, each time', async (t) => {
  const dir = freshDir(t)
  const log = closedAfter(t, Wal.openSync(dir))
  const worker = launch(dir, 'tail', { count: 200 })
  t.is(await message(worker), 'ready')
  for (let i = 0; i < 200; i++) {
    const coming = message(worker)
    log.append(`record ${i}`)
    t.is(await coming, `${i} record ${i}`)
  }
  const [code] = (await once(worker, 'exit')) as [number]
  t.is(code, 0)
})

test('a commit here wakes a gated tail in a worker', async (t) => {
  const dir = freshDir(t)
  const log = closedAfter(t, Wal.openSync(dir))
  const worker = launch(dir, 'tail', { count: 50, gated: true })
  t.is(await message(worker), 'ready')
  for (let i = 0; i < 50; i++) {
    log.append(`record ${i}`)
    const coming = message(worker)
    await setImmediate()
    log.commit(i)
    t.is(await coming, `${i} record ${i}`)
  }
})

test('waitFor in a worker resolves by an append here', async (t) => {
  const dir = freshDir(t)
  const log = closedAfter(t, Wal.openSync(dir))
  const worker = launch(dir, 'waitFor', { count: 3 })
  t.is(await message(worker), 'ready')
  const coming = message(worker)
  log.append('a')
  await setImmediate()
  log.appendBatch(['b', 'c', 'd'])
  t.is(await coming, 'next 4')
})

test('several workers tail what is written here at full speed: no wake-up is lost, and nothing else', async (t) => {
  const dir = freshDir(t)
  const count = 60_000
  const log = closedAfter(t, Wal.openSync(dir, { segmentSize: 1 << 18 }))
  const workers = Array.from({ length: 3 }, () => launch(dir, 'check', { count }))
  await Promise.all(workers.map(message))
  const ends = workers.map(message)
  for (let i = 0; i < count; ) {
    const burst = i % 7 === 0 ? 1 : (i * 31) % 300
    for (const end = Math.min(count, i + burst + 1); i < end; i++) log.append(`${i}:${'.'.repeat(i % 90)}`)
    await setImmediate()
  }
  t.deepEqual(await Promise.all(ends), workers.map(() => `${count} in order`))
})

test('what workers append wakes a tail here: each record once, in the order of the log', async (t) => {
  const dir = freshDir(t)
  const log = closedAfter(t, Wal.openSync(dir, { segmentSize: 1 << 18 }))
  const names = ['a', 'b', 'c']
  const workers = names.map((name, i) => new Worker(program('appender'), { workerData: { dir, name, count: 2000, how: ['plain', 'batch', 'durable'][i] }, execArgv: [], env: {} }))
  const next = new Map(names.map((name) => [name, 0]))
  let index = 0
  for await (const record of log.tail()) {
    const [name = '', n] = record.data.toString().split(':')
    if (record.index !== index++ || next.get(name) !== Number(n)) t.fail(`${record.index}: ${record.data.toString()}`)
    next.set(name, Number(n) + 1)
    if (index === 6000) break
  }
  t.deepEqual([...next.values()], [2000, 2000, 2000])
  await Promise.all(workers.map((worker) => worker.terminate()))
})

test('workers terminated while they wait: the log goes on, truncates, closes, and opens again', async (t) => {
  const dir = freshDir(t)
  const log = closedAfter(t, Wal.openSync(dir, { segmentSize: 65_536 }))
  for (let round = 0; round < 8; round++) {
    const workers = Array.from({ length: 3 }, () => launch(dir, 'hang'))
    await Promise.all(workers.map(message))
    if (round % 2 === 0) log.append(`${round}`)
    const ended = Promise.all(workers.map((worker) => worker.terminate()))
    for (let i = 0; i < 50; i++) log.append(`${round}: ${i}`)
    await ended
    log.truncateAfter(log.nextIndex - 20)
    await log.sync()
  }
  const tail = log.tail()
  t.is((await take(tail, log.nextIndex)).at(-1)!.index, log.nextIndex - 1)
  await log.close()
  // Given up by all: another size would be refused by an open log.
  closedAfter(t, Wal.openSync(dir, { segmentSize: 131_072 }))
})

test('a truncation here overtakes a tail that waits in a worker', async (t) => {
  const dir = freshDir(t)
  const log = closedAfter(t, Wal.openSync(dir))
  log.appendBatch(['a', 'b', 'c'])
  const worker = launch(dir, 'tail')
  const failed = once(worker, 'error') as Promise<[{ code: string }]>
  for (const expected of ['ready', '0 a', '1 b', '2 c']) t.is(await message(worker), expected)
  log.truncateAfter(0)
  for (const record of ['B', 'C']) log.append(record)
  t.is((await failed)[0].code, 'VARVE_OUT_OF_RANGE')
})

test('truncations here under tails that read at full speed in workers: out of range or right, never damage, never a hole', async (t) => {
  const dir = freshDir(t)
  const log = closedAfter(t, Wal.openSync(dir, { segmentSize: 65_536 }))
  const workers = Array.from({ length: 2 }, () => launch(dir, 'again'))
  const failed = Promise.race(workers.map(async (worker) => Promise.reject(((await once(worker, 'error')) as [Error])[0])))
  t.teardown(() => Promise.all(workers.map((worker) => worker.terminate())))
  await Promise.all(workers.map(message))
  const work = async (): Promise<void> => {
    for (let round = 0; round < 400; round++) {
      for (let i = 0; i < 200; i++) log.append(`${log.nextIndex}:${round}:${'.'.repeat((i * 37) % 200)}`)
      if (round % 3 === 0) await setImmediate()
      log.truncateAfter(log.nextIndex - 1 - ((round * 71) % 300))
      if (round % 50 === 49) log.truncateBefore(log.nextIndex - 100)
      if (round % 7 === 0) await setImmediate()
    }
  }
  await Promise.race([work(), failed])
  const ends = workers.map(message)
  workers.forEach((worker) => worker.postMessage('end'))
  for (const end of await Promise.race([Promise.all(ends), failed])) t.regex(end, /^\d+ records, overtaken \d+ times$/)
})
