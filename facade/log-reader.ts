import type { Bytes } from './codecs.ts'
import { invalid } from './errors.ts'
import type { Life } from './live.ts'
import { type LogWindow, makeRoom, shared, takeRoom } from './log-window.ts'
import { readSeek, type Seek } from './log-options.ts'
import { checkDecoded, decode, type Memory, type Message, type MessageCodecs, offsetOf, StoredMessage, timeOf } from './message.ts'
import { HAS_KEY, HAS_VALUE, ROW_FLAGS, ROW_WORDS } from './native.ts'
import { checkSignal, show } from './options.ts'
import { newSlab } from './slab.ts'

const NO_BYTES = Buffer.alloc(0)
const NO_ROWS = new Uint32Array(ROW_WORDS)

/** The cheapest way through a log: no object a message. Begins before its first message. */
export interface LogReader<K = Bytes, V = Bytes> extends Disposable {
  /** Moves to the next message; false at the end as it is now (advance again later), or at the commit gate. */
  advance(): boolean
  readonly offset: number
  readonly time: number
  /** The value is `buffer[start .. end]`, empty for null; lent until the next `advance()`. */
  readonly buffer: Buffer
  /** The key is `buffer[keyStart .. keyEnd]`; -1 for null. */
  readonly keyStart: number
  readonly keyEnd: number
  readonly start: number
  readonly end: number
  /** The key, decoded; bytes are a copy that may be kept. */
  key(): K | null
  value(): V | null
  /** Goes before the message at an offset, or the next one left. VARVE_OUT_OF_RANGE outside of the log. */
  seek(to: Seek): void
  close(): void
}

/** A `LogReader` over a native one. */
export class MessageReader<K, V> implements LogReader<K, V> {
  buffer: Bytes = NO_BYTES
  readonly #window: LogWindow
  readonly #codecs: MessageCodecs<K, V>
  readonly #life: Life
  readonly #resolve: (to: Seek) => number
  /** Some messages may lie in files. */
  readonly #inFiles: boolean
  #rows: Uint32Array = NO_ROWS
  #at = 0
  #end = 0

  constructor(window: LogWindow, codecs: MessageCodecs<K, V>, life: Life, resolve: (to: Seek) => number, inFiles: boolean) {
    this.#window = window
    this.#codecs = codecs
    this.#life = life
    this.#resolve = resolve
    this.#inFiles = inFiles
  }

  get offset(): number {
    return this.#rows === NO_ROWS ? -1 : offsetOf(this.#rows, this.#at)
  }

  get time(): number {
    return timeOf(this.#rows, this.#at)
  }

  get keyStart(): number {
    return (this.#rows[this.#at + ROW_FLAGS]! & HAS_KEY) === 0 ? -1 : this.#rows[this.#at + 4]!
  }

  get keyEnd(): number {
    return (this.#rows[this.#at + ROW_FLAGS]! & HAS_KEY) === 0 ? -1 : this.#rows[this.#at + 5]!
  }

  get start(): number {
    return this.#rows[this.#at + 6]!
  }

  get end(): number {
    return this.#rows[this.#at + 7]!
  }

  advance(): boolean {
    const at = this.#at + ROW_WORDS
    const window = this.#window
    if (at >= this.#end || this.#life.closed || window.slab.length === 0 || window.interrupted) return this.#refill()
    this.#at = at
    if (this.#inFiles) this.buffer = window.fileOf(at) ?? window.slab
    return true
  }

  key(): K | null {
    return (this.#rows[this.#at + ROW_FLAGS]! & HAS_KEY) === 0 ? null : this.#decode(this.#rows[this.#at + 4]!, this.#rows[this.#at + 5]!, 'key')
  }

  value(): V | null {
    return (this.#rows[this.#at + ROW_FLAGS]! & HAS_VALUE) === 0 ? null : this.#decode(this.#rows[this.#at + 6]!, this.#rows[this.#at + 7]!, 'value')
  }

  seek(to: Seek): void {
    const offset = this.#resolve(readSeek('to', to))
    this.#window.refuseClosed()
    this.#window.native.seek(offset)
    this.#forget()
  }

  close(): void {
    this.#window.native.close()
    this.#forget()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #decode<T>(start: number, end: number, what: 'key' | 'value'): T {
    const codec = this.#codecs[what] as MessageCodecs<T, T>['key']
    if (codec?.decodeFrom !== undefined) return decode(this.buffer, start, end, codec, what)
    const copy = Buffer.allocUnsafe(end - start)
    this.buffer.copy(copy, 0, start, end)
    return codec === undefined ? (copy as T) : checkDecoded(codec.decode(copy), codec, what)
  }

  #refill(): boolean {
    const window = this.#window
    window.refuseClosed()
    // Messages were removed from the start, or someone has transferred the lent buffer away: what was left in it is read again.
    const next = this.#at + ROW_WORDS < this.#end ? offsetOf(this.#rows, this.#at + ROW_WORDS) : undefined
    // Should it fail, nothing of what was ahead is returned later.
    this.#end = 0
    window.rewind(next)
    const count = window.refill()
    this.buffer = count === 0 ? window.slab : (window.fileOf(0) ?? window.slab)
    if (count === 0) return false
    this.#rows = window.rows
    this.#at = 0
    this.#end = count * ROW_WORDS
    return true
  }

  #forget(): void {
    this.#rows = NO_ROWS
    this.#at = this.#end = 0
  }
}

/** What `messages()` returns: every Buffer in it is the caller's own. */
export class Messages<K, V> implements IterableIterator<Message<K, V>> {
  readonly #window: LogWindow
  readonly #codecs: MessageCodecs<K, V>
  readonly #signal: AbortSignal | undefined
  readonly #life: Life
  #memory: Memory<K, V>
  #at = 0
  #end = 0
  #done = false

  constructor(window: LogWindow, codecs: MessageCodecs<K, V>, signal: AbortSignal | undefined, life: Life) {
    this.#window = window
    this.#codecs = codecs
    this.#signal = signal
    this.#life = life
    this.#memory = { slab: NO_BYTES, codecs }
  }

  next(): IteratorResult<Message<K, V>, undefined> {
    if (this.#signal !== undefined) this.#check(this.#signal)
    if ((this.#at === this.#end || this.#life.closed || this.#window.interrupted) && !this.#refill()) return { value: undefined, done: true }
    const at = this.#at
    this.#at = at + ROW_WORDS
    return { value: this.#window.message(this.#memory, this.#codecs, at), done: false }
  }

  return(): IteratorResult<Message<K, V>, undefined> {
    if (!this.#done) {
      this.#done = true
      this.#at = this.#end = 0
      this.#window.native.close()
    }
    return { value: undefined, done: true }
  }

  [Symbol.iterator](): this {
    return this
  }

  #refill(): boolean {
    if (this.#done) return false
    const window = this.#window
    // Messages were removed from the start: what is ahead may be gone.
    const next = this.#at < this.#end ? offsetOf(window.rows, this.#at) : undefined
    this.#at = this.#end = 0
    let count: number
    try {
      window.refuseClosed()
      window.rewind(next)
      count = window.renew()
    } catch (error) {
      // A loop calls no return() for what its iterator throws, and nobody would let go of the segment.
      this.return()
      throw error
    }
    if (count === 0) this.return()
    else this.#memory = { slab: window.slab, codecs: this.#codecs }
    this.#end = count * ROW_WORDS
    return count > 0
  }

  #check(signal: AbortSignal): void {
    if (signal.aborted) this.return()
    checkSignal(signal)
  }
}

const row = new Uint32Array(ROW_WORDS)

/** One message, read into memory that is its own; undefined where there is none. `find` is as `Find` of native code says. */
export function findMessage<A, K, V>(
  find: (what: A, slab: Uint8Array, at: number, row: Uint32Array) => number, what: A, codecs: MessageCodecs<K, V>,
): StoredMessage<K, V> | undefined {
  const { slab, used } = shared
  const length = find(what, slab, used, row)
  if (length >= 0) {
    takeRoom(length)
    return new StoredMessage({ slab, codecs }, row, 0, 0)
  }
  if (length === -1) return undefined
  const bytes = -length - 2
  if (makeRoom(bytes)) return findMessage(find, what, codecs)
  const own = newSlab(bytes)
  return find(what, own, 0, row) < 0 ? undefined : new StoredMessage({ slab: own, codecs }, row, 0, 0)
}

/** The message that another thread has read: its row, and behind that its bytes. */
export function foundMessage<K, V>(found: Bytes | null, codecs: MessageCodecs<K, V>): StoredMessage<K, V> | undefined {
  if (found === null) return undefined
  const words = Uint32Array.from({ length: ROW_WORDS }, (_, i) => found.readUInt32LE(4 * i))
  return new StoredMessage({ slab: Buffer.from(found.buffer), codecs }, words, 0, -4 * ROW_WORDS - found.byteOffset)
}

/** Which end of the log is meant. */
export function isFirst(end: unknown): boolean {
  if (end !== 'first' && end !== 'last') throw invalid(`offset must be a number, 'first' or 'last', got ${show(end)}`)
  return end === 'first'
}
