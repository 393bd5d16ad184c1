// The only file that knows the addon. Its hot functions are plain N-API callbacks, which the generated declarations do not describe.
import addon from '../native.cjs'
import { createError } from './errors.ts'
import type { CheckReport, WalStats } from './reports.ts'

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
}

/** One handle on the core of a directory. After `close` every function throws VARVE_CLOSED. */
export interface WalBinding {
  readonly dir: string
  append(data: Uint8Array | string, expectedIndex?: number): number
  /** One atomic batch of `count` records; record i is `data[ends[i-1] .. ends[i]]`. */
  appendPacked(data: Uint8Array, ends: Uint32Array, count: number, expectedIndex?: number): number
  /** Copies the record to `slab[at ..]` and returns its length; -1: not there; -2 - n: it needs n bytes, and does not fit. */
  get(index: number, slab: Uint8Array, at: number): number
  getAsync(index: number): Promise<Buffer<ArrayBuffer> | null>
  firstIndex(): number
  nextIndex(): number
  durableIndex(): number
  /** Hands the group buffer to the system. */
  flush(): void
  /** Blocks until all before it is durable; returns `durableIndex`. */
  sync(): number
  /** Flushes, and asks the sync thread to make all before it durable; returns at once, with the index that will be reached. */
  requestSync(): number
  /** After each sync round that something of this handle waited for; and once with an error, when the engine fails. */
  onSettled(callback: (durableIndex: number, error: Error | undefined) => void): void
  /** Whether the process has to stay alive for the next call of `onSettled`. */
  keepAlive(on: boolean): void
  /** `to` = -1: no limit. */
  reader(from: number, to: number): ReaderBinding
  rotate(): void
  stats(): WalStats
  close(): Promise<void>
  closeSync(): void
}

export interface ReaderBinding {
  /**
   * Verifies and copies whole records into the slab: `table[2i]`, `table[2i+1]` are the start and end of the i-th, `table[512]`, `table[513]` the low
   * and high half of the first one's index. Returns their number (at most 256); 0: at the end as it is now; -n: the next needs n bytes.
   */
  fill(slab: Uint8Array, table: Uint32Array): number
  seek(index: number): void
  close(): void
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
  checkWal(dir: string): Watched<CheckReport>
  statWal(dir: string): Promise<WalStats>
}

/** Slots of the table that `ReaderBinding.fill` writes: 256 pairs, and the first index. */
export const TABLE_SLOTS = 514
export const TABLE_INDEX = 512

export const native: Addon = addon as unknown as Addon
native.setErrorFactory(createError)
