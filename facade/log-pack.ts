// Messages cross the border as one buffer and a table of where their parts end: one native call, however many they are.
import type { BytesLike, Codec } from './codecs.ts'
import { invalid } from './errors.ts'
import { readTime } from './log-options.ts'
import type { MessageCodecs } from './message.ts'
import { HAS_KEY, HAS_VALUE } from './native.ts'
import { isPlain, show } from './options.ts'
import { checkAttached, put, putEncoded, reserve, type Scratch, tooLarge } from './pack.ts'

/** Most messages of a batch. */
const BATCH_MESSAGES = 1 << 21
// A scratch that one large batch has stretched is not kept.
const KEPT_BYTES = 1 << 20
const KEPT_ROWS = 1 << 14

export interface PackedMessages extends Scratch {
  /** Their number, and four words for each: see `LogBinding.appendBatch`. */
  rows: Uint32Array<ArrayBuffer>
  times: Float64Array<ArrayBuffer>
  /** Bytes of all of them. */
  bytes: number
}

// One a thread. Taken while a batch is packed, so that a codec may itself append one.
let spare: PackedMessages | undefined

/** Takes the scratch, for so many messages. It goes back by `releaseMessages`. */
function begin(count: number): PackedMessages {
  if (count > BATCH_MESSAGES) throw tooLarge()
  const packed = spare ?? { data: Buffer.allocUnsafeSlow(65_536), rows: new Uint32Array(1_025), times: new Float64Array(256), bytes: 0 }
  spare = undefined
  if (packed.times.length < count) {
    packed.rows = new Uint32Array(1 + 4 * count)
    packed.times = new Float64Array(count)
  }
  packed.rows[0] = count
  return packed
}

/** Encodes messages. Nothing is written if a codec throws. */
export function packMessages(messages: unknown, codecs: MessageCodecs): PackedMessages {
  if (!Array.isArray(messages)) throw invalid(`messages must be an array, got ${show(messages)}`)
  const count = messages.length
  const packed = begin(count)
  let at = 0
  for (let i = 0; i < count; i++) {
    const message = messages[i] as { key?: unknown; value?: unknown; time?: unknown; headers?: unknown } | null
    if (typeof message !== 'object' || message === null) throw invalid(`a message must be an object, got ${show(message)}`)
    const { key, value, time, headers } = message
    packed.times[i] = time === undefined ? NaN : readTime('time', time)
    at = pack(packed, i, at, value, key, headers, codecs)
  }
  packed.bytes = at
  return packed
}

/** Encodes one message. */
export function packMessage(value: unknown, key: unknown, time: number, headers: unknown, codecs: MessageCodecs): PackedMessages {
  const packed = begin(1)
  packed.times[0] = time
  packed.bytes = pack(packed, 0, 0, value, key, headers, codecs)
  return packed
}

/** Gives the scratch back, when what it holds has been written. */
export function releaseMessages(packed: PackedMessages): void {
  if (packed.data.length <= KEPT_BYTES && packed.times.length <= KEPT_ROWS) spare = packed
}

function pack(packed: PackedMessages, i: number, from: number, value: unknown, key: unknown, headers: unknown, codecs: MessageCodecs): number {
  const { rows } = packed
  const row = 1 + 4 * i
  let at = from
  let has = 0
  if (key !== undefined && key !== null) {
    has = HAS_KEY
    at = putEncoded(packed, codecs.key, key, at, 'a key')
  }
  rows[row] = at
  if (headers !== undefined) at = putHeaders(packed, headers, at)
  rows[row + 1] = at
  if (value !== null) {
    if (value === undefined) throw invalid('a message must have a value, or null in its place')
    has |= HAS_VALUE
    const start = at
    at = putEncoded(packed, codecs.value, value, at, 'a value')
    refuseNull(packed, start, at, codecs)
  }
  rows[row + 2] = at
  rows[row + 3] = has
  return at
}

function refuseNull({ data }: Scratch, start: number, end: number, { value: codec }: MessageCodecs): void {
  if (codec !== undefined && end - start === 4 && data.readUInt32LE(start) === NULL) refuseReadAsNull(codec)
}

/** The text "null" is what JSON makes of what it cannot hold: it would be read as no value. */
function refuseReadAsNull(codec: Codec<unknown>): void {
  const read = codec.decode(Buffer.from('null'))
  if (read === null || read === undefined) throw invalid(`the codec ${codec.name} makes ${read} of the value; a message without a value is given as null`)
}

/** The bytes of a value that crosses the border by itself. */
export function encodeValue<V>(value: unknown, codec: Codec<V> | undefined): BytesLike | null {
  if (value === null) return null
  const bytes = encodeKey(value, codec, 'a value')
  if (codec !== undefined && isNull(bytes)) refuseReadAsNull(codec)
  return bytes
}

function isNull(bytes: BytesLike): boolean {
  if (typeof bytes === 'string') return bytes === 'null'
  return ArrayBuffer.isView(bytes) && bytes.length === 4 && Buffer.from(bytes).readUInt32LE() === NULL
}

/** The bytes of a key that crosses the border by itself. */
export function encodeKey<K>(key: unknown, codec: Codec<K> | undefined, what = 'a key'): BytesLike {
  const bytes = codec === undefined ? (key as BytesLike) : codec.encode(key as K)
  // Native code takes them for none.
  if (bytes === null || bytes === undefined) throw invalid(`${what} must be a Uint8Array or a string, got ${bytes}`)
  if (ArrayBuffer.isView(bytes) && bytes.length === 0) checkAttached(bytes)
  return bytes
}

const NULL = Buffer.from('null').readUInt32LE()

function putHeaders(packed: Scratch, headers: unknown, from: number): number {
  if (!isPlain(headers)) throw invalid(`headers must be a plain object, got ${show(headers)}`)
  let at = from
  for (const [name, value] of Object.entries(headers)) {
    at = putPart(packed, name, at, 'the name of a header')
    at = putPart(packed, value, at, `the header ${show(name)}`)
  }
  return at
}

/** Bytes, with their length before them. */
function putPart(packed: Scratch, part: unknown, at: number, what: string): number {
  // Room for the length of what is short is left; more is made where that is not enough.
  reserve(packed, at, at + 1)
  const end = put(packed, part, at + 1, what)
  const length = end - at - 1
  if (length < 128) {
    packed.data[at] = length
    return end
  }
  let bytes = 1
  for (let rest = length; rest >= 128; rest = Math.floor(rest / 128)) bytes++
  reserve(packed, end, end + bytes - 1)
  packed.data.copyWithin(at + bytes, at + 1, end)
  let place = at
  for (let rest = length; ; rest = Math.floor(rest / 128)) {
    packed.data[place++] = rest < 128 ? rest : (rest % 128) + 128
    if (rest < 128) return end + bytes - 1
  }
}
