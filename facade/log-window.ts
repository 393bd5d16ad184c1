// The messages that one native call has read: their bytes in a slab, or where they lie in the file, and where they are in rows.
import type { Bytes, BytesLike } from './codecs.ts'
import { createError } from './errors.ts'
import type { Life } from './live.ts'
import { type Memory, type MessageCodecs, offsetOf, StoredMessage } from './message.ts'
import { IN_FILE, type LogBinding, type LogReaderBinding, PLACE_INTERRUPTED, PLACE_SLOTS, ROW_FLAGS, ROW_WORDS } from './native.ts'
import { newSlab } from './slab.ts'
import type { Views } from './views.ts'

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
const NO_ROWS = new Uint32Array(0)

/** Memory that single messages of a thread share, and how much of it is used. */
export const shared: { slab: Bytes; used: number } = { slab: newSlab(), used: 0 }

/** What windows of a thread leave to each other: those at the end of their logs, of which there may be thousands, need nothing. */
const spare: { slab: Bytes | undefined; rows: Uint32Array | undefined } = { slab: undefined, rows: undefined }

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

/** What is read. */
export interface Range {
  from: number
  to: number | undefined
  flags: number
  key: BytesLike | null | undefined
}

export class LogWindow {
  slab: Bytes = NO_BYTES
  /** What places in rows are to be lessened by. */
  base = 0
  readonly native: LogReaderBinding
  readonly #life: Life
  /** Given to who wants messages where they lie in their files, if they do. */
  readonly #views: Views | undefined
  /** On memory of its own, which does not move: other threads write to it. */
  readonly #place: Float64Array = new Float64Array(new ArrayBuffer(PLACE_SLOTS * 8))
  #rows: Uint32Array | undefined
  /** The files' memory, by the places of the messages that lie in them; undefined where none does. */
  #files: (Bytes | undefined)[] | undefined

  constructor(log: LogBinding, { from, to, flags, key }: Range, life: Life, views?: Views) {
    this.native = log.reader(from, to, flags, key, this.#place)
    this.#life = life
    this.#views = views
  }

  /** Where the messages are that were filled last. */
  get rows(): Uint32Array {
    return this.#rows ?? NO_ROWS
  }

  /** The log begins later than before: what is ahead may be gone. */
  get interrupted(): boolean {
    return this.#place[PLACE_INTERRUPTED] !== 0
  }

  /** The next messages, in the memory of those before; returns their number. */
  refill(): number {
    if (this.slab.length < SLAB_BYTES || this.slab.length > KEPT_BYTES) this.slab = newSlab(SLAB_BYTES)
    return this.#fill(this.#room())
  }

  /** The next messages, `most` of them, in memory that nothing else will use; returns their number. */
  renew(most: number = ROWS): number {
    this.slab = spare.slab ?? newSlab(SLAB_BYTES)
    spare.slab = undefined
    const rows = this.#room()
    const count = this.#fill(most < ROWS ? rows.subarray(0, most * ROW_WORDS) : rows)
    const used = this.#used(rows, count)
    this.base = 0
    if (used < SPARSE_BYTES) {
      const sparse = this.slab
      if (sparse.length === SLAB_BYTES) spare.slab = sparse
      if (used === 0) {
        this.slab = NO_BYTES
      } else if (makeRoom(used)) {
        this.slab = shared.slab
        this.base = -shared.used
        sparse.copy(this.slab, shared.used, 0, used)
        takeRoom(used)
      } else {
        this.slab = newSlab(used)
        sparse.copy(this.slab, 0, 0, used)
      }
    }
    if (count < ROWS / 8) {
      spare.rows = rows
      this.#rows = count === 0 ? undefined : rows.slice(0, count * ROW_WORDS)
    }
    return count
  }

  /** What is ahead of the message at `offset`, and that message, is read again. VARVE_OUT_OF_RANGE if it has been removed from the start of the log. */
  rewind(offset: number | undefined): void {
    this.#place[PLACE_INTERRUPTED] = 0
    if (offset !== undefined) this.native.seek(offset)
  }

  /** Memory of the message of the row at `at`, if it lies in a file. */
  fileOf(at: number): Bytes | undefined {
    return this.#files?.[at / ROW_WORDS]
  }

  /** The message of the row at `at`, which is in `memory` if it lies in no file. */
  message<K, V>(memory: Memory<K, V>, codecs: MessageCodecs<K, V>, at: number): StoredMessage<K, V> {
    const file = this.#files?.[at / ROW_WORDS]
    return file === undefined ? new StoredMessage(memory, this.#rows!, at, this.base) : new StoredMessage({ slab: file, codecs }, this.#rows!, at, 0)
  }

  /** The native side knows when the log is closed, but not when this handle of it is. */
  refuseClosed(): void {
    if (this.#life.closed) throw createError('VARVE_CLOSED', 'the log is closed', {})
  }

  /** Rows of its own, for as many as one call reads. */
  #room(): Uint32Array {
    if (this.#rows !== undefined && this.#rows.length === ROWS * ROW_WORDS) return this.#rows
    const rows = spare.rows ?? new Uint32Array(ROWS * ROW_WORDS)
    spare.rows = undefined
    return (this.#rows = rows)
  }

  #fill(rows: Uint32Array): number {
    this.refuseClosed()
    this.#files = undefined
    const count = this.#fillWith(rows, this.#views !== undefined)
    if (this.#views === undefined || this.#see(rows, count)) return count
    // They are known to be good, but have to be copied.
    this.#files = undefined
    this.native.seek(offsetOf(rows, 0))
    return this.#fillWith(rows, false)
  }

  #fillWith(rows: Uint32Array, views: boolean): number {
    let count = this.native.fill(this.slab, rows, views)
    if (count < 0) {
      this.slab = newSlab(Math.max(-count, SLAB_BYTES))
      count = this.native.fill(this.slab, rows, views)
    }
    return count
  }

  /** Finds the memory of all that lie in files; false where there is none to be had. */
  #see(rows: Uint32Array, count: number): boolean {
    for (let i = 0; i < count; i++) {
      const at = i * ROW_WORDS
      const flags = rows[at + ROW_FLAGS]!
      if ((flags & IN_FILE) === 0) continue
      const file = this.#views!.of((flags >>> 8) * 0x1_0000_0000 + rows[at + 9]!, rows[at + 7]!)
      if (file === undefined) return false
      ;(this.#files ??= [])[i] = file
    }
    return true
  }

  /** Bytes of the slab that messages take. */
  #used(rows: Uint32Array, count: number): number {
    let last = count - 1
    if (this.#files !== undefined) while (last >= 0 && this.#files[last] !== undefined) last--
    return last < 0 ? 0 : rows[last * ROW_WORDS + 7]!
  }
}
