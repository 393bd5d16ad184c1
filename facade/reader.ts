import type { Bytes, Codec } from './codecs.ts'
import { createError } from './errors.ts'
import { type ReaderBinding, TABLE_INDEX, TABLE_SLOTS } from './native.ts'
import { checkSignal, integer } from './options.ts'
import { newSlab, SLAB_BYTES, view } from './slab.ts'

export interface WalRecord<T = Bytes> {
  readonly index: number
  readonly data: T
}

/** The cheapest way through a log: no object and no view a record. Begins before its first record. */
export interface WalReader<T = Bytes> extends Disposable {
  /** Moves to the next record; false at the end as it is now (advance again later). */
  advance(): boolean
  readonly index: number
  /** The record is `buffer[start .. end]`; lent until the next `advance()`. */
  readonly buffer: Buffer
  readonly start: number
  readonly end: number
  /** The record, decoded; bytes are a copy that may be kept. */
  data(): T
  /** Goes before the record at `index`, which may be `nextIndex`. VARVE_OUT_OF_RANGE outside of the log. */
  seek(index: number): void
  close(): void
}

/** Whether the log is still open: shared by a log with all that reads from it. */
export interface Life {
  closed: boolean
}

const NO_BYTES = Buffer.alloc(0)
// A slab that one large record has stretched is kept up to this.
const KEPT_BYTES = 1 << 20
// Records that fill less than this are moved to memory of their size: what is kept of them then holds no whole slab.
const SPARSE_BYTES = SLAB_BYTES / 4

/** The records that one native call has verified and copied. */
class Window {
  slab: Bytes = NO_BYTES
  readonly table: Uint32Array = new Uint32Array(TABLE_SLOTS)
  readonly #native: ReaderBinding
  readonly #life: Life
  #spare: Bytes | undefined

  constructor(native: ReaderBinding, life: Life) {
    this.#native = native
    this.#life = life
  }

  /** Index of the first record. */
  get first(): number {
    return this.table[TABLE_INDEX + 1]! * 0x1_0000_0000 + this.table[TABLE_INDEX]!
  }

  /** The next records, in the memory of those before; returns their number. */
  refill(): number {
    if (this.slab.length < SLAB_BYTES || this.slab.length > KEPT_BYTES) this.slab = newSlab()
    return this.#fill()
  }

  /** The next records, in memory that nothing else will use. */
  renew(): number {
    this.slab = this.#spare ?? newSlab()
    this.#spare = undefined
    const count = this.#fill()
    const used = count === 0 ? 0 : this.table[2 * count - 1]!
    if (used < SPARSE_BYTES) {
      this.#spare = this.slab
      if (count > 0) {
        this.slab = newSlab(used)
        this.slab.set(this.#spare.subarray(0, used))
      }
    }
    return count
  }

  /** Goes before the record at `index`. */
  seek(index: number): void {
    this.#refuseClosed()
    this.#native.seek(index)
  }

  /** The native side knows when the log is closed, but not when this handle of it is. */
  #refuseClosed(): void {
    if (this.#life.closed) throw createError('VARVE_CLOSED', 'the log is closed', {})
  }

  #fill(): number {
    this.#refuseClosed()
    let count = this.#native.fill(this.slab, this.table)
    if (count < 0) {
      this.slab = newSlab(Math.max(-count, SLAB_BYTES))
      count = this.#native.fill(this.slab, this.table)
    }
    return count
  }
}

/** A `WalReader` over a native one. */
export class Reader<T> implements WalReader<T> {
  index = -1
  buffer: Bytes = NO_BYTES
  start = 0
  end = 0
  readonly #native: ReaderBinding
  readonly #codec: Codec<T> | undefined
  readonly #life: Life
  readonly #window: Window
  readonly #table: Uint32Array
  #next = 0
  #count = 0
  #first = 0

  constructor(native: ReaderBinding, codec: Codec<T> | undefined, life: Life) {
    this.#native = native
    this.#codec = codec
    this.#life = life
    this.#window = new Window(native, life)
    this.#table = this.#window.table
  }

  advance(): boolean {
    const next = this.#next
    if (next === this.#count || this.#life.closed || this.buffer.length === 0) return this.#refill()
    this.#next = next + 1
    this.start = this.#table[2 * next]!
    this.end = this.#table[2 * next + 1]!
    this.index = this.#first + next
    return true
  }

  data(): T {
    const { buffer, start, end } = this
    const codec = this.#codec
    if (codec?.decodeFrom !== undefined) return codec.decodeFrom(buffer, start, end)
    const copy = Buffer.allocUnsafe(end - start)
    buffer.copy(copy, 0, start, end)
    return codec === undefined ? (copy as T) : codec.decode(copy)
  }

  seek(index: number): void {
    this.#window.seek(integer('index', index))
    this.#forget()
  }

  close(): void {
    this.#native.close()
    this.#forget()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #refill(): boolean {
    // Someone has transferred the lent buffer away: what was left in it is read again.
    if (this.#next < this.#count) this.#window.seek(this.#first + this.#next)
    const count = this.#window.refill()
    this.buffer = this.#window.slab
    this.#first = this.#window.first
    this.#next = 0
    this.#count = count
    return count > 0 && this.advance()
  }

  #forget(): void {
    this.#next = this.#count = 0
    this.start = this.end = 0
  }
}

/** What `records()` returns: every Buffer in it is the caller's own. */
export class Records<T> implements IterableIterator<WalRecord<T>> {
  readonly #native: ReaderBinding
  readonly #codec: Codec<T> | undefined
  readonly #signal: AbortSignal | undefined
  readonly #life: Life
  readonly #window: Window
  readonly #table: Uint32Array
  #next = 0
  #count = 0
  #first = 0
  #done = false

  constructor(native: ReaderBinding, codec: Codec<T> | undefined, signal: AbortSignal | undefined, life: Life) {
    this.#native = native
    this.#codec = codec
    this.#signal = signal
    this.#life = life
    this.#window = new Window(native, life)
    this.#table = this.#window.table
  }

  next(): IteratorResult<WalRecord<T>, undefined> {
    if (this.#signal !== undefined) this.#check(this.#signal)
    if ((this.#next === this.#count || this.#life.closed) && !this.#refill()) return { value: undefined, done: true }
    if (this.#table[2 * this.#next + 1]! > this.#window.slab.length) {
      // Someone has transferred a Buffer, and all its neighbours with it, away: what was left is read again.
      this.#window.seek(this.#first + this.#next)
      if (!this.#refill()) return { value: undefined, done: true }
    }
    const next = this.#next++
    const start = this.#table[2 * next]!
    const end = this.#table[2 * next + 1]!
    const codec = this.#codec
    const slab = this.#window.slab
    const data =
      codec === undefined ? (view(slab, start, end) as T)
      : codec.decodeFrom === undefined ? codec.decode(view(slab, start, end))
      : codec.decodeFrom(slab, start, end)
    return { value: { index: this.#first + next, data }, done: false }
  }

  return(): IteratorResult<WalRecord<T>, undefined> {
    if (!this.#done) {
      this.#done = true
      this.#next = this.#count = 0
      this.#native.close()
    }
    return { value: undefined, done: true }
  }

  [Symbol.iterator](): this {
    return this
  }

  #refill(): boolean {
    if (this.#done) return false
    // What decodeFrom makes does not alias the slab; all else does.
    const count = this.#codec?.decodeFrom === undefined ? this.#window.renew() : this.#window.refill()
    this.#first = this.#window.first
    this.#next = 0
    this.#count = count
    if (count === 0) this.return()
    return count > 0
  }

  #check(signal: AbortSignal): void {
    if (signal.aborted) this.return()
    checkSignal(signal)
  }
}
