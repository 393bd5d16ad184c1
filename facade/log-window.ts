// The messages that one native call has read: their bytes in a slab, and where they are in rows.
import type { Bytes } from './codecs.ts'
import { createError } from './errors.ts'
import type { Life } from './live.ts'
import { type LogReaderBinding, ROW_WORDS } from './native.ts'
import { newSlab } from './slab.ts'

/** Messages that one call reads at most. */
export const ROWS = 256
/** Room for so many of the usual size: more would be allocated and not used. */
const SLAB_BYTES = 49_152
// Messages that fill less than this are moved to memory of their size: what is kept of them then holds no whole slab.
const SPARSE_BYTES = SLAB_BYTES / 4
// A slab that one large message has stretched is kept up to this.
const KEPT_BYTES = 1 << 20

/** A message, or a few, of more than this get memory of their own, so that a small one kept never holds much more than a slab. */
const SHARED_BYTES = 8_192

const NO_BYTES = Buffer.alloc(0)

/** Memory that single messages of a thread share, and how much of it is used. */
export const shared: { slab: Bytes; used: number } = { slab: newSlab(), used: 0 }

/** Makes sure that there is room for `bytes` in the shared memory; false if that is too much for it. */
export function makeRoom(bytes: number): boolean {
  if (bytes > SHARED_BYTES) return false
  if (shared.used + bytes > shared.slab.length) {
    shared.slab = newSlab()
    shared.used = 0
  }
  return true
}

/** So many bytes of the shared memory are used; what follows is aligned, so that views of wider elements can be laid over it. */
export function takeRoom(bytes: number): void {
  shared.used = (shared.used + bytes + 7) & ~7
}

export class LogWindow {
  slab: Bytes = NO_BYTES
  /** What places in rows are to be lessened by. */
  base = 0
  readonly rows: Uint32Array = new Uint32Array(ROWS * ROW_WORDS)
  readonly native: LogReaderBinding
  readonly #life: Life
  #spare: Bytes | undefined

  constructor(native: LogReaderBinding, life: Life) {
    this.native = native
    this.#life = life
  }

  /** The next messages, in the memory of those before; returns their number. */
  refill(): number {
    if (this.slab.length < SLAB_BYTES || this.slab.length > KEPT_BYTES) this.slab = newSlab(SLAB_BYTES)
    return this.#fill(this.rows)
  }

  /** The next messages, `most` of them, in memory that nothing else will use; returns their number. */
  renew(most: number = ROWS): number {
    this.slab = this.#spare ?? newSlab(SLAB_BYTES)
    this.#spare = undefined
    const count = this.#fill(most < ROWS ? this.rows.subarray(0, most * ROW_WORDS) : this.rows)
    const used = count === 0 ? 0 : this.rows[count * ROW_WORDS - 3]!
    this.base = 0
    if (used < SPARSE_BYTES) {
      const sparse = (this.#spare = this.slab)
      if (makeRoom(used)) {
        this.slab = shared.slab
        this.base = -shared.used
        sparse.copy(this.slab, shared.used, 0, used)
        takeRoom(used)
      } else {
        this.slab = newSlab(used)
        sparse.copy(this.slab, 0, 0, used)
      }
    }
    return count
  }

  /** The native side knows when the log is closed, but not when this handle of it is. */
  refuseClosed(): void {
    if (this.#life.closed) throw createError('VARVE_CLOSED', 'the log is closed', {})
  }

  #fill(rows: Uint32Array): number {
    this.refuseClosed()
    let count = this.native.fill(this.slab, rows)
    if (count < 0) {
      this.slab = newSlab(Math.max(-count, SLAB_BYTES))
      count = this.native.fill(this.slab, rows)
    }
    return count
  }
}
