// Memory for zero-copy views: one buffer a segment and thread, over a private map of its file.
import type { Bytes } from './codecs.ts'
import type { WalBinding } from './native.ts'
import { view } from './slab.ts'

/** A buffer over the active segment is replaced by a longer one when that is worth a map: at least so many bytes more, and half as much again. */
const WORTHWHILE = 262_144

/** Where `viewOf` says that a record lies. */
const SEGMENT = 0
const START = 1
const END = 2

/** Where the memory comes from: segments are known by their numbers, or by marks. */
type Memories = Pick<WalBinding, 'memory'> & Partial<Pick<WalBinding, 'viewOf'>>

export class Views {
  readonly #native: Memories
  readonly #buffers = new Map<number, WeakRef<ArrayBuffer>>()
  readonly #place = new Float64Array(3)
  #last: { segment: number; buffer: Bytes } | undefined

  constructor(native: Memories) {
    this.#native = native
  }

  /** The buffer of a segment, if it reaches to `end`; undefined where it has to be copied. */
  of(segment: number, end: number): Bytes | undefined {
    const last = this.#last
    if (last !== undefined && last.segment === segment && end <= last.buffer.length) return last.buffer
    const known = this.#buffers.get(segment)?.deref()
    if (known !== undefined && end <= known.byteLength) return this.#keep(segment, known)
    if (known !== undefined && end < known.byteLength + Math.max(WORTHWHILE, known.byteLength / 2)) return undefined
    const memory = this.#native.memory(segment)
    if (memory === undefined) return undefined
    // Node lets nobody transfer memory of others. To mark it once more would end the process with the worker that holds it (Node 24).
    this.#buffers.set(segment, new WeakRef(memory))
    if (this.#buffers.size > 64) this.#prune()
    return end <= memory.byteLength ? this.#keep(segment, memory) : undefined
  }

  /** A view of one record; undefined where it has to be copied, or is not there. */
  get(index: number): Bytes | undefined {
    const place = this.#place
    if (this.#native.viewOf?.(index, place) !== 1) return undefined
    const buffer = this.of(place[SEGMENT]!, place[END]!)
    return buffer === undefined ? undefined : view(buffer, place[START]!, place[END]!)
  }

  #keep(segment: number, memory: ArrayBuffer): Bytes {
    const buffer = Buffer.from(memory)
    this.#last = { segment, buffer }
    return buffer
  }

  #prune(): void {
    for (const [segment, memory] of this.#buffers) if (memory.deref() === undefined) this.#buffers.delete(segment)
  }
}
