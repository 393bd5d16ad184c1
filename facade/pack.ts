// A batch crosses the border as one buffer and the ends of its records: one native call, however many they are.
import type { BytesLike, Codec } from './codecs.ts'
import { createError, invalid } from './errors.ts'
import { show } from './options.ts'

const BATCH_BYTES = 32 << 20
// Each record takes a header of 16 bytes on disk.
const BATCH_RECORDS = BATCH_BYTES / 16
// A scratch that one large batch has stretched is not kept.
const KEPT_BYTES = 1 << 20

/** Memory that grows as it is written to. */
export interface Scratch {
  data: Buffer<ArrayBuffer>
}

export interface Packed extends Scratch {
  ends: Uint32Array<ArrayBuffer>
  count: number
  /** Bytes of all the records. */
  bytes: number
}

// Of the prototype, so that a property put on an array cannot lie.
const TypedArray = Object.getPrototypeOf(Uint8Array.prototype) as object
const lengthOf = getter<number>('length')
const tagOf = getter<string | undefined>(Symbol.toStringTag)

// One a thread. Taken while a batch is packed, so that a codec may itself append a batch.
let spare: Packed | undefined

/** Encodes `records` into a scratch buffer, which goes back by `release`. Nothing is written if a codec throws. */
export function pack(records: unknown, codec: Codec<unknown> | undefined): Packed {
  if (!Array.isArray(records)) throw invalid(`records must be an array, got ${show(records)}`)
  const count = records.length
  if (count > BATCH_RECORDS) throw tooLarge()
  const packed = spare ?? { data: Buffer.allocUnsafeSlow(65_536), ends: new Uint32Array(1_024), count: 0, bytes: 0 }
  spare = undefined
  if (packed.ends.length < count) packed.ends = new Uint32Array(count)
  const { ends } = packed
  let at = 0
  if (codec === undefined) {
    for (let i = 0; i < count; i++) ends[i] = at = put(packed, records[i], at)
  } else if (codec.encodeInto === undefined) {
    for (let i = 0; i < count; i++) ends[i] = at = put(packed, codec.encode(records[i]), at)
  } else {
    for (let i = 0; i < count; i++) ends[i] = at = encodeInto(packed, codec as Required<Codec<unknown>>, records[i], at)
  }
  packed.count = count
  packed.bytes = at
  return packed
}

/** Gives the scratch back, when what it holds has been written. */
export function release(packed: Packed): void {
  if (packed.data.length <= KEPT_BYTES && packed.ends.length <= KEPT_BYTES) spare = packed
}

/** Bytes that `data` takes, as UTF-8 if it is a string. */
export function byteLength(data: BytesLike): number {
  return typeof data === 'string' ? Buffer.byteLength(data) : lengthOf(data)
}

/** Writes bytes, or the UTF-8 of a string, and returns the end. */
export function put(packed: Scratch, data: unknown, at: number, what = 'a record'): number {
  if (typeof data === 'string') {
    if (data.length <= SHORT && at + data.length <= packed.data.length) {
      const end = putAscii(packed.data, data, at)
      if (end >= 0) return end
    }
    // A UTF-16 unit takes at most 3 bytes. Only where that might not fit is the string measured.
    if (at + data.length * 3 > packed.data.length) reserve(packed, at, at + Buffer.byteLength(data))
    return at + packed.data.write(data, at)
  }
  if (tagOf(data as object) !== 'Uint8Array') throw invalid(`${what} must be a Uint8Array or a string, got ${show(data)}`)
  const length = lengthOf(data as Uint8Array)
  if (length === 0) checkAttached(data)
  reserve(packed, at, at + length)
  packed.data.set(data as Uint8Array, at)
  return at + length
}

/** Characters of a string that is faster written one by one than by a native call. */
const SHORT = 24

/** Writes a string of ASCII alone; -1: it is none. */
function putAscii(target: Buffer, text: string, at: number): number {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code > 127) return -1
    target[at + i] = code
  }
  return at + text.length
}

/** Writes what `codec` makes of `value`, and returns the end. */
export function putEncoded(packed: Scratch, codec: Codec<unknown> | undefined, value: unknown, at: number, what?: string): number {
  if (codec === undefined) return put(packed, value, at, what)
  return codec.encodeInto === undefined ? put(packed, codec.encode(value), at, what) : encodeInto(packed, codec as Required<Codec<unknown>>, value, at)
}

function encodeInto(packed: Scratch, codec: Required<Codec<unknown>>, value: unknown, at: number): number {
  for (;;) {
    const end = codec.encodeInto(value, packed.data, at)
    if (Number.isInteger(end) && end >= at && end <= packed.data.length) return end
    if (end !== -1) throw invalid(`encodeInto() of codec ${codec.name} must return the end of what it wrote, or -1, got ${show(end)}`)
    reserve(packed, at, packed.data.length + 1)
  }
}

/** Makes room for `bytes` in all; the first `used` are kept. The scratch itself never grows over the limit. */
export function reserve(packed: Scratch, used: number, bytes: number): void {
  if (bytes <= packed.data.length) return
  if (bytes > BATCH_BYTES) throw tooLarge()
  const data = Buffer.allocUnsafeSlow(Math.min(Math.max(bytes, 2 * packed.data.length), BATCH_BYTES))
  data.set(packed.data.subarray(0, used))
  packed.data = data
}

export function tooLarge(): Error {
  return createError('VARVE_TOO_LARGE', `a batch takes at most ${BATCH_BYTES} bytes`, { limit: BATCH_BYTES })
}

/** Refuses an array that only looks empty, since its buffer was detached, or has shrunk below it: that is no empty record. */
export function checkAttached(array: unknown): void {
  if (typeof array !== 'object' || array === null || tagOf(array) === undefined) return
  try {
    Uint8Array.prototype.keys.call(array as Uint8Array)
  } catch {
    throw invalid('the buffer of an array is detached, or has become too short for it')
  }
}

function getter<T>(name: PropertyKey): (array: object) => T {
  return Function.prototype.call.bind(Object.getOwnPropertyDescriptor(TypedArray, name)!.get!) as (array: object) => T
}
