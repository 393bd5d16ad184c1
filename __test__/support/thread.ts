import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import type { ExecutionContext } from 'ava'
import { program } from './child.ts'

/** A worker thread with handles of its own. */
export interface Thread {
  readonly worker: Worker
  /** Runs the body of an async function of `Wal`, `Log`, `state` (kept between the calls) and `args` there; rejects with its error's name, message and code. */
  run<V = unknown>(body: string, args?: unknown): Promise<V>
  end(): Promise<void>
}

/** Starts a worker thread, ended after the test. */
export function thread(t: ExecutionContext): Thread {
  const env = process.env['VARVE_NO_EXTERNAL'] === undefined ? {} : { VARVE_NO_EXTERNAL: process.env['VARVE_NO_EXTERNAL'] }
  const worker = new Worker(program('thread'), { execArgv: [], env })
  let last = 0
  const end = async (): Promise<void> => void (await worker.terminate())
  t.teardown(end)
  const run = async <V>(body: string, args?: unknown): Promise<V> => {
    const id = ++last
    worker.postMessage({ id, body, args })
    for (;;) {
      const [answer] = (await once(worker, 'message')) as [{ id: number; value?: V; error?: { name: string; message: string; code?: string } }]
      if (answer.id !== id) continue
      if (answer.error !== undefined) throw Object.assign(new Error(answer.error.message), answer.error)
      return answer.value as V
    }
  }
  return { worker, run, end }
}
