// A log opened to be looked at: without a lock, beside a writer, whatever its codec.
import { type Bytes, type Codec, Wal, type WalStats } from 'varve'
import { type Format, formats, formatter, usualFormat } from '../format.ts'
import type { Arguments } from '../arguments.ts'
import type { Context, Option } from '../command.ts'

/** The codec of that name that leaves bytes as they are: whatever a log holds, it opens. */
export function rawCodec(name: string): Codec<Bytes> {
  // A directory in which no segment is whole has no name: the open says what is wrong.
  return { name: name === '' ? 'bytes' : name, encode: (value) => value, decode: (bytes) => bytes }
}

/** Opens `dir` for reading alone. `skipDamage`: goes on behind damage, and knows what is missing. */
export async function openReadOnly(dir: string, signal: AbortSignal, skipDamage = false): Promise<Wal> {
  const { codec } = await Wal.stat(dir)
  return Wal.open<Bytes>(dir, { readOnly: true, signal, codec: rawCodec(codec), onDamage: skipDamage ? 'skip' : 'fail' })
}

export const formatOption: Option = {
  value: 'format',
  about: `how records are shown: ${formats.join(', ')}. Default: json where the codec is json, a number or boolean, else text. `
    + 'In text what a terminal would obey is escaped; hex and base64 show every byte',
}

/** What turns a record into its line. */
export function lineOf(args: Arguments, codec: string, { json }: Context): (index: number, data: Buffer) => string {
  const format: Format = args.choice('format', formats) ?? usualFormat(codec)
  return formatter(format, codec, json)
}

/** Throws if `--format` names none: before anything is opened. */
export function checkFormat(args: Arguments): void {
  args.choice('format', formats)
}

/** What is missing behind damage, a line each. */
export function gapLines({ gaps }: WalStats['recovery']): string[] {
  return gaps.map(({ path, position, from, to }) => {
    return `missing: ${from === undefined || to === undefined ? 'records' : indexes(from, to)}, damaged in ${path} at byte ${position}`
  })
}

/** `indexes 3 to 9`, of those from `from` up to `to`. */
export function indexes(from: number, to: number): string {
  return to - from === 1 ? `index ${from}` : `indexes ${from} to ${to - 1}`
}
