import { EventEmitter } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { type Bytes, type BytesLike, type Codec, codecs, type Input } from './codecs.ts'
import { Ladder } from './durability.ts'
import { aborted, createError, invalid, isVarveError, type VarveError } from './errors.ts'
import { native, type WalBinding } from './native.ts'
import {
  checkSignal, type Expected, integer, type Levels, readCareOptions, readDir, readExpected, readGetOptions, readOpenOptions, readReaderOptions,
  readScanOptions, readWriteOptions, type WalOptions, type WriteOptions,
} from './options.ts'
import { checkAttached, pack, release } from './pack.ts'
import { type Life, Reader, Records, type WalReader, type WalRecord } from './reader.ts'
import type { CareOptions, CheckReport, WalStats } from './reports.ts'
import { watch } from './watch.ts'
import { readLent, readOwn } from './slab.ts'

export interface WalEvents {
  /** The engine has failed: a write or a sync did. Without a listener nothing is thrown. */
  error: [error: VarveError]
}

export interface ScanOptions {
  /** Of the first record; default: the first there is. */
  from?: number
  /** Excluded; default: the end as of each step. */
  to?: number
  /** Aborted, the next step throws an `AbortError`. */
  signal?: AbortSignal
}

const key = Symbol('varve.construct')

/** Milliseconds between two tries of a lock that another process holds. */
const LOCK_RETRY = 10

/**
 * A write-ahead log: records by index. Every append is given its index at the call, in call order, and is visible at once to all readers
 * in the process, in every worker thread that opened the same directory. When it is durable is a matter of `Durability`, which belongs
 * to the handle. Opened by `open` or `openSync`; a second open in the process shares the log, and a second process is refused.
 */
export class Wal<T = Bytes> extends EventEmitter<WalEvents> {
  /** The directory, as an absolute path. */
  readonly dir: string
  readonly #native: WalBinding
  readonly #append: WalBinding['append']
  readonly #get: WalBinding['get']
  /** Undefined for bytes, which go in and come out as they are. */
  readonly #codec: Codec<T> | undefined
  readonly #ladder: Ladder
  readonly #life: Life = { closed: false }
  #closing: Promise<void> | undefined

  private constructor(token: symbol, binding: WalBinding, codec: Codec<T> | undefined, levels: Levels) {
    if (token !== key || new.target !== Wal) throw new TypeError('a Wal is made by Wal.open() or Wal.openSync(), and has no subclasses')
    super()
    this.dir = binding.dir
    this.#native = binding
    this.#append = binding.append
    this.#get = binding.get
    this.#codec = (codec as Codec<unknown> | undefined) === codecs.bytes ? undefined : codec
    this.#ladder = new Ladder(binding, levels, (error) => {
      if (this.listenerCount('error') > 0) this.emit('error', error as VarveError)
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
    const { native: given, levels, codec, signal } = readOpenOptions(options)
    checkSignal(signal)
    const until = performance.now() + (given.lockTimeout ?? 0)
    for (;;) {
      try {
        const binding = await race(native.openWal(path, given), signal, (late) => late.close())
        return new Wal(key, binding, codec, levels)
      } catch (error) {
        if (!isVarveError(error, 'VARVE_LOCKED') || performance.now() >= until) throw error
      }
      await delay(LOCK_RETRY, undefined, { signal }).catch(() => {})
      checkSignal(signal)
    }
  }

  /** As `open`, on this thread. */
  static openSync(dir: string, options?: WalOptions): Wal
  static openSync<T>(dir: string, options: WalOptions & { codec: Codec<T> }): Wal<T>
  static openSync(dir: unknown, options?: unknown): Wal<any> {
    const path = readDir(dir)
    const { native: given, levels, codec, signal } = readOpenOptions(options)
    if (signal !== undefined) throw invalid('signal is an option of open(), not of openSync()')
    return new Wal(key, native.openWalSync(path, given), codec, levels)
  }

  /** Checks every frame without opening, beside a writer too; changes nothing. */
  static async check(dir: string, options?: CareOptions): Promise<CheckReport> {
    const path = readDir(dir)
    const { signal, onProgress } = readCareOptions(options)
    checkSignal(signal)
    return watch(native.checkWal(path), signal, onProgress)
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

  /** Every record below it is durable. */
  get durableIndex(): number {
    return this.#native.durableIndex()
  }

  /** Appends one record and returns its index. Blocks for the system or the disk only where the handle's durability says so. */
  append(data: Input<T>, options?: Expected): number {
    const bytes = this.#encode(data)
    const index = options === undefined ? this.#append(bytes) : this.#append(bytes, readExpected(options))
    if (!this.#ladder.armed) this.#ladder.wrote(bytes)
    return index
  }

  /** Appends at the call, as `append` does; resolves to the index when the level is reached. */
  appendAsync(data: Input<T>, options?: WriteOptions & Expected): Promise<number> {
    try {
      const { durability, expectedIndex } = readWriteOptions(options, ['durability', 'expectedIndex'])
      const bytes = this.#encode(data)
      return this.#ladder.reach(durability, this.#append(bytes, expectedIndex), bytes)
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

  /** The record at `index`; undefined if it is not there. May meet the disk. */
  get(index: number): T | undefined
  get(index: number, options?: unknown): T | undefined {
    if (options !== undefined) readGetOptions(options)
    integer('index', index)
    const codec = this.#codec
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

  /** The records from `from` up to `to`, each with a Buffer of its own. VARVE_OUT_OF_RANGE if they lie outside of the log. */
  records(options?: ScanOptions): IterableIterator<WalRecord<T>> {
    const { from, to, signal } = readScanOptions(options)
    return new Records(this.#reader(from, to), this.#codec, signal, this.#life)
  }

  /** The cheapest way through: no object and no view a record. */
  reader(options?: { from?: number }): WalReader<T> {
    return new Reader(this.#reader(readReaderOptions(options)), this.#codec, this.#life)
  }

  /** Resolves to `durableIndex`, when all appended before the call is durable; callers that wait together share one sync. */
  sync(): Promise<number> {
    try {
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

  stats(): WalStats {
    return this.#native.stats()
  }

  /** Syncs at every level, and gives up the handle; the last one of the process unlocks the directory. Rejects if a write had failed. */
  close(): Promise<void> {
    // Whoever closes again waits for the end, and hears nothing of a failure that the first was told.
    if (this.#closing !== undefined) return this.#closing.catch(() => {})
    return (this.#closing = this.#close())
  }

  closeSync(): void {
    if (this.#life.closed) return
    this.#closing = Promise.resolve()
    this.#begin()
    try {
      this.#native.closeSync()
    } catch (error) {
      this.#ladder.finish(error)
      throw error
    }
    this.#ladder.finish()
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
    return this.#native.appendPacked(data!, ends!, ends?.length ?? 0)
  }

  #appendBatch(records: unknown, expectedIndex: number | undefined): { index: number; bytes: number } {
    const packed = pack(records, this.#codec as Codec<unknown> | undefined)
    const index = this.#native.appendPacked(packed.data, packed.ends, packed.count, expectedIndex)
    release(packed)
    return { index, bytes: packed.bytes }
  }

  #reader(from?: number, to?: number): ReturnType<WalBinding['reader']> {
    const first = this.#native.firstIndex()
    const start = from ?? first
    if (to === undefined) return this.#native.reader(start, -1)
    const next = this.#native.nextIndex()
    if (to < first || to > next) throw createError('VARVE_OUT_OF_RANGE', `to is ${to}, and the log holds ${first} to ${next}`, { path: this.dir, index: to })
    // Nothing lies from a later index to an earlier one.
    return this.#native.reader(start, Math.max(start, to))
  }

  async #close(): Promise<void> {
    this.#begin()
    try {
      await this.#native.close()
    } catch (error) {
      this.#ladder.finish(error)
      throw error
    }
    this.#ladder.finish()
  }

  #begin(): void {
    this.#life.closed = true
    this.#ladder.drain()
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
