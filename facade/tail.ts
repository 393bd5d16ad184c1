// Asynchronous iteration: `recordsAsync`, which ends with the log, and `tail`, which waits for more.
import { Ahead } from './ahead.ts'
import type { Bytes, Codec } from './codecs.ts'
import { aborted } from './errors.ts'
import type { Life, Live } from './live.ts'
import { PLACE_INTERRUPTED, PLACE_NEXT } from './native.ts'
import { take, type WalRecord } from './reader.ts'
import type { Window } from './window.ts'

/** Further behind than so many records, a tail reads ahead on another thread; what has just been appended is in memory anyway. */
const BEHIND = 1_024

type Result<T> = IteratorResult<WalRecord<T>, undefined>

export class Tail<T> implements AsyncIterableIterator<WalRecord<T>> {
  readonly #window: Window
  readonly #codec: Codec<T> | undefined
  readonly #live: Live
  readonly #life: Life
  readonly #signal: AbortSignal | undefined
  /** It waits at the end. */
  readonly #waits: boolean
  readonly #place: Float64Array
  readonly #ahead: Ahead | undefined
  #slab: Bytes | undefined
  #table: Uint32Array
  #base = 0
  #first = 0
  #next = 0
  #count = 0
  #done = false
  #wake: (() => void) | undefined
  /** Calls of `next` that came before the one before them was answered. */
  #last: Promise<unknown> | undefined

  constructor(window: Window, codec: Codec<T> | undefined, live: Live, life: Life, signal: AbortSignal | undefined, waits: boolean, views: boolean) {
    this.#window = window
    this.#codec = codec
    this.#live = live
    this.#life = life
    this.#signal = signal
    this.#waits = waits
    this.#place = window.place
    this.#table = window.table
    // Views are made where the records lie: there is nothing to be read ahead.
    this.#ahead = views ? undefined : new Ahead(window, life)
  }

  next(): Promise<Result<T>> {
    if (this.#last !== undefined) return this.#queue()
    try {
      const result = this.#take()
      if (result !== undefined) return Promise.resolve(result)
    } catch (error) {
      return this.#fail(error)
    }
    return this.#queue()
  }

  async return(): Promise<Result<T>> {
    if (!this.#done) {
      this.#done = true
      this.#next = this.#count = 0
      this.#wake?.()
      await this.#ahead?.drop()
      this.#window.native.close()
    }
    return { value: undefined, done: true }
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return()
  }

  /** After those that were asked before. */
  #queue(): Promise<Result<T>> {
    const before = this.#last
    const result = before === undefined ? this.#step() : before.then(() => this.#step(), () => this.#step())
    this.#last = result
    const settled = () => {
      if (this.#last === result) this.#last = undefined
    }
    result.then(settled, settled)
    return result
  }

  async #fail(error: unknown): Promise<never> {
    await this.return()
    throw error
  }

  async #step(): Promise<Result<T>> {
    try {
      for (;;) {
        const result = this.#take()
        if (result !== undefined) return result
        // A tail ends with its log; a scan that is cut short by a close has failed.
        if (this.#life.closed && this.#waits) {
          await this.return()
          continue
        }
        this.#window.refuseClosed()
        const seen = this.#live.visible
        if (await this.#load(seen)) continue
        // `return` was called meanwhile.
        if (this.#done) continue
        if (!this.#waits) {
          await this.return()
          continue
        }
        if (this.#live.error !== undefined) throw this.#live.error
        const moved = this.#live.wait(seen, this.#signal, (wake) => (this.#wake = wake))
        // Looked at when it is known that every change from here on wakes: a cut that left the log as long as it was is not missed.
        if (this.#window.interrupted) this.#wake?.()
        await moved
        this.#wake = undefined
      }
    } catch (error) {
      // What a `return` or a close overtakes has ended, not failed.
      if (this.#done || (this.#life.closed && this.#waits && !this.#signal?.aborted)) return this.return()
      return this.#fail(error)
    }
  }

  /** The next record, if it is at hand. */
  #take(): Result<T> | undefined {
    if (this.#signal?.aborted && !this.#done) throw aborted(this.#signal)
    if (this.#done) return { value: undefined, done: true }
    if (this.#next === this.#count || this.#place[PLACE_INTERRUPTED] !== 0 || this.#life.closed) return undefined
    const next = this.#next++
    const index = this.#first + next
    this.#place[PLACE_NEXT] = index + 1
    const start = this.#table[2 * next]! - this.#base
    return { value: { index, data: take(this.#slab!, start, this.#table[2 * next + 1]! - this.#base, this.#codec) }, done: false }
  }

  /** More records; false at the end as it is now. */
  async #load(visible: number): Promise<boolean> {
    const window = this.#window
    this.#next = this.#count = 0
    const ahead = this.#ahead
    if (ahead !== undefined && (ahead.isAhead || !this.#waits || visible - window.next > BEHIND)) {
      const load = await ahead.load()
      if (this.#done) return true
      if (load !== undefined) {
        this.#slab = load.slab
        this.#table = load.table
        this.#base = load.base
        this.#first = load.first
        this.#count = load.count
        return true
      }
      if (!this.#waits) return false
    }
    // What decodeFrom makes does not alias the slab; all else does.
    this.#count = this.#codec?.decodeFrom === undefined ? window.renew() : window.refill()
    this.#slab = window.slab
    this.#table = window.table
    this.#base = 0
    this.#first = window.first
    return this.#count > 0
  }
}
