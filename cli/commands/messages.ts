// Logs of messages opened to be looked at: without a lock, beside a writer, whatever their codecs.
import { isVarveError, Log, type LogStats, type Message, PartitionedLog, type PartitionLog } from 'varve'
import { type Arguments, UsageError } from '../arguments.ts'
import type { Context, Option } from '../command.ts'
import { type Format, formats, messageFormatter, parsed, usualFormat } from '../format.ts'
import { count, counted, size } from '../units.ts'
import { formatOption, rawCodec } from './opening.ts'

/** A log of messages, or a partition of one. */
export type AnyLog = Pick<PartitionLog, 'startOffset' | 'nextOffset' | 'offsetByTime' | 'messagesAsync'>

/** Names of the codecs of keys and values, which are stored as one. */
export function codecsOf({ codec }: Pick<LogStats, 'codec'>): { key: string; value: string } {
  const [key = '', value = ''] = codec.split(/(?<!\\)\//)
  const plain = (name: string) => name.replace(/\\(.)/g, '$1')
  return { key: plain(key), value: plain(value) }
}

const raw = ({ key, value }: { key: string; value: string }) => ({ key: rawCodec(key), value: rawCodec(value) })

/** Opens the log in `dir` for reading alone. `skipDamage`: goes on behind damage, and knows what is missing. */
export async function openMessages(dir: string, signal: AbortSignal, skipDamage = false): Promise<Log> {
  const codecs = codecsOf(await Log.stat(dir))
  return Log.open(dir, { readOnly: true, signal, ...raw(codecs), onDamage: skipDamage ? 'skip' : 'fail' })
}

/** The same of a log of partitions. */
export async function openPartitions(dir: string, signal: AbortSignal, skipDamage = false): Promise<PartitionedLog> {
  const codecs = codecsOfAll(await PartitionedLog.stat(dir))
  return PartitionedLog.open(dir, { readOnly: true, signal, ...raw(codecs), onDamage: skipDamage ? 'skip' : 'fail' })
}

/** Those of the partitions, which are the same in all that have messages. */
export function codecsOfAll(stats: readonly LogStats[]): { key: string; value: string } {
  return codecsOf(stats.find(({ codec }) => codec !== '') ?? { codec: '' })
}

export const keyOption: Option = { value: 'key', about: 'only messages of this key, given as --key-format shows it' }
export const sinceOption: Option = {
  value: 'time',
  about: 'begins with the first message of this time or later: as in 2026-01-31T12:00:00Z, or milliseconds since 1970. Found at once where times are indexed; else by reading from the start',
}
export const partitionOption: Option = { value: 'partition', about: 'only this partition; offsets need it. Default: all' }
export const messageFormatOptions: Readonly<Record<'format' | 'key-format', Option>> = {
  format: { ...formatOption, about: formatOption.about.replace('records', 'values') },
  'key-format': { value: 'format', about: 'how keys are shown: the same choice; default: by their codec' },
}

/** Which messages are meant, and how they are shown. Read, and found fault with, before anything is opened. */
export class Wanted {
  readonly since: number | undefined
  readonly limit: number
  readonly #key: string | undefined
  readonly #formats: { key: Format | undefined; value: Format | undefined }
  readonly #verb: string

  constructor(args: Arguments, verb: string) {
    this.since = args.time('since')
    this.limit = args.integer('limit') ?? Infinity
    this.#key = args.text('key')
    this.#formats = { key: args.choice('key-format', formats), value: args.choice('format', formats) }
    this.#verb = verb
  }

  /** What turns a message into its line. */
  lineOf(codecs: { key: string; value: string }, { json }: Context): (message: Message, partition?: number) => string {
    const { key, value } = this.#formats
    return messageFormatter({ key: key ?? usualFormat(codecs.key), value: value ?? usualFormat(codecs.value), codecs }, json)
  }

  /** The key that is meant, as it is stored; undefined: all. */
  keyIn({ key: codec }: { key: string }): Uint8Array | undefined {
    if (this.#key === undefined) return undefined
    const format = this.#formats.key ?? usualFormat(codec)
    const bytes = parsed(this.#key, format, codec)
    if (bytes !== undefined) return bytes
    throw new UsageError(`--key is given as --key-format shows keys, which is ${format} here, of the codec ${codec}; got ${JSON.stringify(this.#key)}`, this.#verb)
  }
}

/** Offset of the first message whose time is `time` or later; undefined: there is none. */
export async function offsetSince(log: AnyLog, time: number, signal: AbortSignal): Promise<number | undefined> {
  try {
    return log.offsetByTime(time)?.offset
  } catch (error) {
    if (!isVarveError(error, 'VARVE_NO_INDEX')) throw error
  }
  for await (const message of log.messagesAsync({ signal })) if (message.time >= time) return message.offset
  return undefined
}

/** How many messages, and their offsets. */
export function extentOf({ messages, startOffset, nextOffset }: LogStats): string {
  return startOffset === nextOffset ? `none; the next one gets offset ${nextOffset}` : `${count(messages)}, ${offsets(startOffset, nextOffset)}`
}

/** `offsets 3 to 9`, of those from `from` up to `to`. */
export function offsets(from: number, to: number): string {
  return to - from === 1 ? `offset ${from}` : `offsets ${from} to ${to - 1}`
}

/** What is there on disk. `ratio`: stored over raw bytes. */
export function sizeOf(bytes: number, segments: number, ratio: number): string {
  return `${size(bytes)} in ${counted(segments, 'segment')}${ratio < 1 ? `, ${Math.round(100 * ratio)} % of what it would be uncompressed` : ''}`
}

/** What is missing behind damage, a line each. */
export function lostLines({ gaps }: Pick<LogStats['recovery'], 'gaps'>, partition?: number): string[] {
  const of = partition === undefined ? '' : `of partition ${partition}: `
  return gaps.map(({ path, position, from, to }) => {
    return `missing: ${of}${from === undefined || to === undefined ? 'messages' : offsets(from, to)}, damaged in ${path} at byte ${position}`
  })
}
