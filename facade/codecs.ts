import { createError, invalid } from './errors.ts'

/** Everything handed out. */
export type Bytes = Buffer<ArrayBuffer>
/** A string means its UTF-8 bytes. */
export type BytesLike = Uint8Array | string
/** What may be put in where `T` comes out: bytes take any bytes, or a string. */
export type Input<T> = T | (Bytes extends T ? Uint8Array : never) | ([T] extends [Buffer] ? string : never)

/** Between a value and its bytes. */
export interface Codec<T> {
  /** Stored in the directory: opening with another name is VARVE_INVALID_ARGUMENT. */
  readonly name: string
  encode(value: T): Uint8Array | string
  /** `bytes` is the value's own and may be kept. */
  decode(bytes: Bytes): T
  /** Writes at `at` and returns the end, or -1 where it does not fit. */
  encodeInto?(value: T, target: Buffer, at: number): number
  /** `source` is lent for the call: the result must not alias it. */
  decodeFrom?(source: Buffer, start: number, end: number): T
}

/** A validator by the Standard Schema convention (zod, valibot, arktype, …); an asynchronous one is VARVE_UNSUPPORTED. */
export interface StandardSchemaLike<T> {
  readonly '~standard': { validate(value: unknown): unknown; readonly types?: { readonly output: T } | undefined }
}

const bytes: Codec<Bytes> = {
  name: 'bytes',
  encode: (value) => value,
  decode: (bytes) => bytes,
}

const utf8: Codec<string> = {
  name: 'utf8',
  encode(value) {
    if (typeof value !== 'string') throw invalid(`utf8 takes a string, got ${typeof value}`)
    return value
  },
  decode: (bytes) => bytes.toString('utf8'),
  decodeFrom: (source, start, end) => source.toString('utf8', start, end),
}

/** Zigzag LEB128: any safe integer, small ones of either sign in one byte. */
const varint: Codec<number> = fixed('varint', 8, {
  write(value, target, at) {
    if (typeof value !== 'number' || !Number.isSafeInteger(value)) {
      throw invalid(`varint takes a safe integer, got ${typeof value === 'number' ? value : typeof value}`, typeof value === 'number')
    }
    // The sign and 6 bits first, then 7 by 7, by arithmetic: the bit operators of JavaScript end at 32 bits, its doubles at 53.
    const magnitude = value < 0 ? -value - 1 : value
    let byte = (magnitude % 64) * 2 + (value < 0 ? 1 : 0)
    let rest = Math.floor(magnitude / 64)
    while (rest > 0) {
      target[at++] = byte + 128
      byte = rest % 128
      rest = Math.floor(rest / 128)
    }
    target[at] = byte
    return at + 1
  },
  read(source, start, end) {
    const length = end - start
    if (length < 1 || length > 8) return undefined
    let magnitude = 0
    for (let at = end - 1; at > start; at--) {
      const byte = source[at]!
      // Only the last byte has no mark that others follow, and it is not zero: every number has one form.
      if (byte === 0 || byte < 128 !== (at === end - 1)) return undefined
      magnitude = magnitude * 128 + (byte & 127)
    }
    const first = source[start]!
    if (first < 128 !== (length === 1)) return undefined
    magnitude = magnitude * 64 + ((first & 127) >> 1)
    const value = first % 2 === 1 ? -magnitude - 1 : magnitude
    return Number.isSafeInteger(value) ? value : undefined
  },
})

const int64: Codec<bigint> = fixed('int64', 8, {
  write(value, target, at) {
    if (typeof value !== 'bigint') throw invalid(`int64 takes a bigint, got ${typeof value}`)
    if (BigInt.asIntN(64, value) !== value) throw invalid(`int64 takes -2^63 to 2^63 - 1, got ${value}`, true)
    return target.writeBigInt64LE(value, at)
  },
  read: (source, start, end) => (end - start === 8 ? source.readBigInt64LE(start) : undefined),
})

const float64: Codec<number> = fixed('float64', 8, {
  write(value, target, at) {
    if (typeof value !== 'number') throw invalid(`float64 takes a number, got ${typeof value}`)
    return target.writeDoubleLE(value, at)
  },
  read: (source, start, end) => (end - start === 8 ? source.readDoubleLE(start) : undefined),
})

const boolean: Codec<boolean> = fixed('boolean', 1, {
  write(value, target, at) {
    if (typeof value !== 'boolean') throw invalid(`boolean takes a boolean, got ${typeof value}`)
    target[at] = value ? 1 : 0
    return at + 1
  },
  read: (source, start, end) => (end - start === 1 && source[start]! <= 1 ? source[start] === 1 : undefined),
})

function json<T>(options?: { schema?: StandardSchemaLike<T> }): Codec<T> {
  const validate = validator(options)
  const parse = (text: string): T => JSON.parse(text) as T
  return {
    name: 'json',
    encode(value) {
      const text = JSON.stringify(value) as string | undefined
      if (text === undefined) throw invalid(`json cannot hold ${typeof value}`)
      if (validate !== undefined) {
        // What will be read back is what must fit, not what is at hand: a Date is a string then, NaN is null.
        const issues = validate(parse(text)).issues
        if (issues !== undefined) throw invalid(`the value does not fit its schema: ${issues}`)
      }
      return text
    },
    decode: (bytes) => accept(parse(bytes.toString('utf8'))),
    decodeFrom: (source, start, end) => accept(parse(source.toString('utf8', start, end))),
  }

  function accept(value: T): T {
    if (validate === undefined) return value
    const { issues, value: output } = validate(value)
    if (issues !== undefined) throw createError('VARVE_TYPE_MISMATCH', `what is stored does not fit the schema: ${issues}`)
    return output as T
  }
}

export interface Codecs {
  /** Buffers as they are; the default. */
  readonly bytes: Codec<Bytes>
  readonly utf8: Codec<string>
  /** Safe integers, in 1 to 8 bytes. */
  readonly varint: Codec<number>
  readonly int64: Codec<bigint>
  readonly float64: Codec<number>
  readonly boolean: Codec<boolean>
  /** JSON text. With a schema, what is written is checked as it will be read back, and what is read is the schema's output. */
  json<T>(options?: { schema?: StandardSchemaLike<T> }): Codec<T>
}

/** Ready-made codecs. */
export const codecs: Codecs = Object.freeze({ bytes, utf8, varint, int64, float64, boolean, json })

export function isCodec(value: unknown): value is Codec<unknown> {
  const codec = value as Codec<unknown> | null
  return (
    typeof codec === 'object' && codec !== null && typeof codec.encode === 'function' && typeof codec.decode === 'function' &&
    typeof codec.name === 'string' && codec.name !== '' && Buffer.byteLength(codec.name) <= 200 &&
    (codec.encodeInto === undefined || typeof codec.encodeInto === 'function') &&
    (codec.decodeFrom === undefined || typeof codec.decodeFrom === 'function')
  )
}

/** A codec of small values: at most `size` bytes each. `read` returns undefined for bytes that it did not write. */
function fixed<T>(name: string, size: number, form: {
  write(value: T, target: Buffer, at: number): number
  read(source: Buffer, start: number, end: number): T | undefined
}): Codec<T> {
  const read = (source: Buffer, start: number, end: number): T => {
    const value = form.read(source, start, end)
    if (value === undefined) throw createError('VARVE_TYPE_MISMATCH', `${end - start} bytes are no ${name}`)
    return value
  }
  return {
    name,
    encode(value) {
      const target = Buffer.allocUnsafe(size)
      const end = form.write(value, target, 0)
      return end === size ? target : target.subarray(0, end)
    },
    encodeInto: (value, target, at) => (at + size <= target.length ? form.write(value, target, at) : -1),
    decode: (bytes) => read(bytes, 0, bytes.length),
    decodeFrom: read,
  }
}

interface Verdict {
  value?: unknown
  issues?: string
}

function validator(options: unknown): ((value: unknown) => Verdict) | undefined {
  if (options === undefined) return undefined
  if (typeof options !== 'object' || options === null) throw invalid('the options of json must be an object')
  const schema: unknown = Object.hasOwn(options, 'schema') ? (options as { schema: unknown }).schema : undefined
  const unknown = Object.keys(options).find((key) => key !== 'schema')
  if (unknown !== undefined) throw invalid(`unknown option ${unknown}; did you mean schema?`)
  if (schema === undefined) return undefined
  const standard = (schema as Partial<StandardSchemaLike<unknown>> | null)?.['~standard']
  if (typeof standard?.validate !== 'function') throw invalid('schema must follow the Standard Schema convention: it has no ~standard.validate()')
  return (value) => {
    const result = standard.validate(value) as { value?: unknown; issues?: readonly { message?: unknown; path?: readonly unknown[] }[] } | null
    if (typeof (result as { then?: unknown } | null)?.then === 'function') {
      void (result as unknown as Promise<unknown>).then(undefined, () => {})
      throw createError('VARVE_UNSUPPORTED', 'the schema validates asynchronously; a codec cannot wait')
    }
    if (typeof result !== 'object' || result === null) throw invalid('the schema returned no result')
    if (result.issues === undefined) return { value: result.value }
    return { issues: result.issues.map((issue) => `${path(issue.path)}${String(issue.message)}`).join('; ') }
  }
}

/** 'a.b.0: ', of keys or of `{ key }` objects as the convention has them. */
function path(segments: readonly unknown[] | undefined): string {
  if (segments === undefined || segments.length === 0) return ''
  const keys = segments.map((segment) => String(typeof segment === 'object' && segment !== null ? (segment as { key: unknown }).key : segment))
  return `${keys.join('.')}: `
}
