// Records on their way to a terminal or another program.
import { isUtf8 } from 'node:buffer'
import { type Codec, codecs } from 'varve'

export const formats = ['text', 'json', 'hex', 'base64', 'length'] as const
export type Format = (typeof formats)[number]

const values: Readonly<Record<string, Codec<unknown>>> = { varint: codecs.varint, int64: codecs.int64, float64: codecs.float64, boolean: codecs.boolean }

/** A record that is not what the format needs. */
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

/**
 * The line of a record. With `asJson` an object whose second key names what it holds; text that is no UTF-8 is base64 there, so that nothing is lost.
 * Else the index, a tab, and the record, in which no byte commands a terminal.
 */
export function formatter(format: Format, codec: string, asJson: boolean): (index: number, data: Buffer) => string {
  const value = values[codec]
  const json = (index: number, data: Buffer): string => (value === undefined ? jsonText(index, data) : valueText(index, data, value))
  if (!asJson) {
    switch (format) {
      case 'text': return (index, data) => `${index}\t${printable(data)}`
      case 'json': return (index, data) => `${index}\t${json(index, data)}`
      case 'length': return (index, data) => `${index}\t${data.length}`
      default: return (index, data) => `${index}\t${data.toString(format)}`
    }
  }
  switch (format) {
    case 'text': return (index, data) => (isUtf8(data)
      ? `{"index":${index},"text":${quoted(data.toString())}}`
      : `{"index":${index},"base64":"${data.toString('base64')}"}`)
    case 'json': return (index, data) => `{"index":${index},"json":${json(index, data)}}`
    case 'length': return (index, data) => `{"index":${index},"length":${data.length}}`
    default: return (index, data) => `{"index":${index},"${format}":"${data.toString(format)}"}`
  }
}

/** Bytes as one line of text: what is no UTF-8, controls and what turns the direction of writing are escaped. For people: it cannot be turned back. */
export function printable(data: Buffer): string {
  return isUtf8(data) ? escaped(data.toString()) : pieces(data).join('')
}

/** A JSON document as it was written, on one line, without characters that a terminal would obey. */
function jsonText(index: number, data: Buffer): string {
  const text = data.toString()
  try {
    JSON.parse(text)
  } catch {
    throw new FormatError(index, `record ${index} is not JSON`)
  }
  // Not written anew: a number of many digits keeps them. Line breaks and tabs stand between its parts only.
  return escapedJson(text.replace(/[\n\r\t]\s*/g, ' ').trim())
}

function valueText(index: number, data: Buffer, codec: Codec<unknown>): string {
  let value: unknown
  try {
    value = codec.decode(data as Buffer<ArrayBuffer>)
  } catch {
    throw new FormatError(index, `record ${index} is no ${codec.name}: it has ${data.length} bytes`)
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
