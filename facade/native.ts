// The only file that knows the addon. Its hot functions are plain N-API callbacks, which the generated declarations do not describe.
import addon from '../native.cjs'
import { createError } from './errors.ts'
import type { BackupResult, CheckReport, LogStats, RecordPosition, RecoverReport, RemoveResult, SegmentInfo, WalStats } from './reports.ts'

/** Options whose types and ranges the facade has checked. */
export interface NativeWalOptions {
  create?: boolean
  lockTimeout?: number
  verify?: boolean
  onDamage?: 'fail' | 'skip'
  segmentSize?: number
  firstIndex?: number
  marker?: number
  codecName: string
  readOnly?: boolean
  retention?: { maxAgeMs?: number; minSegments?: number; maxSegments?: number; maxBytes?: number }
}

/** What has happened to the segments of a log, of which partition where there are some; or a question about them. */
export type NativeEvent =
  | { type: 'rotate' | 'delete'; segment: SegmentInfo }
  | { type: 'mayDelete'; number: number; segments: SegmentInfo[]; partition?: number }

/** `moved`: what `wakeAt` has asked for. */
export type OnNews = (durableIndex: number, ticket: number, moved: boolean, events: NativeEvent[] | undefined, error: Error | undefined) => void

/** One handle on the core of a directory, of whatever engine. After `close` every function throws VARVE_CLOSED. Where it says index, a message log has offsets. */
export interface HandleBinding {
  readonly dir: string
  readonly readOnly: boolean
  /** 0 of a log of partitions, as `durableIndex` and `sync`. */
  nextIndex(): number
  durableIndex(): number
  /** Hands the group buffer to the system. */
  flush(): void
  /** Blocks until all before it is durable; returns `durableIndex`. */
  sync(): number
  /** Flushes, and asks the sync thread to make all before it durable; returns at once, with a ticket that `onNews` will name, or 0 if all is durable. */
  requestSync(): number
  /** After each sync round that something of this handle waited for; when the log has moved, if that was asked for; with events; once with an error. */
  onNews(callback: OnNews): void
  /** Whether events of segments are wanted. */
  wantEvents(on: boolean): void
  /** Whether the process has to stay alive for the next call of `onNews`. */
  keepAlive(on: boolean): void
  /** `mayDelete` events are wanted, and answered by `answer`. */
  object(): void
  answer(number: number, allowed: number, partition?: number): void
  close(): Promise<void>
  closeSync(): void
}

/** Of one log of records. */
export interface EngineBinding extends HandleBinding {
  /** Index after the last committed record. */
  committed(): number
  /** Has `onNews` called, once, when the log has moved on from `seen`. 0: it has by now. */
  wakeAt(seen: number, gated: boolean): 0 | 1
  segments(): SegmentInfo[]
  /** Returns what lets go of it. */
  pin(segment: number): () => void
}

export interface WalBinding extends EngineBinding {
  append(data: Uint8Array | string, expectedIndex?: number): number
  /** One atomic batch of `count` records; record i is `data[ends[i-1] .. ends[i]]`. */
  appendPacked(data: Uint8Array, ends: Uint32Array, count: number, expectedIndex?: number): number
  /** Copies the record to `slab[at ..]` and returns its length; -1: not there; -2 - n: it needs n bytes, and does not fit. */
  get(index: number, slab: Uint8Array, at: number): number
  getAsync(index: number): Promise<Buffer<ArrayBuffer> | null>
  firstIndex(): number
  /** `to` = -1: no limit. `flags`: 1 gated, 2 waits. `place`: three doubles on a buffer of their own. */
  reader(from: number, to: number, flags: number, place: Float64Array): ReaderBinding
  /** 1, and segment, start and end in `place`, if the record can be seen where it lies. */
  viewOf(index: number, place: Float64Array): 0 | 1
  /** A private map of the whole pages of a segment that are written. */
  memory(segment: number): ArrayBuffer | undefined
  rotate(): void
  /** Number of committed records, counted from index 0. */
  commit(count: number): void
  /** `nextIndex`: that of the log after it. */
  truncateAfter(nextIndex: number): void
  truncateBefore(index: number): void
  reset(nextIndex: number): void
  enforceRetention(): Promise<RemoveResult>
  beginRetention(): void
  positionOf(index: number): RecordPosition | undefined
  /** -1: none of the log is there. */
  indexAt(segment: number, offset: number): number
  stats(): WalStats
  backup(dir: string, afterSegment: number, active: boolean): Watched<BackupResult>
}

export interface ReaderBinding {
  /**
   * Verifies and copies whole records into the slab: `table[2i]`, `table[2i+1]` are the start and end of the i-th, `table[512]`, `table[513]` the low
   * and high half of the first one's index. Returns their number (at most 256); 0: at the end as it is now; -n: the next needs n bytes.
   */
  fill(slab: Uint8Array, table: Uint32Array): number
  /** The same where they lie, in the file of `segment()`. 0: what comes next has to be copied, or there is nothing. */
  fillViews(table: Uint32Array): number
  segment(): number
  /**
   * As `fill`, on another thread, into as many tables as `words` has room for, and behind them their counts. Resolves to the number of tables that
   * have records, or -n. Neither is to be touched before that.
   */
  fillAhead(slab: Uint8Array, words: Uint32Array): Promise<number>
  /** Goes back to the place: what was filled and not returned is filled again. */
  rewind(): void
  seek(index: number): void
  close(): void
}

/**
 * Where a message lies in a slab: `row[0]`, `row[1]` are the low and high half of its offset, `row[2]`, `row[3]` of its time in microseconds; `row[4]` is
 * where its key begins, `row[5]` its headers, `row[6]` its value, `row[7]` where that ends; `row[8]`: 1 it has a key, 2 it has a value; 4 its places are those in the
 * file of the segment whose mark is `row[9]` and, from bit 8 on, the rest of `row[8]`.
 */
export const ROW_WORDS = 10
export const ROW_FLAGS = 8
export const HAS_KEY = 1
export const HAS_VALUE = 2
export const IN_FILE = 4

/** Options whose types and ranges the facade has checked. */
export interface NativeLogOptions {
  create?: boolean
  lockTimeout?: number
  verify?: boolean
  onDamage?: 'fail' | 'skip'
  segmentSize?: number
  codecName: string
  readOnly?: boolean
  keyIndex?: boolean
  timeIndex?: boolean
  retention?: { maxAgeMs?: number; maxBytes?: number; maxMessages?: number }
}

/** What is to be different; codecs by number, as in `log-options.ts`. */
export interface NativeMigration {
  keyIndex?: boolean
  timeIndex?: boolean
  codec?: number
  level?: number
}

/** Where what is found goes: copies its bytes to `slab[at ..]`, fills `row`, and returns their length; -1: not there; -2 - n: it needs n bytes, and does not fit. */
export type Find<A> = (what: A, slab: Uint8Array, at: number, row: Uint32Array) => number
/** The same on another thread: the row, and behind it the bytes. */
export type FindAsync<A> = (what: A) => Promise<Buffer<ArrayBuffer> | null>

/** Its functions that speak of indexes mean offsets. */
export interface LogBinding extends EngineBinding {
  /** `time` in milliseconds; default: now. */
  append(value: Uint8Array | string | null, key?: Uint8Array | string | null, time?: number): number
  /**
   * One atomic batch of `rows[0]` messages, each of four words behind that: where its key ends in `data`, its headers, its value, one behind the other; and
   * HAS_KEY, HAS_VALUE. A time that is NaN is now. `conditions`: expected offset; id, epoch and sequence of the producer; leader's epoch; codec and level; NaN where
   * they are not given.
   */
  appendBatch(data: Uint8Array, rows: Uint32Array, times: Float64Array, conditions?: Float64Array): number
  sizeOf(data: Uint8Array, rows: Uint32Array): number
  get: Find<number>
  /** The first message, or the last. */
  getEdge: Find<boolean>
  getByTime: Find<number>
  getByKey: Find<Uint8Array | string | null>
  /** -1: there is none. */
  offsetByKey(key: Uint8Array | string | null): number
  getAsync: FindAsync<number>
  getEdgeAsync: FindAsync<boolean>
  getByTimeAsync: FindAsync<number>
  getByKeyAsync: FindAsync<Uint8Array | string | null>
  startOffset(): number
  /** `flags`: GATED, or KEYED: only messages with this key. `place`: as of a record log's reader; of it PLACE_INTERRUPTED alone is used, set when the log begins later. */
  reader(from: number, to: number | undefined, flags: number, key: Uint8Array | string | null | undefined, place: Float64Array): LogReaderBinding
  /** A private map of the whole pages that are written of the segment with this mark. */
  memory(mark: number): ArrayBuffer | undefined
  advanceHighWaterMark(to: number): void
  cursor(name: string, from: number, holdRetention?: boolean): CursorState[]
  cursors(): CursorState[]
  /** Offsets of the messages that a rule means: see `log-removal.ts` for its kinds. */
  find(kind: number, value: number): Watched<Float64Array>
  remove(kind: number, value: number | Float64Array): RemovalBinding
  saveCursor(name: string, offset: number): void
  deleteCursor(name: string): void
  enforceRetention(): Promise<RemoveResult>
  beginRetention(): Promise<void>
  stats(): LogStats
  backup(dir: string): Watched<BackupResult>
  gc(unusedMicros: number): void
}

/** A log of partitions. */
export interface PartitionedBinding extends HandleBinding {
  readonly partitions: number
  /** The log of a partition, closed with the whole; undefined if another process writes, and has not made it yet. */
  part(partition: number): LogBinding | undefined
  /** Writes partition and offset in `place`. */
  append(value: Uint8Array | string | null, key: Uint8Array | string | null, time: number | undefined, place: Float64Array): void
  /** As that of a log; the last word of a row has the partition, too: one more than its number, from bit 2 on. Gives partition, offset and count of each written. */
  appendBatch(data: Uint8Array, rows: Uint32Array, times: Float64Array, conditions?: Float64Array): Float64Array
  wakeAt(partition: number, seen: number, gated: boolean): 0 | 1
  compact(before: number, partitions?: Uint32Array): StepsBinding & { result(): RemoveResult }
  enforceRetention(): Promise<RemoveResult & { partitions: number }>
  beginRetention(): Promise<void>
  retentionStats(): RemoveResult & { runs: number }
  stats(): LogStats[]
  backup(dir: string): Watched<PartitionsBackedUp>
}

/** `positions`: of each partition. */
export interface PartitionsBackedUp {
  files: string[]
  bytes: number
  positions: number[]
}

/** Flags of a reader of messages. */
export const GATED = 1
export const KEYED = 2

export interface CursorState {
  name: string
  offset: number
  holdRetention: boolean
}

export interface LogReaderBinding {
  /**
   * Copies whole messages into the slab, and says in `rows` where they are. Returns their number; 0: at the end as it is now; -n: the next needs n bytes. With
   * `views`, large ones that can be seen where they lie are not copied: their rows are IN_FILE.
   */
  fill(slab: Uint8Array, rows: Uint32Array, views?: boolean): number
  /** The same on another thread, as many as there is room for. Neither is to be touched before it is done. */
  fillAhead(slab: Uint8Array, rows: Uint32Array): Promise<number>
  /** From here on it returns messages. */
  offset(): number
  seek(offset: number): void
  close(): void
}

/** Work under way, a segment a step. */
export interface StepsBinding extends Omit<Watched<unknown>, 'done'> {
  /** Does the next segment; false when all is done. */
  step(): Promise<boolean>
}

/** A removal under way. */
export interface RemovalBinding extends StepsBinding {
  /** What has been removed so far. */
  result(): RemoveResult
  offsets(): Float64Array
}

/** Long work under way. */
export interface Watched<T> {
  readonly done: Promise<T>
  /** Writes bytes, total bytes, segments, total segments. */
  progress(table: Float64Array): void
  /** Calls it off; `done` rejects soon. */
  abort(): void
}

interface Addon {
  setErrorFactory(factory: typeof createError): void
  errorCodes(): string[]
  version(): string
  openWal(dir: string, options: NativeWalOptions): Promise<WalBinding>
  openWalSync(dir: string, options: NativeWalOptions): WalBinding
  markersOfWal(dir: string): number[]
  checkWal(dir: string): Watched<CheckReport>
  recoverWal(dir: string): Watched<RecoverReport>
  salvageWal(from: string, to: string): Watched<RecoverReport>
  statWal(dir: string): Promise<WalStats>
  openLog(dir: string, options: NativeLogOptions): Promise<LogBinding>
  openLogSync(dir: string, options: NativeLogOptions): LogBinding
  checkLog(dir: string): Watched<CheckReport>
  recoverLog(dir: string): Watched<RecoverReport>
  salvageLog(from: string, to: string): Watched<RecoverReport>
  backupLog(from: string, to: string): Watched<BackupResult>
  statLog(dir: string): Promise<LogStats>
  openPartitionedLog(dir: string, partitions: number | undefined, options: NativeLogOptions): Promise<PartitionedBinding>
  checkPartitioned(dir: string): Watched<CheckReport>
  recoverPartitioned(dir: string): Watched<RecoverReport>
  salvagePartitioned(from: string, to: string): Watched<RecoverReport>
  backupPartitioned(from: string, to: string): Watched<PartitionsBackedUp>
  statPartitioned(dir: string): Promise<LogStats[]>
  /** `end` lets go of the log, whatever is left to do. */
  migrateLog(dir: string, to: NativeMigration): StepsBinding & { end(): void }
}

/** Slots of the table that `ReaderBinding.fill` writes: 256 pairs, and the first index. */
export const TABLE_SLOTS = 514
export const TABLE_INDEX = 512

/** Slots of a reader's place: the index of the next record it returns, whether it has returned one, and whether it has to read again (set by native code). */
export const PLACE_NEXT = 0
export const PLACE_RETURNED = 1
export const PLACE_INTERRUPTED = 2
export const PLACE_SLOTS = 3

export const native: Addon = addon as unknown as Addon
native.setErrorFactory(createError)
