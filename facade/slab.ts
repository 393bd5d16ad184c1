// Memory for what is handed out. A slab holds many records: one allocation serves hundreds of Buffers.
import { markAsUntransferable } from 'node:worker_threads'
import type { Bytes } from './codecs.ts'
import type { WalBinding } from './native.ts'

export const SLAB_BYTES = 65_536
// A record of more than this gets memory of its own, so that a small one kept never holds much more than a slab.
const SHARED_BYTES = 8_192

// What Buffer's own methods construct: true Buffers, at the price of a bare view.
const View = (Buffer as unknown as { [Symbol.species]: new (memory: ArrayBuffer, start: number, length: number) => Bytes })[Symbol.species]

/** A slab of at least `bytes`. Its memory cannot be transferred to another thread: that would take all its records away. */
export function newSlab(bytes: number = SLAB_BYTES): Bytes {
  const slab = Buffer.allocUnsafeSlow(bytes)
  markAsUntransferable(slab.buffer)
  return slab
}

/** The Buffer of `slab[start .. end]`, sharing its memory. */
export function view(slab: Bytes, start: number, end: number): Bytes {
  return new View(slab.buffer, start, end - start)
}

let shared = newSlab()
let used = 0

/** One record, read into memory that is the caller's own; undefined where there is none. */
export function readOwn(get: WalBinding['get'], index: number): Bytes | undefined {
  const length = get(index, shared, used)
  if (length >= 0) {
    const data = new View(shared.buffer, used, length)
    // Aligned, so that views of wider elements can be laid over it.
    used = (used + length + 7) & ~7
    return data
  }
  return length === -1 ? undefined : readApart(get, index, -length - 2)
}

/** One record, lent to `decode`: its memory is used again as soon as that returns. */
export function readLent<T>(get: WalBinding['get'], index: number, decode: (slab: Bytes, start: number, end: number) => T): T | undefined {
  const slab = shared
  const start = used
  const length = get(index, slab, start)
  if (length >= 0) {
    const end = (start + length + 7) & ~7
    // Taken while decode runs, which may itself read; given back if it did not.
    used = end
    const value = decode(slab, start, start + length)
    if (shared === slab && used === end) used = start
    return value
  }
  if (length === -1) return undefined
  const data = readApart(get, index, -length - 2)
  return data === undefined ? undefined : decode(data, data.byteOffset, data.byteOffset + data.length)
}

function readApart(get: WalBinding['get'], index: number, bytes: number): Bytes | undefined {
  if (bytes <= SHARED_BYTES) {
    shared = newSlab()
    used = 0
    return readOwn(get, index)
  }
  const own = Buffer.allocUnsafeSlow(bytes)
  const length = get(index, own, 0)
  return length < 0 ? undefined : own.length === length ? own : own.subarray(0, length)
}
