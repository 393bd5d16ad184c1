// A user's program: two worker threads and the main thread on one log. Argument: a directory that is not there yet.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { Wal } from 'varve'

const each = 1_000

if (isMainThread) {
  const dir = process.argv[2]
  const log = await Wal.open(dir)
  log.append('main')
  const workers = [0, 1].map((id) => new Worker(new URL(import.meta.url), { workerData: { dir, id } }))
  const said = await Promise.all(workers.map(async (worker) => (await once(worker, 'message'))[0]))
  await Promise.all(workers.map((worker) => worker.terminate()))
  for (const { first } of said) assert.equal(first, 'main')
  assert.equal(log.nextIndex, 1 + 2 * each)
  const seen = Array.from(log.records({ from: 1 }), ({ data }) => data.toString())
  // All of each, and those of one worker in their order.
  for (const id of [0, 1]) assert.deepEqual(seen.filter((text) => text.startsWith(`${id}:`)), Array.from({ length: each }, (_, i) => `${id}:${i}`))
  await log.close()
  console.log('ok')
} else {
  const { dir, id } = workerData
  const log = await Wal.open(dir)
  const first = log.get(0)?.toString()
  for (let i = 0; i < each; i++) log.append(`${id}:${i}`)
  await log.sync()
  await log.close()
  parentPort.postMessage({ first })
}
