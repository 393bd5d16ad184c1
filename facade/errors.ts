/**
 * What has gone wrong, stable across releases; messages are not.
 *  - VARVE_INVALID_ARGUMENT: the call is wrong; nothing happened (a `TypeError` or `RangeError`)
 *  - VARVE_OUT_OF_RANGE: an index or position outside of what the engine holds
 *  - VARVE_TOO_LARGE: a record or batch over the `limit`; nothing was written
 *  - VARVE_CONFLICT: what was expected is not so; nothing was written
 *  - VARVE_CLOSED: the handle has been closed
 *  - VARVE_READONLY: a write to what was opened for reading
 *  - VARVE_BUSY: a reader stands in the way; try again
 *  - VARVE_LOCKED: another process (`pid`) holds the directory for writing
 *  - VARVE_NO_INDEX: a lookup by key or time on a log opened without that index
 *  - VARVE_TYPE_MISMATCH: what is stored is not of the type that was asked for
 *  - VARVE_FENCED: an older producer or leader epoch
 *  - VARVE_CORRUPT: bytes on disk fail their checksum or their form; `path` and `position` say where
 *  - VARVE_UNSUPPORTED: a format version, codec, option or platform feature that this build does not know
 *  - VARVE_MISSING_DICTIONARY, VARVE_MISSING_TEMPLATE: what a value was compressed with is gone
 *  - VARVE_NO_SPACE: the disk is full; what was acknowledged before is intact
 *  - VARVE_SYNC_FAILED: a sync failed: the engine takes no more writes until it is opened again
 *  - VARVE_IO: the system refused; `cause` says why
 */
export type ErrorCode =
  | 'VARVE_INVALID_ARGUMENT' | 'VARVE_OUT_OF_RANGE' | 'VARVE_TOO_LARGE' | 'VARVE_CONFLICT' | 'VARVE_CLOSED' | 'VARVE_READONLY'
  | 'VARVE_BUSY' | 'VARVE_LOCKED' | 'VARVE_NO_INDEX' | 'VARVE_TYPE_MISMATCH' | 'VARVE_FENCED' | 'VARVE_CORRUPT' | 'VARVE_UNSUPPORTED'
  | 'VARVE_MISSING_DICTIONARY' | 'VARVE_MISSING_TEMPLATE' | 'VARVE_NO_SPACE' | 'VARVE_SYNC_FAILED' | 'VARVE_IO'

/** The facts of an error, as native code and the facade hand them to `createError`. */
export interface ErrorDetails {
  path?: string
  position?: number
  index?: number
  pid?: number
  limit?: number
  written?: { partition: number; offset: number; count: number }[]
  causeCode?: string
  causeMessage?: string
  cause?: unknown
  /** Of VARVE_INVALID_ARGUMENT: the value has the right type, but is outside of what is allowed. */
  range?: boolean
}

// Registered, so that the errors of another realm, or of another copy of the package, are recognised.
const brand = Symbol.for('varve.error')
const key = Symbol('varve.construct')

/** What the engine could not do. `code` says what happened, the other fields where; `cause` is the system's own error. */
export class VarveError extends Error {
  readonly code: Exclude<ErrorCode, 'VARVE_INVALID_ARGUMENT'>
  /** The file or directory concerned, the byte position in it, the index, the lock's holder, the limit: where there is one. */
  declare readonly path?: string
  declare readonly position?: number
  declare readonly index?: number
  declare readonly pid?: number
  declare readonly limit?: number
  /** Of a batch to several partitions that failed on its way. */
  declare readonly written?: readonly { partition: number; offset: number; count: number }[]

  static {
    define(this.prototype, 'name', 'VarveError')
    define(this.prototype, brand, true)
  }

  private constructor(token: symbol, code: Exclude<ErrorCode, 'VARVE_INVALID_ARGUMENT'>, message: string) {
    if (token !== key) throw new TypeError('VarveError is not constructed by its users')
    super(message)
    this.code = code
  }
}

const facts = ['path', 'position', 'index', 'pid', 'limit', 'written'] as const
const Construct = VarveError as unknown as new (token: symbol, code: string, message: string) => VarveError

/**
 * The error for a code: a `TypeError` or `RangeError` for VARVE_INVALID_ARGUMENT, else a `VarveError`. Native code calls it too,
 * so that every error of the package is made here.
 */
export function createError(code: string, message: string, given?: ErrorDetails): Error {
  // Own properties alone: what someone added to Object.prototype is no fact.
  const details: ErrorDetails | undefined = given && Object.assign(Object.create(null), given)
  const error: Error = code === 'VARVE_INVALID_ARGUMENT' ? invalid(message, details?.range) : new Construct(key, code, message)
  if (details !== undefined) {
    for (const fact of facts) {
      const value = details[fact]
      if (value !== undefined) Object.defineProperty(error, fact, { value, enumerable: true, writable: true, configurable: true })
    }
    const cause = causeOf(details)
    if (cause !== undefined) define(error, 'cause', cause)
  }
  Error.captureStackTrace(error, createError)
  return error
}

/** The error of a wrong argument: nothing has happened. */
export function invalid(message: string, range = false): TypeError | RangeError {
  const error = range ? new RangeError(message) : new TypeError(message)
  Object.defineProperty(error, 'code', { value: 'VARVE_INVALID_ARGUMENT', enumerable: true, writable: true, configurable: true })
  define(error, brand, true)
  Error.captureStackTrace(error, invalid)
  return error
}

/** The error that Node itself raises for an aborted signal. */
export function aborted(signal: AbortSignal): Error {
  const error = new Error('The operation was aborted', { cause: signal.reason })
  define(error, 'name', 'AbortError')
  Object.defineProperty(error, 'code', { value: 'ABORT_ERR', enumerable: true, writable: true, configurable: true })
  return error
}

/**
 * Whether `error` is one of varve's, with this `code` if it is given. Also true of the `TypeError` or `RangeError` of a wrong argument, and
 * across realms and copies of the package.
 */
export function isVarveError<C extends ErrorCode = ErrorCode>(error: unknown, code?: C): error is Error & { readonly code: C } {
  if (typeof error !== 'object' || error === null) return false
  const candidate = error as { [brand]?: unknown; code?: unknown }
  return candidate[brand] === true && (code === undefined || candidate.code === code)
}

function causeOf(details: ErrorDetails): unknown {
  if (details.causeMessage === undefined && details.causeCode === undefined) return details.cause
  const cause = new Error(details.causeMessage ?? details.causeCode)
  if (details.causeCode !== undefined) Object.assign(cause, { code: details.causeCode })
  return cause
}

/** As the properties of built-in errors are: there, but not listed. */
function define(target: object, name: PropertyKey, value: unknown): void {
  Object.defineProperty(target, name, { value, enumerable: false, writable: true, configurable: true })
}
