// The records of `recordsAsync` and `tail`: read on this thread, or ahead on another.
import { Ahead } from './ahead.ts'
import type { Source } from './async-scan.ts'
import type { Bytes, Codec } from './codecs.ts'
import type { Life } from './live.ts'
import { PLACE_INTERRUPTED, PLACE_NEXT } from './native.ts'
import { take, type WalRecord } from './reader.ts'
import type { Window } from './window.ts'

/** Further behind than so many records, a tail reads ahead on another thread; what has just been appended is in memory anyway. */
export const BEHIND = 1_024

export class RecordSource<T> implements Source<WalRecord<T>> {
  readonly #window: Window
  readonly #codec: Codec<T> | undefined
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

  constructor(window: Window, codec: Codec<T> | undefined, life: Life, waits: boolean, views: boolean) {
    this.#window = window
    this.#codec = codec
    this.#waits = waits
    this.#place = window.place
    this.#table = window.table
    // Views are made where the records lie: there is nothing to be read ahead.
    this.#ahead = views ? undefined : new Ahead(window, life)
  }

  get interrupted(): boolean {
    return this.#window.interrupted
  }

  refuseClosed(): void {
    this.#window.refuseClosed()
  }

  async close(): Promise<void> {
    this.#next = this.#count = 0
    await this.#ahead?.drop()
    this.#window.native.close()
  }

  take(): WalRecord<T> | undefined {
    if (this.#next === this.#count || this.#place[PLACE_INTERRUPTED] !== 0) return undefined
    const next = this.#next++
    const index = this.#first + next
    this.#place[PLACE_NEXT] = index + 1
    const start = this.#table[2 * next]! - this.#base
    return { index, data: take(this.#slab!, start, this.#table[2 * next + 1]! - this.#base, this.#codec) }
  }

  async load(visible: number, ended: () => boolean): Promise<boolean> {
    const window = this.#window
    this.#next = this.#count = 0
    const ahead = this.#ahead
    if (ahead !== undefined && (ahead.isAhead || !this.#waits || visible - window.next > BEHIND)) {
      const load = await ahead.load()
      if (ended()) return true
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
