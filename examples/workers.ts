// Several worker threads append to one log. Threads that open the same directory share one core: one lock, one order.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { Worker, isMainThread, workerData } from 'node:worker_threads'
import { Wal } from 'varve'

const THREADS = 3
const EACH = 1000

if (isMainThread) {
  const dir = mkdtempSync(path.join(tmpdir(), 'varve-workers-'))
  await using log = await Wal.open(dir)
  const workers = Array.from({ length: THREADS }, (_, thread) => new Worker(fileURLToPath(import.meta.url), { workerData: { dir, thread } }))
  await Promise.all(workers.map(async (worker) => {
    const [code] = await once(worker, 'exit')
    assert.equal(code, 0)
  }))

  // Indexes are without a gap, and the records of each thread are in the order in which it appended them.
  const next = Array.from({ length: THREADS }, () => 0)
  for (const { data } of log.records()) {
    const [thread = 0, i] = data.toString().split(':').map(Number)
    assert.equal(i, next[thread])
    next[thread] = (next[thread] ?? 0) + 1
  }
  assert.deepEqual(next, Array.from({ length: THREADS }, () => EACH))
  console.log(`${log.nextIndex} records of ${THREADS} threads, each in its order`)
  await log.close()
  rmSync(dir, { recursive: true })
} else {
  const { dir, thread } = workerData as { dir: string; thread: number }
  await using log = await Wal.open(dir)
  for (let i = 0; i < EACH; i++) {
    log.append(`${thread}:${i}`)
    if (i % 100 === 0) await log.sync()
  }
}
