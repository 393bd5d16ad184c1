// Messages as they are handed out: cheap to make, and decoded only where they are looked at.
import { inspect } from 'node:util'
import type { Bytes, BytesLike, Codec, Input } from './codecs.ts'
import { createError } from './errors.ts'
import { HAS_KEY, HAS_VALUE, ROW_FLAGS } from './native.ts'
import { take } from './reader.ts'
import { view } from './slab.ts'

/** `null` is "no key", and "no value": a message that deletes its key. An empty string or buffer is neither. */
export interface MessageInput<K = Bytes, V = Bytes> {
  key?: Input<K> | null
  value: Input<V> | null
  /** Milliseconds since the Unix epoch, kept in microseconds. Default: now. */
  time?: number | Date
  headers?: Record<string, BytesLike>
}

/**
 * A message. `key`, `value` and `headers` are decoded when they are first looked at, so that what is not needed costs nothing: they are accessors of its class, and
 * a codec that throws does so there. `toJSON()` gives all of it as a plain object.
 */
export interface Message<K = Bytes, V = Bytes> {
  readonly offset: number
  /** Milliseconds since the Unix epoch; a fraction holds the microseconds. */
  readonly time: number
  readonly key: K | null
  readonly value: V | null
  readonly headers: Readonly<Record<string, Bytes>>
}

/** What one message has beside its key and its value. */
export interface MessageFacts {
  /** Milliseconds since the Unix epoch, kept in microseconds. Default: now. */
  time?: number | Date
  headers?: Record<string, BytesLike>
}

/** Undefined for bytes, which go in and come out as they are. */
export interface MessageCodecs<K = unknown, V = unknown> {
  readonly key: Codec<K> | undefined
  readonly value: Codec<V> | undefined
}

/** Memory that nothing else will use, and what its bytes mean. */
export interface Memory<K, V> {
  readonly slab: Bytes
  readonly codecs: MessageCodecs<K, V>
}

const NONE: Readonly<Record<string, Bytes>> = Object.freeze({})

export class StoredMessage<K, V> implements Message<K, V> {
  static {
    Object.defineProperty(this.prototype, inspect.custom, { value: this.prototype.toJSON, writable: true, configurable: true })
  }

  readonly offset: number
  readonly time: number
  /** Where it comes from, in a stream of several partitions. */
  declare partition?: number
  readonly #memory: Memory<K, V>
  /** -1: there is none. */
  readonly #keyAt: number
  readonly #headersAt: number
  /** -1: there is none. */
  readonly #valueAt: number
  readonly #end: number
  #key: K | undefined = undefined
  #value: V | undefined = undefined
  #headers: Readonly<Record<string, Bytes>> | undefined = undefined

  /** The message of the row at `rows[at]`, whose places are `base` less in `memory`. */
  constructor(memory: Memory<K, V>, rows: Uint32Array, at: number, base: number) {
    this.offset = offsetOf(rows, at)
    this.time = timeOf(rows, at)
    const flags = rows[at + ROW_FLAGS]!
    this.#memory = memory
    this.#keyAt = (flags & HAS_KEY) === 0 ? -1 : rows[at + 4]! - base
    this.#headersAt = rows[at + 5]! - base
    this.#valueAt = (flags & HAS_VALUE) === 0 ? -1 : rows[at + 6]! - base
    this.#end = rows[at + 7]! - base
  }

  get key(): K | null {
    if (this.#keyAt < 0) return null
    return (this.#key ??= decode(this.#memory.slab, this.#keyAt, this.#headersAt, this.#memory.codecs.key, 'key'))
  }

  get value(): V | null {
    if (this.#valueAt < 0) return null
    return (this.#value ??= decode(this.#memory.slab, this.#valueAt, this.#end, this.#memory.codecs.value, 'value'))
  }

  get headers(): Readonly<Record<string, Bytes>> {
    return (this.#headers ??= readHeaders(this.#memory.slab, this.#headersAt, this.#valueAt < 0 ? this.#end : this.#valueAt))
  }

  /** All of it, as a plain object. */
  toJSON(): Message<K, V> {
    const { partition, offset, time, key, value, headers } = this
    const all = { offset, time, key, value, headers }
    return partition === undefined ? all : Object.assign({ partition }, all)
  }
}

export function offsetOf(rows: Uint32Array, at: number): number {
  return rows[at + 1]! * 0x1_0000_0000 + rows[at]!
}

/** In milliseconds. */
export function timeOf(rows: Uint32Array, at: number): number {
  return ((rows[at + 3]! | 0) * 0x1_0000_0000 + rows[at + 2]!) / 1000
}

/** What a codec makes of `slab[start .. end]`, whose memory is its own. */
export function decode<T>(slab: Bytes, start: number, end: number, codec: Codec<T> | undefined, what: 'key' | 'value'): T {
  return codec === undefined ? (view(slab, start, end) as T) : checkDecoded(take(slab, start, end, codec), codec, what)
}

/** What a codec made, which may not be what stands for nothing. */
export function checkDecoded<T>(decoded: T, codec: Codec<T>, what: 'key' | 'value'): T {
  if (decoded === null || decoded === undefined) {
    throw createError('VARVE_TYPE_MISMATCH', `the ${what} codec ${codec.name} yields ${decoded}, which stands for no ${what}; a codec of messages may not`)
  }
  return decoded
}

/** For each: length of the name, name, length of the value, value. */
function readHeaders(slab: Bytes, start: number, end: number): Readonly<Record<string, Bytes>> {
  if (start === end) return NONE
  const headers: Record<string, Bytes> = {}
  let at = start
  const part = (): number => {
    let length = 0
    let scale = 1
    for (; ; scale *= 128) {
      const byte = slab[at++]!
      length += (byte & 127) * scale
      if (byte < 128) break
    }
    at += length
    // Checked with the frame; but nothing is read beyond the message.
    if (!(at <= end)) throw createError('VARVE_CORRUPT', 'the headers of a message are cut off')
    return at - length
  }
  while (at < end) {
    const from = part()
    const name = slab.toString('utf8', from, at)
    const value = part()
    const bytes = view(slab, value, at)
    if (name === '__proto__') Object.defineProperty(headers, name, { value: bytes, enumerable: true, writable: true, configurable: true })
    else headers[name] = bytes
  }
  return headers
}
