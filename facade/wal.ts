import { EventEmitter } from 'node:events'
import { AsyncScan } from './async-scan.ts'
import { Closing } from './closing.ts'
import { type Bytes, type BytesLike, type Codec, codecs, type Input } from './codecs.ts'
import { Ladder } from './durability.ts'
import { createError, isVarveError, type VarveError } from './errors.ts'
import { Keeper } from './keeper.ts'
import { type Life, Live } from './live.ts'
import { native, type NativeEvent, type OnNews, type WalBinding } from './native.ts'
import {
  checkSignal, type Expected, type HandleOptions, integer, readBackupOptions, readDir, readExpected, readGetOptions, readOpenOptions, readPosition,
  readReaderOptions, readScanOptions, readTailOptions, readWaitOptions, readWriteOptions, type ScanOptions, type ScanRange, type WalOptions,
  type WriteOptions,
} from './options.ts'
import { openBinding, openBindingSync } from './open.ts'
import { checkAttached, pack, release } from './pack.ts'
import { Reader, Records, type WalReader, type WalRecord } from './reader.ts'
import type {
  BackupResult, CareOptions, CheckReport, RecordPosition, RecoverReport, RemoveResult, SegmentEvents, SegmentInfo, WalStats,
} from './reports.ts'
import { Retention } from './retention.ts'
import { readLent, readOwn } from './slab.ts'
import { RecordSource } from './tail.ts'
import { Views } from './views.ts'
import { watch, watched } from './watch.ts'
import { type Range, Window } from './window.ts'

const key = Symbol('varve.construct')

/**
 * A write-ahead log: records by index. Every append is given its index at the call, in call order, and is visible at once to all readers
 * in the process, in every worker thread that opened the same directory. When it is durable is a matter of `Durability`, which belongs
 * to the handle. Opened by `open` or `openSync`; a second open in the process shares the log, and a second process is refused.
 */
export class Wal<T = Bytes> extends EventEmitter<SegmentEvents> {
  /** The directory, as an absolute path. */
  readonly dir: string
  readonly #native: WalBinding
  readonly #append: WalBinding['append']
  readonly #get: WalBinding['get']
  /** Undefined for bytes, which go in and come out as they are. */
  readonly #codec: Codec<T> | undefined
  readonly #ladder: Ladder
  readonly #life: Life = { closed: false }
  readonly #live: Live
  readonly #views: Views
  readonly #gated: boolean
  // The addon holds it weakly: it lives as long as the log that it serves.
  readonly #onNews: OnNews
  readonly #retention: Retention
  readonly #closing: Closing

  private constructor(token: symbol, binding: WalBinding, options: HandleOptions) {
    if (token !== key || new.target !== Wal) throw new TypeError('a Wal is made by Wal.open() or Wal.openSync(), and has no subclasses')
    super()
    const { codec, levels, gated } = options
    this.dir = binding.dir
    this.#native = binding
    this.#append = binding.append
    this.#get = binding.get
    this.#codec = (codec as Codec<unknown> | undefined) === codecs.bytes ? undefined : (codec as Codec<T> | undefined)
    this.#gated = gated
    const keeper = new Keeper(binding)
    this.#live = new Live(binding, gated, keeper, this.#life)
    this.#views = new Views(binding)
    this.#ladder = new Ladder(binding, levels, keeper, (error) => this.#emitError(error))
    this.#onNews = (durableIndex, ticket, moved, events, error) => {
      if (error !== undefined && binding.readOnly) this.#live.error = error
      if (moved || error !== undefined) this.#live.moved()
      this.#ladder.settle(durableIndex, ticket, error)
      for (const event of events ?? []) this.#happened(event)
    }
    binding.onNews(this.#onNews)
    super.on('newListener' as 'error', (name: unknown) => {
      if (name === 'rotate' || name === 'delete') binding.wantEvents(true)
    })
    this.#retention = new Retention(binding, options, this.#life, (error) => this.#emitError(error))
    this.#closing = new Closing(binding, this.#life, this.#ladder, () => {
      this.#retention.end()
      // All that wait end now.
      this.#live.moved()
    })
  }

  /**
   * Opens the log in `dir`, creating it if need be, and recovers it: a torn tail is cut and reported in `stats().recovery`.
   * Rejects with VARVE_LOCKED (`pid`) if another process has it, VARVE_CORRUPT if what was durable is damaged, VARVE_IO if the system refuses.
   */
  static open(dir: string, options?: WalOptions): Promise<Wal>
  static open<T>(dir: string, options: WalOptions & { codec: Codec<T> }): Promise<Wal<T>>
  static async open(dir: unknown, options?: unknown): Promise<Wal<any>> {
    const path = readDir(dir)
    const request = readOpenOptions(options)
    return new Wal(key, await openBinding(path, request), request.handle)
  }

  /** As `open`, on this thread. */
  static openSync(dir: string, options?: WalOptions): Wal
  static openSync<T>(dir: string, options: WalOptions & { codec: Codec<T> }): Wal<T>
  static openSync(dir: unknown, options?: unknown): Wal<any> {
    const path = readDir(dir)
    const request = readOpenOptions(options)
    return new Wal(key, openBindingSync(path, request), request.handle)
  }

  /** Checks every frame without opening, beside a writer too; changes nothing. */
  static async check(dir: string, options?: CareOptions): Promise<CheckReport> {
    const path = readDir(dir)
    return watched(options, () => native.checkWal(path))
  }

  /**
   * Repairs a log in place that nobody has open (else VARVE_LOCKED): keeps all before the first damage, and sets the rest aside in `.lost` files,
   * never deleting it. Safe to interrupt anywhere. `salvage` keeps more, in a new directory: try it first.
   */
  static async recover(dir: string, options?: CareOptions): Promise<RecoverReport> {
    const path = readDir(dir)
    return watched(options, () => native.recoverWal(path))
  }

  /** Copies every intact record, before and after the damage, at its index into the new directory `to`. `from` is only read. */
  static async salvage(from: string, to: string, options?: CareOptions): Promise<RecoverReport> {
    const [source, target] = [readDir(from), readDir(to)]
    return watched(options, () => native.salvageWal(source, target))
  }

  /** What is in `dir`, without opening; works beside a writer. */
  static async stat(dir: string): Promise<WalStats> {
    return native.statWal(readDir(dir))
  }

  get firstIndex(): number {
    return this.#native.firstIndex()
  }

  /** Index of the next record. `nextIndex === firstIndex` means empty. */
  get nextIndex(): number {
    return this.#native.nextIndex()
  }

  /** Index of the last record that readers see: the last one committed, with `commitGate`; one less than `firstIndex` before the first is. */
  get committedIndex(): number {
    return this.#live.visible - 1
  }

  /** Every record below it is durable. */
  get durableIndex(): number {
    return this.#native.durableIndex()
  }

  /** Appends one record and returns its index. Blocks for the system or the disk only where the handle's durability says so. */
  append(data: Input<T>, options?: Expected): number {
    const bytes = this.#encode(data)
    const index = options === undefined ? this.#append(bytes) : this.#append(bytes, readExpected(options))
    if (this.#live.awaited) this.#live.moved()
    if (!this.#ladder.armed) this.#ladder.wrote(bytes)
    return index
  }

  /** Appends at the call, as `append` does; resolves to the index when the level is reached. */
  appendAsync(data: Input<T>, options?: WriteOptions & Expected): Promise<number> {
    try {
      const { durability, expectedIndex } = readWriteOptions(options, ['durability', 'expectedIndex'])
      const bytes = this.#encode(data)
      const index = this.#append(bytes, expectedIndex)
      if (this.#live.awaited) this.#live.moved()
      return this.#ladder.reach(durability, index, bytes)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** Appends all or nothing, as seen by readers and by recovery, and returns the index of the first. At most 32 MiB. */
  appendBatch(records: readonly Input<T>[], options?: Expected): number {
    const expectedIndex = options === undefined ? undefined : readExpected(options)
    const { index, bytes } = this.#appendBatch(records, expectedIndex)
    if (!this.#ladder.armed) this.#ladder.wrote(bytes)
    return index
  }

  appendBatchAsync(records: readonly Input<T>[], options?: WriteOptions & Expected): Promise<number> {
    try {
      const { durability, expectedIndex } = readWriteOptions(options, ['durability', 'expectedIndex'])
      const { index, bytes } = this.#appendBatch(records, expectedIndex)
      return this.#ladder.reach(durability, index, bytes)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** As `appendBatch`, for encoded records packed in one buffer: record i is `data[ends[i-1] .. ends[i]]`. The fastest way in. */
  appendPacked(data: Uint8Array, ends: Uint32Array): number {
    const index = this.#appendPacked(data, ends)
    if (!this.#ladder.armed) this.#ladder.wrote(data)
    return index
  }

  appendPackedAsync(data: Uint8Array, ends: Uint32Array, options?: WriteOptions): Promise<number> {
    try {
      const { durability } = readWriteOptions(options, ['durability'])
      return this.#ladder.reach(durability, this.#appendPacked(data, ends), data)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** The record at `index`; undefined if it is not there. May meet the disk. Not held back by the commit gate. */
  get(index: number, options?: { zeroCopy?: boolean }): T | undefined {
    const codec = this.#codec
    if (options !== undefined && readGetOptions(options)) {
      const seen = this.#views.get(integer('index', index))
      if (seen !== undefined) return codec === undefined ? (seen as T) : codec.decode(seen)
    }
    integer('index', index)
    if (codec === undefined) return readOwn(this.#get, index) as T | undefined
    if (codec.decodeFrom !== undefined) return readLent(this.#get, index, (slab, start, end) => codec.decodeFrom!(slab, start, end))
    const bytes = readOwn(this.#get, index)
    return bytes === undefined ? undefined : codec.decode(bytes)
  }

  /** As `get`, off this thread. */
  async getAsync(index: number): Promise<T | undefined> {
    const bytes = (await this.#native.getAsync(integer('index', index))) ?? undefined
    const codec = this.#codec
    return bytes === undefined || codec === undefined ? (bytes as T | undefined) : codec.decode(bytes)
  }

  /** The records from `from` up to `to`, each with a Buffer of its own. VARVE_OUT_OF_RANGE if they lie outside of the log, or are dropped meanwhile. */
  records(options?: ScanOptions & ScanRange): IterableIterator<WalRecord<T>> {
    const { from, to, zeroCopy, signal } = readScanOptions(options)
    return new Records(this.#window(this.#range(from, to), zeroCopy), this.#codec, signal, this.#life)
  }

  /** The same, read and checked ahead on another thread. Ends where the log ends then. */
  recordsAsync(options?: ScanOptions & ScanRange): AsyncIterableIterator<WalRecord<T>> {
    const { from, to, zeroCopy, signal } = readScanOptions(options)
    return this.#scan(this.#range(from, to), false, zeroCopy, signal)
  }

  /** The cheapest way through: no object and no view a record. */
  reader(options?: { from?: number; zeroCopy?: boolean }): WalReader<T> {
    const { from, zeroCopy } = readReaderOptions(options)
    return new Reader(this.#window(this.#range(from), zeroCopy), this.#codec, this.#life)
  }

  /**
   * All records from `from` (default: the first; 'end': what is appended after the call), then waits for more until `signal` aborts or the log closes.
   * What is far behind is read and checked ahead on another thread. Records are read as they are asked for: a slow consumer holds nothing up.
   */
  tail(options?: ScanOptions & { from?: number | 'end' }): AsyncIterableIterator<WalRecord<T>> {
    const { from, atEnd, zeroCopy, signal } = readTailOptions(options)
    const end = () => this.#native.nextIndex()
    const range: Range = atEnd ? { ...this.#range(end()), anew: end } : this.#range(from)
    return this.#scan({ ...range, waits: true }, true, zeroCopy, signal)
  }

  /** Resolves to `nextIndex` once readers may see the record at `index`. Rejects with VARVE_CLOSED if the log is closed before. */
  async waitFor(index: number, options?: { signal?: AbortSignal }): Promise<number> {
    integer('index', index)
    return this.#live.waitFor(index, readWaitOptions(options))
  }

  /** Resolves to `durableIndex`, when all appended before the call is durable; callers that wait together share one sync. */
  sync(): Promise<number> {
    try {
      if (this.#native.readOnly && !this.#life.closed) throw createError('VARVE_READONLY', 'the log was opened with readOnly', { path: this.dir })
      return this.#ladder.sync()
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** As `sync`, blocking this thread. */
  syncSync(): number {
    return this.#native.sync()
  }

  /** Goes on in a new segment; the old one is sealed. */
  rotate(): void {
    this.#native.rotate()
  }

  /** Marks all records up to `index`, included, as committed; never moves back. Kept across opens by the next `sync()`. */
  commit(index: number): void {
    this.#native.commit(behind('index', index, 0))
    this.#ladder.changed()
    if (this.#live.awaited) this.#live.moved()
  }

  /**
   * Drops every record after `index`; `firstIndex - 1` drops all. Atomic, and durable with the next sync. VARVE_BUSY if a reader has returned one of
   * them: close it first.
   */
  truncateAfter(index: number): void {
    this.#native.truncateAfter(behind('index', index, -1))
    this.#dropped()
    if (!this.#ladder.armed) this.#ladder.wrote(0)
  }

  /** As `truncateAfter` at the call; resolves when the handle's level, at least 'os', is reached. */
  truncateAfterAsync(index: number): Promise<void> {
    return this.#later(() => this.#native.truncateAfter(behind('index', index, -1)))
  }

  /** Drops every record before `index`, which becomes `firstIndex`; whole segments leave the disk with the next sync. At or before `firstIndex` it does nothing. */
  truncateBefore(index: number): void {
    this.#native.truncateBefore(integer('index', index))
    this.#dropped()
    if (!this.#ladder.armed) this.#ladder.wrote(0)
  }

  /** As `truncateBefore` at the call; resolves when the handle's level, at least 'os', is reached. */
  truncateBeforeAsync(index: number): Promise<void> {
    return this.#later(() => this.#native.truncateBefore(integer('index', index)))
  }

  /** Drops every record; the next one gets `nextIndex`. Atomic, and durable with the next sync. */
  reset(nextIndex: number): void {
    this.#native.reset(integer('nextIndex', nextIndex))
    this.#dropped()
    if (!this.#ladder.armed) this.#ladder.wrote(0)
  }

  /** Removes what the retention of the log says, if nobody objects; resolves when that is durable. */
  async enforceRetention(): Promise<RemoveResult> {
    return this.#native.enforceRetention()
  }

  /** Where record `index` lies on disk; undefined if there is no such record. */
  positionOf(index: number): RecordPosition | undefined {
    return this.#native.positionOf(integer('index', index))
  }

  /** The record at `position`; undefined if none of the log lies there. */
  getAt(position: RecordPosition): T | undefined {
    const { segment, offset } = readPosition(position)
    const index = this.#native.indexAt(segment, offset)
    return index < 0 ? undefined : this.get(index)
  }

  /** All segments, in order; those that were removed and are still held come first. */
  segments(): SegmentInfo[] {
    return this.#native.segments()
  }

  /** Keeps a segment's file where it is until disposed of, whatever is removed meanwhile. VARVE_OUT_OF_RANGE if it is not there. */
  pin(segment: number): Disposable {
    const unpin = this.#native.pin(integer('segment', segment))
    return { [Symbol.dispose]: unpin }
  }

  /**
   * Copies sealed segments with an id over `afterSegment` (default: all of them), and with `active` the rest, while the log is written to, into a directory
   * that is missing, empty, or holds an earlier backup of this log, which is added to. What is there opens at every moment.
   */
  async backup(dir: string, options?: CareOptions & { afterSegment?: number; active?: boolean }): Promise<BackupResult> {
    const path = readDir(dir)
    const { signal, onProgress, afterSegment, active } = readBackupOptions(options)
    checkSignal(signal)
    return watch(this.#native.backup(path, afterSegment, active), signal, onProgress)
  }

  stats(): WalStats {
    return this.#native.stats()
  }

  /** Syncs at every level, and gives up the handle; the last one of the process unlocks the directory. Rejects if a write had failed. */
  close(): Promise<void> {
    return this.#closing.close()
  }

  closeSync(): void {
    this.#closing.closeSync()
  }

  [Symbol.dispose](): void {
    this.closeSync()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #encode(data: Input<T>): BytesLike {
    const codec = this.#codec
    const bytes = codec === undefined ? (data as BytesLike) : codec.encode(data as T)
    if (ArrayBuffer.isView(bytes) && bytes.length === 0) checkAttached(bytes)
    return bytes
  }

  #appendPacked(data: Uint8Array | undefined, ends: Uint32Array | undefined): number {
    if (data?.length === 0) checkAttached(data)
    if (ends?.length === 0) checkAttached(ends)
    const index = this.#native.appendPacked(data!, ends!, ends?.length ?? 0)
    if (this.#live.awaited) this.#live.moved()
    return index
  }

  #appendBatch(records: unknown, expectedIndex: number | undefined): { index: number; bytes: number } {
    const packed = pack(records, this.#codec as Codec<unknown> | undefined)
    const index = this.#native.appendPacked(packed.data, packed.ends, packed.count, expectedIndex)
    release(packed)
    if (this.#live.awaited) this.#live.moved()
    return { index, bytes: packed.bytes }
  }

  #range(from: number | undefined, to?: number): Range {
    const first = this.#native.firstIndex()
    const anew = from === undefined ? () => this.#native.firstIndex() : undefined
    const range: Range = { from: from ?? first, anew, to, gated: this.#gated, waits: false }
    if (to === undefined) return range
    const next = this.#native.nextIndex()
    if (to < first || to > next) throw createError('VARVE_OUT_OF_RANGE', `to is ${to}, and the log holds ${first} to ${next}`, { path: this.dir, index: to })
    // Nothing lies from a later index to an earlier one.
    return { ...range, to: Math.max(range.from, to) }
  }

  #window(range: Range, zeroCopy: boolean): Window {
    for (let { from } = range; ; from = range.anew!()) {
      try {
        return new Window(this.#native, { ...range, from }, this.#life, zeroCopy ? this.#views : undefined)
      } catch (error) {
        if (range.anew === undefined || !isVarveError(error, 'VARVE_OUT_OF_RANGE')) throw error
      }
    }
  }

  #scan(range: Range, waits: boolean, zeroCopy: boolean, signal: AbortSignal | undefined): AsyncIterableIterator<WalRecord<T>> {
    const source = new RecordSource(this.#window(range, zeroCopy), this.#codec, this.#life, waits, zeroCopy)
    return new AsyncScan(source, this.#live, this.#life, signal, waits)
  }

  #dropped(): void {
    if (this.#live.awaited) this.#live.moved()
  }

  /** A change at the call, that is waited for. */
  async #later(change: () => void): Promise<void> {
    change()
    this.#dropped()
    await this.#ladder.reach(undefined, 0, 0)
  }

  #happened(event: NativeEvent): void {
    if (event.type === 'mayDelete') this.#retention.answer(event.segments, (allowed) => this.#native.answer(event.number, allowed))
    else this.emit(event.type, event.segment)
  }

  #emitError(error: Error): void {
    if (this.listenerCount('error') > 0) this.emit('error', error as VarveError)
  }
}

/** The index behind `value`, which may be `least`. */
function behind(name: string, value: unknown, least: number): number {
  return Math.min(integer(name, value, least) + 1, Number.MAX_SAFE_INTEGER)
}
