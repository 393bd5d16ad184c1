// Long work of the addon that is done a segment at a time, on another thread, with pauses between them where they are wanted.
import { setTimeout as delay } from 'node:timers/promises'
import { aborted } from './errors.ts'
import type { StepsBinding } from './native.ts'
import { callback, careOf, checkSignal, integer, readOwn } from './options.ts'
import type { CareOptions, Progress } from './reports.ts'

export interface RewriteOptions extends CareOptions {
  /** Between one segment and the next: a pause in milliseconds, or a wait of the caller's own. */
  pause?: number | ((signal?: AbortSignal) => Promise<void>)
}

export interface Rewrite extends CareOptions {
  pause: RewriteOptions['pause']
}

/** What work that rewrites segments takes. */
export function readRewriteOptions(value: unknown): Rewrite {
  return rewriteOf(readOwn(value, ['signal', 'onProgress', 'pause']))
}

export function rewriteOf({ pause, ...care }: { signal?: unknown; onProgress?: unknown; pause?: unknown }): Rewrite {
  return { ...careOf(care), pause: typeof pause === 'number' ? integer('pause', pause, 0, 0x7fffffff) : callback('pause', pause) }
}

/** Does all of `work`. Called off, what was done stays done. `changed` is called after each step. */
export async function stepThrough(work: StepsBinding, { signal, onProgress, pause }: Rewrite, changed: () => void = () => {}): Promise<void> {
  checkSignal(signal)
  const end = () => work.abort()
  signal?.addEventListener('abort', end, { once: true })
  try {
    while (await work.step()) {
      changed()
      if (onProgress !== undefined) onProgress(progressOf(work))
      checkSignal(signal)
      if (typeof pause === 'number') await delay(pause, undefined, signal === undefined ? {} : { signal })
      else if (pause !== undefined) await pause(signal)
    }
    changed()
    checkSignal(signal)
  } catch (error) {
    throw signal?.aborted ? aborted(signal) : error
  } finally {
    signal?.removeEventListener('abort', end)
  }
}

function progressOf(work: StepsBinding): Progress {
  const table = new Float64Array(4)
  work.progress(table)
  const [bytes = 0, totalBytes = 0, segments = 0, totalSegments = 0] = table
  return { bytes, totalBytes, segments, totalSegments }
}
