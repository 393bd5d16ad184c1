// Opening: the marks of a log are looked at, and the lock of another process is waited for.
import { setTimeout as delay } from 'node:timers/promises'
import { aborted, createError, invalid, isVarveError } from './errors.ts'
import { native, type WalBinding } from './native.ts'
import { checkSignal, type OpenRequest } from './options.ts'

/** Milliseconds between two tries of a lock that another process holds. */
const LOCK_RETRY = 10

/** How an open waits. */
interface Wait {
  lockTimeout: number | undefined
  signal: AbortSignal | undefined
}

/** Opens the log at `path` without blocking this thread, trying a lock that is held until `lockTimeout` is over. */
export function openBinding(path: string, request: OpenRequest): Promise<WalBinding> {
  const { native: given, signal } = request
  return openWaiting({ lockTimeout: given.lockTimeout, signal }, () => {
    checkMarkers(path, request)
    return native.openWal(path, given)
  })
}

/** The same on this thread. */
export function openBindingSync(path: string, request: OpenRequest): WalBinding {
  refuseSignal(request.signal)
  checkMarkers(path, request)
  return native.openWalSync(path, request.native)
}

/** Tries `open` while another process holds the lock. */
export async function openWaiting<B extends { close(): Promise<unknown> }>({ lockTimeout, signal }: Wait, open: () => Promise<B>): Promise<B> {
  checkSignal(signal)
  const until = performance.now() + (lockTimeout ?? 0)
  for (;;) {
    try {
      return await race(open(), signal, (late) => late.close())
    } catch (error) {
      if (!isVarveError(error, 'VARVE_LOCKED') || performance.now() >= until) throw error
    }
    await delay(LOCK_RETRY, undefined, { signal }).catch(() => {})
    checkSignal(signal)
  }
}

/** An open that blocks cannot be aborted. */
export function refuseSignal(signal: AbortSignal | undefined): void {
  if (signal !== undefined) throw invalid('signal is an option of open(), not of openSync()')
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
