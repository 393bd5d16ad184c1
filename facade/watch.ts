// Long work of the addon: progress for who watches, and an end for who aborts.
import { aborted } from './errors.ts'
import type { Watched } from './native.ts'
import { checkSignal, readCareOptions } from './options.ts'
import type { CareOptions, Progress } from './reports.ts'

/** How often `onProgress` is called, in milliseconds: as often as a person can follow. */
const INTERVAL = 100

/** Waits for `work`. `onProgress` hears of it meanwhile and once at its end; if it throws, or `signal` aborts, the work is called off. */
export async function watch<T>(work: Watched<T>, signal: AbortSignal | undefined, onProgress: CareOptions['onProgress']): Promise<T> {
  let thrown: { error: unknown } | undefined
  const table = new Float64Array(4)
  const tell = () => {
    if (thrown !== undefined || signal?.aborted) return
    work.progress(table)
    const [bytes = 0, totalBytes = 0, segments = 0, totalSegments = 0] = table
    try {
      onProgress?.({ bytes, totalBytes, segments, totalSegments } satisfies Progress)
    } catch (error) {
      thrown = { error }
      work.abort()
    }
  }
  const timer = onProgress === undefined ? undefined : setInterval(tell, INTERVAL).unref()
  const end = () => work.abort()
  signal?.addEventListener('abort', end, { once: true })
  try {
    const result = await work.done
    if (signal?.aborted) throw aborted(signal)
    tell()
    if (thrown !== undefined) throw thrown.error
    return result
  } catch (error) {
    if (thrown !== undefined) throw thrown.error
    throw signal?.aborted ? aborted(signal) : error
  } finally {
    clearInterval(timer)
    signal?.removeEventListener('abort', end)
  }
}

/** Begins `work` under options that are still to be read, and waits for it. */
export function watched<T>(options: unknown, work: () => Watched<T>): Promise<T> {
  const { signal, onProgress } = readCareOptions(options)
  checkSignal(signal)
  return watch(work(), signal, onProgress)
}
