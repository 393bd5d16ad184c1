// The records that one native call has verified: copied into a slab, or where they lie in the file.
import type { Bytes } from './codecs.ts'
import { createError } from './errors.ts'
import type { Life } from './live.ts'
import { PLACE_INTERRUPTED, PLACE_NEXT, PLACE_RETURNED, PLACE_SLOTS, type ReaderBinding, TABLE_INDEX, TABLE_SLOTS, type WalBinding } from './native.ts'
import { newSlab, SLAB_BYTES } from './slab.ts'
import type { Views } from './views.ts'

const NO_BYTES = Buffer.alloc(0)
// A slab that one large record has stretched is kept up to this.
const KEPT_BYTES = 1 << 20
// Records that fill less than this are moved to memory of their size: what is kept of them then holds no whole slab.
const SPARSE_BYTES = SLAB_BYTES / 4

/** What a reader reads. */
export interface Range {
  from: number
  /** Gives `from` anew, where it is an end of the log that moves: other threads may drop records just when a reader begins. */
  anew: (() => number) | undefined
  /** Excluded; undefined: the end as of each step. */
  to: number | undefined
  gated: boolean
  /** It waits for more, and blocks no truncation. */
  waits: boolean
}

export class Window {
  slab: Bytes = NO_BYTES
  readonly table: Uint32Array = new Uint32Array(TABLE_SLOTS)
  /** Where the reader stands, for a truncation in whatever thread; on memory of its own, which does not move. */
  readonly place: Float64Array = new Float64Array(new ArrayBuffer(PLACE_SLOTS * 8))
  readonly native: ReaderBinding
  readonly #life: Life
  readonly #views: Views | undefined
  #spare: Bytes | undefined
  /** The last call of the native side has failed: it has to find its place again, or fails again where that is not in the log any more. */
  #failed = false

  constructor(native: WalBinding, range: Range, life: Life, views?: Views) {
    this.place[PLACE_NEXT] = range.from
    this.native = native.reader(range.from, range.to ?? -1, (range.gated ? 1 : 0) + (range.waits ? 2 : 0), this.place)
    this.#life = life
    this.#views = views
  }

  /** Index of the first record. */
  get first(): number {
    return this.table[TABLE_INDEX + 1]! * 0x1_0000_0000 + this.table[TABLE_INDEX]!
  }

  /** Index of the next record to be returned. */
  get next(): number {
    return this.place[PLACE_NEXT]!
  }

  /** The log has been changed from outside: what is ahead is to be read again. */
  get interrupted(): boolean {
    return this.place[PLACE_INTERRUPTED] !== 0
  }

  /** The next records, in the memory of those before, unless that is a file's; returns their number. */
  refill(): number {
    if (this.#views !== undefined) return this.#view() || this.#renew()
    if (this.slab.length < SLAB_BYTES || this.slab.length > KEPT_BYTES) this.slab = newSlab()
    return this.#fill()
  }

  /** The next records, in memory that nothing else will use; returns their number. */
  renew(): number {
    return this.#view() || this.#renew()
  }

  /** Goes before the record at `index`. */
  seek(index: number): void {
    this.refuseClosed()
    this.native.seek(index)
    this.place[PLACE_NEXT] = index
    this.place[PLACE_RETURNED] = 0
    this.place[PLACE_INTERRUPTED] = 0
    this.#failed = false
  }

  /** What was read ahead and not returned is read again by the next call. VARVE_OUT_OF_RANGE if a truncation has dropped what was returned. */
  rewind(): void {
    this.native.rewind()
  }

  /** The native side knows when the log is closed, but not when this handle of it is. */
  refuseClosed(): void {
    if (this.#life.closed) throw createError('VARVE_CLOSED', 'the log is closed', {})
  }

  #view(): number {
    if (this.#views === undefined) return 0
    this.#begin()
    const count = this.native.fillViews(this.table)
    this.#failed = false
    if (count <= 0) return 0
    const buffer = this.#views.of(this.native.segment(), this.table[2 * count - 1]!)
    if (buffer === undefined) {
      // They are known to be good, but have to be copied.
      this.rewind()
      return 0
    }
    this.slab = buffer
    this.place[PLACE_RETURNED] = 1
    return count
  }

  #renew(): number {
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

  #fill(): number {
    this.#begin()
    let count = this.native.fill(this.slab, this.table)
    if (count < 0) {
      this.slab = newSlab(Math.max(-count, SLAB_BYTES))
      count = this.native.fill(this.slab, this.table)
    }
    this.#failed = false
    // The first of them is about to be returned.
    if (count > 0) this.place[PLACE_RETURNED] = 1
    return count
  }

  #begin(): void {
    this.refuseClosed()
    // A thread that cuts the log tells the native side first: that may have read again before the word came here, so it does so once more.
    const again = this.#failed || this.interrupted
    this.place[PLACE_INTERRUPTED] = 0
    this.#failed = true
    if (again) this.native.rewind()
  }
}
