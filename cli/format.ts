// Records on their way to a terminal or another program.
import { isUtf8 } from 'node:buffer'
import { type Codec, codecs, type Message } from 'varve'

export const formats = ['text', 'json', 'hex', 'base64', 'length'] as const
export type Format = (typeof formats)[number]

const values: Readonly<Record<string, Codec<unknown>>> = { varint: codecs.varint, int64: codecs.int64, float64: codecs.float64, boolean: codecs.boolean }

/** A record, or a part of a message, that is not what the format needs. */
export class FormatError extends Error {
  readonly index: number

  constructor(index: number, message: string) {
    super(message)
    this.name = 'FormatError'
    this.index = index
  }
}

/** How the records of a log with the codec `name` are shown where nobody says. */
export function usualFormat(name: string): Format {
  return name === 'json' || name in values ? 'json' : 'text'
}

/** Bytes as they are shown: those of the record or message at an index. */
type Shown = (index: number, data: Buffer) => string

/**
 * The line of a record. With `asJson` an object whose second key names what it holds; text that is no UTF-8 is base64 there, so that nothing is lost.
 * Else the index, a tab, and the record, in which no byte commands a terminal.
 */
export function formatter(format: Format, codec: string, asJson: boolean): Shown {
  if (asJson) {
    const part = jsonPart(format, codec, 'record')
    return (index, data) => `{"index":${index},${part(index, data)}}`
  }
  const part = plainPart(format, codec, 'record')
  return (index, data) => `${index}\t${part(index, data)}`
}

/** How the parts of messages are shown. */
export interface MessageFormat {
  key: Format
  value: Format
  /** Names of their codecs. */
  codecs: { key: string; value: string }
}

/**
 * The line of a message. With `asJson` an object, in which key, value and headers are objects with one key that names what they hold; null is none.
 * Else, with tabs between: the partition where there is one, the offset, the time, the key, the value, and headers where there are some.
 */
export function messageFormatter({ key, value, codecs }: MessageFormat, asJson: boolean): (message: Message, partition?: number) => string {
  const [part, none] = asJson ? [jsonPart, 'null'] : [plainPart, '-']
  const keyOf = part(key, codecs.key, 'the key of message')
  const valueOf = part(value, codecs.value, 'the value of message')
  const header = part('text', '', 'a header of message')
  const shown = (form: Shown, offset: number, data: Buffer | null) => (data === null ? none : asJson ? `{${form(offset, data)}}` : form(offset, data))
  if (!asJson) {
    return ({ offset, time, key, value, headers }, partition) => {
      const all = Object.entries(headers).map(([name, data]) => `${printable(Buffer.from(name))}=${header(offset, data)}`)
      const parts = [String(offset), new Date(time).toISOString(), shown(keyOf, offset, key), shown(valueOf, offset, value), ...(all.length === 0 ? [] : [all.join(' ')])]
      return (partition === undefined ? parts : [partition, ...parts]).join('\t')
    }
  }
  return ({ offset, time, key, value, headers }, partition) => {
    const all = Object.entries(headers).map(([name, data]) => `${quoted(name)}:${shown(header, offset, data)}`)
    return `{${partition === undefined ? '' : `"partition":${partition},`}"offset":${offset},"time":${time},"key":${shown(keyOf, offset, key)}`
      + `,"value":${shown(valueOf, offset, value)},"headers":{${all.join(',')}}}`
  }
}

/** Bytes without a byte that commands a terminal. `noun`: what they are, for errors. */
function plainPart(format: Format, codec: string, noun: string): Shown {
  switch (format) {
    case 'text': return (_, data) => printable(data)
    case 'json': return jsonOf(codec, noun)
    case 'length': return (_, data) => String(data.length)
    default: return (_, data) => data.toString(format)
  }
}

/** The one member of a JSON object that holds the bytes: its key names what it has. */
function jsonPart(format: Format, codec: string, noun: string): Shown {
  const json = jsonOf(codec, noun)
  switch (format) {
    case 'text': return (_, data) => (isUtf8(data) ? `"text":${quoted(data.toString())}` : `"base64":"${data.toString('base64')}"`)
    case 'json': return (index, data) => `"json":${json(index, data)}`
    case 'length': return (_, data) => `"length":${data.length}`
    default: return (_, data) => `"${format}":"${data.toString(format)}"`
  }
}

function jsonOf(codec: string, noun: string): Shown {
  const value = values[codec]
  return (index, data) => (value === undefined ? jsonText(index, data, noun) : valueText(index, data, value, noun))
}

/** The bytes of a value that is given on the command line in the form that `format` shows; undefined where it is none. */
export function parsed(text: string, format: Format, codec: string): Uint8Array | undefined {
  switch (format) {
    case 'text': return Buffer.from(text)
    case 'json': return encoded(text, codec)
    case 'length': return undefined
    default: {
      const bytes = Buffer.from(text, format)
      return bytes.toString(format) === (format === 'hex' ? text.toLowerCase() : text) ? bytes : undefined
    }
  }
}

function encoded(text: string, codec: string): Uint8Array | undefined {
  const value = values[codec]
  try {
    if (value === undefined) return Buffer.from(JSON.stringify(JSON.parse(text)))
    const bytes = value.encode(codec === 'int64' ? BigInt(text) : (JSON.parse(text) as unknown))
    return typeof bytes === 'string' ? Buffer.from(bytes) : bytes
  } catch {
    return undefined
  }
}

/** Bytes as one line of text: what is no UTF-8, controls and what turns the direction of writing are escaped. For people: it cannot be turned back. */
export function printable(data: Buffer): string {
  return isUtf8(data) ? escaped(data.toString()) : pieces(data).join('')
}

/** A JSON document as it was written, on one line, without characters that a terminal would obey. */
function jsonText(index: number, data: Buffer, noun: string): string {
  const text = data.toString()
  try {
    JSON.parse(text)
  } catch {
    throw new FormatError(index, `${noun} ${index} is not JSON`)
  }
  // Not written anew: a number of many digits keeps them. Line breaks and tabs stand between its parts only.
  return escapedJson(text.replace(/[\n\r\t]\s*/g, ' ').trim())
}

function valueText(index: number, data: Buffer, codec: Codec<unknown>, noun: string): string {
  let value: unknown
  try {
    value = codec.decode(data as Buffer<ArrayBuffer>)
  } catch {
    throw new FormatError(index, `${noun} ${index} is no ${codec.name}: it has ${data.length} bytes`)
  }
  // JSON has neither 64-bit integers that all readers keep, nor numbers that are none.
  return typeof value === 'bigint' || (typeof value === 'number' && !Number.isFinite(value)) ? `"${value}"` : JSON.stringify(value)
}

/** Controls (C0, DEL, C1), line and paragraph separators, and marks that turn the direction of writing. */
// oxlint-disable-next-line no-control-regex
const COMMANDING = /[\0-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g
const SHORT: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }
const unicode = (char: string): string => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`
const byte = (value: number): string => `\\x${value.toString(16).padStart(2, '0')}`

const escaped = (text: string): string =>
  text.replace(COMMANDING, (char) => SHORT[char] ?? (char.charCodeAt(0) < 0x80 ? byte(char.charCodeAt(0)) : unicode(char)))
const escapedJson = (text: string): string => text.replace(COMMANDING, unicode)
const quoted = (text: string): string => escapedJson(JSON.stringify(text))

/** Bytes of which some are no UTF-8. */
function pieces(data: Buffer): string[] {
  const out: string[] = []
  for (let at = 0; at < data.length;) {
    const lead = data[at]!
    const length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4
    const char = data.subarray(at, at + length)
    if (char.length === length && isUtf8(char)) {
      out.push(escaped(char.toString()))
      at += length
    } else {
      out.push(byte(lead))
      at++
    }
  }
  return out
}
