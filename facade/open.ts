// Opening: the marks of a log are looked at, and the lock of another process is waited for.
import { setTimeout as delay } from 'node:timers/promises'
import { aborted, createError, invalid, isVarveError } from './errors.ts'
import { native, type WalBinding } from './native.ts'
import { checkSignal, type OpenRequest } from './options.ts'

/** Milliseconds between two tries of a lock that another process holds. */
const LOCK_RETRY = 10

/** Opens the log at `path` without blocking this thread, trying a lock that is held until `lockTimeout` is over. */
export async function openBinding(path: string, request: OpenRequest): Promise<WalBinding> {
  const { native: given, signal } = request
  checkSignal(signal)
  const until = performance.now() + (given.lockTimeout ?? 0)
  for (;;) {
    try {
      checkMarkers(path, request)
      return await race(native.openWal(path, given), signal, (late) => late.close())
    } catch (error) {
      if (!isVarveError(error, 'VARVE_LOCKED') || performance.now() >= until) throw error
    }
    await delay(LOCK_RETRY, undefined, { signal }).catch(() => {})
    checkSignal(signal)
  }
}

/** The same on this thread. */
export function openBindingSync(path: string, request: OpenRequest): WalBinding {
  if (request.signal !== undefined) throw invalid('signal is an option of open(), not of openSync()')
  checkMarkers(path, request)
  return native.openWalSync(path, request.native)
}

/** Has the marks that are stored in a log looked at, before it is opened. */
function checkMarkers(path: string, { validateMarker }: OpenRequest): void {
  if (validateMarker === undefined) return
  for (const marker of native.markersOfWal(path)) {
    if (marker !== 0 && !validateMarker(marker)) {
      throw createError('VARVE_CONFLICT', `the log in ${path} has segments with marker ${marker}, which validateMarker refuses`, { path })
    }
  }
}

/** `promise`, or an `AbortError` as soon as `signal` aborts; what comes too late is given to `discard`. */
async function race<V>(promise: Promise<V>, signal: AbortSignal | undefined, discard?: (value: V) => Promise<unknown>): Promise<V> {
  if (signal === undefined) return promise
  let stop!: () => void
  const stopped = new Promise<never>((_, reject) => {
    stop = () => {
      void promise.then(discard).catch(() => {})
      reject(aborted(signal))
    }
  })
  signal.addEventListener('abort', stop, { once: true })
  try {
    return await Promise.race([promise, stopped])
  } finally {
    signal.removeEventListener('abort', stop)
  }
}
