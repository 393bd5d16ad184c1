import type { Bytes, Codec } from './codecs.ts'
import type { Life } from './live.ts'
import { PLACE_INTERRUPTED, PLACE_NEXT } from './native.ts'
import { checkSignal, integer } from './options.ts'
import { view } from './slab.ts'
import type { Window } from './window.ts'

const NO_BYTES = Buffer.alloc(0)

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

/** A `WalReader` over a native one. */
export class Reader<T> implements WalReader<T> {
  index = -1
  buffer: Bytes = NO_BYTES
  start = 0
  end = 0
  readonly #codec: Codec<T> | undefined
  readonly #life: Life
  readonly #window: Window
  readonly #table: Uint32Array
  readonly #place: Float64Array
  #next = 0
  #count = 0
  #first = 0

  constructor(window: Window, codec: Codec<T> | undefined, life: Life) {
    this.#codec = codec
    this.#life = life
    this.#window = window
    this.#table = window.table
    this.#place = window.place
  }

  advance(): boolean {
    const next = this.#next
    const place = this.#place
    if (next === this.#count || place[PLACE_INTERRUPTED] !== 0 || this.#life.closed || this.buffer.length === 0) return this.#refill()
    this.#next = next + 1
    this.start = this.#table[2 * next]!
    this.end = this.#table[2 * next + 1]!
    const index = this.#first + next
    this.index = index
    place[PLACE_NEXT] = index + 1
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
    this.#window.native.close()
    this.#forget()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #refill(): boolean {
    const window = this.#window
    // Someone has transferred the lent buffer away: what was left in it is read again. What truncation has interrupted the native side reads again by itself.
    if (this.#next < this.#count && !window.interrupted && !this.#life.closed) window.rewind()
    // Should it fail, nothing of what was ahead is returned later.
    this.#next = this.#count = 0
    const count = this.#window.refill()
    this.buffer = this.#window.slab
    this.#first = this.#window.first
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
  readonly #codec: Codec<T> | undefined
  readonly #signal: AbortSignal | undefined
  readonly #life: Life
  readonly #window: Window
  readonly #table: Uint32Array
  readonly #place: Float64Array
  #next = 0
  #count = 0
  #first = 0
  #done = false

  constructor(window: Window, codec: Codec<T> | undefined, signal: AbortSignal | undefined, life: Life) {
    this.#codec = codec
    this.#signal = signal
    this.#life = life
    this.#window = window
    this.#table = window.table
    this.#place = window.place
  }

  next(): IteratorResult<WalRecord<T>, undefined> {
    if (this.#signal !== undefined) this.#check(this.#signal)
    const ahead = this.#next < this.#count && this.#place[PLACE_INTERRUPTED] === 0 && !this.#life.closed
    if (!ahead && !this.#refill()) return { value: undefined, done: true }
    if (this.#table[2 * this.#next + 1]! > this.#window.slab.length) {
      // Someone has transferred a Buffer, and all its neighbours with it, away: what was left is read again.
      this.#window.rewind()
      if (!this.#refill()) return { value: undefined, done: true }
    }
    const next = this.#next++
    const index = this.#first + next
    this.#place[PLACE_NEXT] = index + 1
    return { value: { index, data: take(this.#window.slab, this.#table[2 * next]!, this.#table[2 * next + 1]!, this.#codec) }, done: false }
  }

  return(): IteratorResult<WalRecord<T>, undefined> {
    if (!this.#done) {
      this.#done = true
      this.#next = this.#count = 0
      this.#window.native.close()
    }
    return { value: undefined, done: true }
  }

  [Symbol.iterator](): this {
    return this
  }

  #refill(): boolean {
    if (this.#done) return false
    // Should it fail, nothing of what was ahead is returned later.
    this.#next = this.#count = 0
    // What decodeFrom makes does not alias the slab; all else does.
    let count: number
    try {
      count = this.#codec?.decodeFrom === undefined ? this.#window.renew() : this.#window.refill()
    } catch (error) {
      // A loop calls no return() for what its iterator throws, and nobody would let go of the segment.
      this.return()
      throw error
    }
    this.#first = this.#window.first
    this.#count = count
    if (count === 0) this.return()
    return count > 0
  }

  #check(signal: AbortSignal): void {
    if (signal.aborted) this.return()
    checkSignal(signal)
  }
}

/** The record `slab[start .. end]`, whose memory is its own. */
export function take<T>(slab: Bytes, start: number, end: number, codec: Codec<T> | undefined): T {
  if (codec === undefined) return view(slab, start, end) as T
  return codec.decodeFrom === undefined ? codec.decode(view(slab, start, end)) : codec.decodeFrom(slab, start, end)
}
