// Options are read once, own properties only, so that neither a polluted Object.prototype nor a getter changes what was checked.
import { resolve } from 'node:path'
import { type Codec, isCodec } from './codecs.ts'
import { aborted, invalid } from './errors.ts'
import type { NativeWalOptions } from './native.ts'
import type { CareOptions, SegmentInfo } from './reports.ts'
import type { Retaining } from './retention.ts'

/**
 * How far a write has got when its call returns:
 *  'buffered' (default) at memory speed: visible to every reader in the process at once, handed to the system at the end of the
 *             event-loop turn or when 256 KiB have gathered. A process that is killed loses that turn at most.
 *  'os'       the system has it: survives the end of the process, not of the machine
 *  'disk'     it is durable: survives power loss
 *  {…}        as 'buffered', and synced in the background: after each turn, after so many milliseconds, or so many bytes
 * At every level `sync()` makes all before it durable; those that wait together share one sync.
 */
export type Durability = 'buffered' | 'os' | 'disk' | { syncEveryTurn?: boolean; syncEveryMs?: number; syncEveryBytes?: number }

export interface OpenOptions {
  /** Create the directory, with its parents, if it is missing. Default true. */
  create?: boolean
  /** Milliseconds to wait for another process's lock. Default 0: VARVE_LOCKED at once, its message naming the holder's pid. */
  lockTimeout?: number
  /** Read only: takes no lock, writes nothing, and follows a writer in another process. Default false. */
  readOnly?: boolean
  durability?: Durability
  /** Check every checksum before opening. Default false: what was not yet known durable is always checked. */
  verify?: boolean
  /** A torn tail is cut and reported, its bytes kept in a `.torn` file. Any other damage fails the open, and changes
   *  nothing; with 'skip' reading goes on behind it, and `stats().recovery.gaps` tells what is missing. Default 'fail'. */
  onDamage?: 'fail' | 'skip'
  /** Of `open` alone. */
  signal?: AbortSignal
}

export interface WalOptions extends OpenOptions {
  /** Bytes of one segment file. Default 16 MiB; 64 KiB to 1 GiB. */
  segmentSize?: number
  /** Index of the first record of a new log. Default 0. */
  firstIndex?: number
  retention?: WalRetention
  /** Readers stop at `commit()`ed records. Default false. */
  commitGate?: boolean
  /** 32-bit mark stored in every new segment. 0 (default): none. */
  marker?: number
  /** Asked at open for each mark that is stored in the log, but 0; false refuses the open with VARVE_CONFLICT, before anything has happened. */
  validateMarker?: (marker: number) => boolean
}

/** Which segments are removed from the start of the log, whole ones, oldest first; never the one that is written to. */
export interface WalRetention {
  /** A segment goes so many milliseconds after it was sealed. */
  maxAgeMs?: number
  /** Kept whatever the rules say. Default 1. */
  minSegments?: number
  maxSegments?: number
  /** Of the files, as far as they are used. */
  maxBytes?: number
  /** Asked before a segment is deleted; false keeps it, and all behind it, for now. Of several handles any may keep it. */
  mayDelete?: (segment: SegmentInfo) => boolean
  /** How often it runs in the background; 0 (default) only when `enforceRetention()` is called or a segment rotates. */
  intervalMs?: number
}

/** Of an `…Async` write: it resolves when this level is reached. Default: the engine's own, at least 'os'. */
export interface WriteOptions {
  durability?: 'os' | 'disk'
}

/** The write happens only if its first record gets this index; else VARVE_CONFLICT. */
export interface Expected {
  expectedIndex?: number
}

export interface ScanOptions {
  /** Views of the mapped file instead of copies, where whole pages of it are written: valid for as long as they are held; writing to one reaches no file. */
  zeroCopy?: boolean
  /** Aborted, the next step throws an `AbortError`. */
  signal?: AbortSignal
}

/** Where a scan begins and ends. */
export interface ScanRange {
  /** Index of the first record; default: the first there is. */
  from?: number
  /** Excluded; default: the end as of each step. */
  to?: number
}

/** `durability`, as it is kept by a handle. */
export interface Levels {
  level: 'buffered' | 'os' | 'disk'
  everyTurn: boolean
  everyMs: number
  everyBytes: number
}

export type Values<K extends string> = { [key in K]?: unknown }

const OPEN = [
  'create', 'lockTimeout', 'readOnly', 'durability', 'verify', 'onDamage', 'signal', 'segmentSize', 'firstIndex', 'retention', 'commitGate', 'marker',
  'validateMarker', 'codec',
] as const

/** What belongs to a handle, and not to the log. */
export interface HandleOptions extends Retaining {
  levels: Levels
  codec: Codec<unknown> | undefined
  gated: boolean
}

export interface OpenRequest {
  native: NativeWalOptions
  handle: HandleOptions
  validateMarker: WalOptions['validateMarker']
  signal: AbortSignal | undefined
}

/** What `open` and `openSync` take. */
export function readOpenOptions(value: unknown): OpenRequest {
  const options = readOwn(value, OPEN)
  const codec = options.codec
  if (codec !== undefined && !isCodec(codec)) {
    throw invalid(`codec must have a name of 1 to 200 bytes, encode() and decode(), got ${show(codec)}`)
  }
  const { onDamage } = options
  if (onDamage !== undefined && onDamage !== 'fail' && onDamage !== 'skip') throw invalid(`onDamage must be 'fail' or 'skip', got ${show(onDamage)}`)
  const native: NativeWalOptions = Object.assign(new Read<object>(), { codecName: codec?.name ?? 'bytes' })
  if (options.create !== undefined) native.create = flag('create', options.create)
  if (options.lockTimeout !== undefined) native.lockTimeout = integer('lockTimeout', options.lockTimeout, 0, 0x7fffffff)
  if (options.verify !== undefined) native.verify = flag('verify', options.verify)
  if (onDamage !== undefined) native.onDamage = onDamage
  if (options.segmentSize !== undefined) native.segmentSize = integer('segmentSize', options.segmentSize, 0x10000, 0x40000000)
  if (options.firstIndex !== undefined) native.firstIndex = integer('firstIndex', options.firstIndex)
  if (options.marker !== undefined) native.marker = integer('marker', options.marker, 0, 0xffffffff)
  if (options.readOnly !== undefined) native.readOnly = flag('readOnly', options.readOnly)
  const { rules, ...retaining } = readRetention(options.retention, WAL_RULES)
  if (rules !== undefined) native.retention = rules
  const gated = options.commitGate !== undefined && flag('commitGate', options.commitGate)
  const handle: HandleOptions = { levels: readDurability(options.durability), codec, gated, ...retaining }
  return { native, handle, validateMarker: callback('validateMarker', options.validateMarker), signal: readSignal(options.signal) }
}

const WAL_RULES = { maxAgeMs: 0, minSegments: 0, maxSegments: 1, maxBytes: 0 } as const

/** The rules of a retention, by name each with its least value; and what belongs to the handle. Without a rule of its own a handle takes those of the log. */
export function readRetention<R extends string>(value: unknown, least: Readonly<Record<R, number>>): Retaining & { rules: { [rule in R]?: number } | undefined } {
  const names = Object.keys(least) as R[]
  const read = readOwn<R | 'mayDelete' | 'intervalMs'>(value, [...names, 'mayDelete', 'intervalMs'], 'retention')
  const rules: { [rule in R]?: number } = Object.assign(new Read<object>(), {})
  for (const name of names) if (read[name] !== undefined) rules[name] = integer(`retention.${name}`, read[name], least[name])
  return {
    rules: Object.keys(rules).length > 0 ? rules : undefined,
    mayDelete: callback('retention.mayDelete', read.mayDelete),
    retainEveryMs: read.intervalMs === undefined ? 0 : integer('retention.intervalMs', read.intervalMs, 0, 0x7fffffff),
  }
}

export function callback<F>(name: string, value: unknown): F | undefined {
  if (value !== undefined && typeof value !== 'function') throw invalid(`${name} must be a function, got ${show(value)}`)
  return value as F | undefined
}

/** What long work takes. */
export function readCareOptions(value: unknown): CareOptions {
  return careOf(readOwn(value, ['signal', 'onProgress']))
}

export function careOf({ signal, onProgress }: Values<'signal' | 'onProgress'>): CareOptions {
  const options: CareOptions = {}
  const read = readSignal(signal)
  if (read !== undefined) options.signal = read
  const told = callback<NonNullable<CareOptions['onProgress']>>('onProgress', onProgress)
  if (told !== undefined) options.onProgress = told
  return options
}

/** What `backup` takes. */
export function readBackupOptions(value: unknown): CareOptions & { afterSegment: number; active: boolean } {
  const read = readOwn(value, ['signal', 'onProgress', 'afterSegment', 'active'])
  return {
    ...careOf(read),
    afterSegment: read.afterSegment === undefined ? 0 : integer('afterSegment', read.afterSegment),
    active: read.active !== undefined && flag('active', read.active),
  }
}

/** Where a scan begins and ends, and how it hands out. */
export interface Scan {
  from: number | undefined
  to: number | undefined
  zeroCopy: boolean
  signal: AbortSignal | undefined
}

/** What `records` and `recordsAsync` take. */
export function readScanOptions(value: unknown): Scan {
  return scanOf(readOwn(value, ['from', 'to', 'zeroCopy', 'signal']))
}

function scanOf({ from, to, zeroCopy, signal }: Values<'from' | 'to' | 'zeroCopy' | 'signal'>): Scan {
  return {
    from: from === undefined ? undefined : integer('from', from),
    to: to === undefined ? undefined : integer('to', to),
    zeroCopy: zeroCopy !== undefined && flag('zeroCopy', zeroCopy),
    signal: readSignal(signal),
  }
}

/** What `tail` takes. */
export function readTailOptions(value: unknown): Scan & { atEnd: boolean } {
  const { from, ...rest } = readOwn(value, ['from', 'zeroCopy', 'signal'])
  const atEnd = from === 'end'
  if (typeof from === 'string' && !atEnd) throw invalid(`from must be an index or 'end', got ${show(from)}`)
  return { ...scanOf(atEnd || from === undefined ? rest : { ...rest, from }), atEnd }
}

/** What `reader` takes. */
export function readReaderOptions(value: unknown): Scan {
  return scanOf(readOwn(value, ['from', 'zeroCopy']))
}

/** What `get` takes, beside the index. */
export function readGetOptions(value: unknown): boolean {
  const { zeroCopy } = readOwn(value, ['zeroCopy'])
  return zeroCopy !== undefined && flag('zeroCopy', zeroCopy)
}

/** What `waitFor` takes, beside the index. */
export function readWaitOptions(value: unknown): AbortSignal | undefined {
  return readSignal(readOwn(value, ['signal']).signal)
}

/** What `getAt` takes. */
export function readPosition(value: unknown): { segment: number; offset: number } {
  if (typeof value !== 'object' || value === null) throw invalid(`position must be { segment, offset }, got ${show(value)}`)
  const { segment, offset } = value as { segment?: unknown; offset?: unknown }
  return { segment: integer('segment', segment), offset: integer('offset', offset) }
}

/** What a plain write takes. */
export function readExpected(value: unknown): number | undefined {
  const { expectedIndex } = readOwn(value, ['expectedIndex'])
  return expectedIndex === undefined ? undefined : integer('expectedIndex', expectedIndex)
}

/** What an `…Async` write takes. */
export function readWriteOptions(value: unknown, keys: readonly ('durability' | 'expectedIndex')[]): { durability: 'os' | 'disk' | undefined; expectedIndex: number | undefined } {
  const { durability, expectedIndex } = readOwn(value, keys) as Values<'durability' | 'expectedIndex'>
  if (durability !== undefined && durability !== 'os' && durability !== 'disk') throw invalid(`durability of one write must be 'os' or 'disk', got ${show(durability)}`)
  return { durability, expectedIndex: expectedIndex === undefined ? undefined : integer('expectedIndex', expectedIndex) }
}

/** An index, offset or count: a safe integer of at least `min`. */
export function integer(name: string, value: unknown, min = 0, max: number = Number.MAX_SAFE_INTEGER): number {
  if (typeof value !== 'number') throw invalid(`${name} must be a number, got ${show(value)}`)
  if (!Number.isSafeInteger(value) || value < min || value > max || Object.is(value, -0)) {
    throw invalid(`${name} must be an integer from ${min} to ${max}, got ${show(value)}`, true)
  }
  return value
}

/** The absolute path of a directory. */
export function readDir(value: unknown): string {
  if (typeof value !== 'string') throw invalid(`dir must be a string, got ${show(value)}`)
  if (value === '' || value.includes('\0')) throw invalid(`dir must be a path, got ${show(value)}`)
  return resolve(value)
}

export function readDurability(value: unknown): Levels {
  if (value === undefined || value === 'buffered' || value === 'os' || value === 'disk') {
    return { level: value ?? 'buffered', everyTurn: false, everyMs: 0, everyBytes: 0 }
  }
  if (typeof value !== 'object' || value === null) {
    throw invalid(`durability must be 'buffered', 'os', 'disk' or an object with syncEvery…, got ${show(value)}`)
  }
  const { syncEveryTurn, syncEveryMs, syncEveryBytes } = readOwn(value, ['syncEveryTurn', 'syncEveryMs', 'syncEveryBytes'], 'durability')
  return {
    level: 'buffered',
    everyTurn: syncEveryTurn !== undefined && flag('syncEveryTurn', syncEveryTurn),
    everyMs: syncEveryMs === undefined ? 0 : integer('syncEveryMs', syncEveryMs, 1, 0x7fffffff),
    everyBytes: syncEveryBytes === undefined ? 0 : integer('syncEveryBytes', syncEveryBytes, 1),
  }
}

export function readSignal(value: unknown): AbortSignal | undefined {
  if (value === undefined) return undefined
  const signal = value as AbortSignal | null
  if (typeof signal !== 'object' || signal === null || typeof signal.aborted !== 'boolean' || typeof signal.addEventListener !== 'function') {
    throw invalid(`signal must be an AbortSignal, got ${show(value)}`)
  }
  return signal
}

/** Throws if `signal` has been aborted. */
export function checkSignal(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw aborted(signal)
}

export function flag(name: string, value: unknown): boolean {
  if (typeof value !== 'boolean') throw invalid(`${name} must be a boolean, got ${show(value)}`)
  return value
}

/** What was read: an object without Object.prototype above it. */
export const Read = function () {} as unknown as new <V>() => V
Read.prototype = Object.create(null)

/** The own properties of a plain object, each read once. */
export function readOwn<K extends string>(value: unknown, keys: readonly K[], what = 'options'): Values<K> {
  const read = new Read<Values<K>>()
  if (value === undefined) return read
  if (!isPlain(value)) throw invalid(`${what} must be a plain object, got ${show(value)}`)
  for (const key of Object.keys(value)) {
    const option = (value as Values<string>)[key]
    if (option === undefined) continue
    if ((keys as readonly string[]).includes(key)) {
      read[key as K] = option
    } else {
      throw invalid(`unknown option ${key}${suggestion(key, keys)}`)
    }
  }
  return read
}

// Objects of another realm are plain too: theirs is another Object.prototype, but one with nothing above it.
export function isPlain(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false
  const prototype = Object.getPrototypeOf(value) as object | null
  return prototype === null || prototype === Object.prototype || (Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype, 'hasOwnProperty'))
}

function suggestion(key: string, known: readonly string[]): string {
  let best: string | undefined
  let least = 1 + Math.floor(key.length / 3)
  for (const name of known) {
    const edits = distance(key.toLowerCase(), name.toLowerCase())
    if (edits < least) [best, least] = [name, edits]
  }
  if (best !== undefined) return `; did you mean ${best}?`
  return known.length > 0 ? `; known are ${known.join(', ')}` : '; none is known here'
}

/** Levenshtein's, by one row. A key of a length that no option has is not looked at. */
function distance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > 8) return Infinity
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1))
    }
    row = next
  }
  return row[b.length]!
}

/** A value, shortly, for a message: never its contents where they could be long or secret. */
export function show(value: unknown): string {
  if (typeof value === 'string') return value.length <= 40 ? JSON.stringify(value) : `a string of ${value.length} characters`
  if (typeof value === 'bigint') return `${value}n`
  if (typeof value === 'symbol' || value === null || value === undefined || typeof value === 'boolean') return String(value)
  if (typeof value === 'number') return Object.is(value, -0) ? '-0' : String(value)
  if (typeof value === 'function') return 'a function'
  if (Array.isArray(value)) return 'an array'
  const name: unknown = Object.getPrototypeOf(value)?.constructor?.name
  return typeof name === 'string' && name !== '' ? `an instance of ${name}` : 'an object'
}
