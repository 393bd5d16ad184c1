// Options of a message log, and of its calls.
import { type Bytes, type Codec, codecs, isCodec, type Input } from './codecs.ts'
import { invalid } from './errors.ts'
import type { MessageCodecs } from './message.ts'
import type { NativeLogOptions } from './native.ts'
import {
  callback, flag, integer, type Levels, type OpenOptions, Read, readDurability, readOwn, readRetention, readSignal, show,
} from './options.ts'
import type { SegmentInfo } from './reports.ts'
import type { Retaining } from './retention.ts'

/** 'snappy' and 'lz4' are block codecs. What does not get smaller is kept as it is. */
export type Compression =
  | 'none' | 'snappy' | 'lz4' | 'gzip' | 'zstd'
  | { codec: 'zstd'; level?: number; dictionary?: 'auto' | 'off' }
  | { codec: 'gzip'; level?: number }

export interface LogOptions extends OpenOptions {
  /** Kept in the log; changed with `Log.migrate`, never by opening. Default both false. */
  indexes?: { key?: boolean; time?: boolean }
  /** Bytes at which a new segment is begun. Default 16 MiB; 64 KiB to 1 GiB. */
  segmentSize?: number
  /** Of what this handle appends. Default 'none'. */
  compression?: Compression
  retention?: Retention
  /** Readers stop at the high-water mark, which `advanceHighWaterMark()` moves. Default false: it follows each append. */
  commitGate?: boolean
}

export interface PartitionedLogOptions extends LogOptions {
  /** Needed to create, 1 to 4,096; may be left out, or larger (never smaller), afterwards. */
  partitions?: number
  /** Default: Kafka's (murmur2 of the key; without a key, the partition in turn). */
  partitioner?: (key: Bytes | null, partitions: number) => number
}

/** What is kept. The rules belong to the log: handles that give some must give the same. */
export interface Retention {
  /** A message goes when it is older, and all before it have gone. */
  maxAgeMs?: number
  /** Of the segment files, as the disk counts them: whole segments go, never the active one. */
  maxBytes?: number
  maxMessages?: number
  /** How often it runs in the background; 0 (default) only when `enforceRetention()` is called or a segment rotates. */
  intervalMs?: number
  /** Asked before a segment is deleted; false keeps its messages, and all behind them, for now. */
  mayDelete?: (segment: SegmentInfo) => boolean
}

export interface AppendOptions {
  compression?: Compression
  /** Makes a retried append harmless: a batch seen before is not written twice, an older epoch is `VARVE_FENCED`. `epoch` has 32 bits. */
  producer?: { id: number; epoch: number; sequence: number }
  /** An older epoch than the log has seen is `VARVE_FENCED`. */
  leaderEpoch?: number
  /** Else `VARVE_CONFLICT`. */
  expectedOffset?: number
}

/** 'start': the first message still held. 'end': what is appended from now on. */
export type Seek = number | 'start' | 'end'

export interface ConsumeOptions<K> {
  /** Messages; default 10,000. */
  max?: number
  /** Of keys, headers and values together; the first message is given whatever it has. Default 16 MiB. */
  maxBytes?: number
  /** Only messages of this key; null: those without one. */
  key?: Input<K> | null
  /** Excluded. */
  to?: number
}

/** What belongs to a handle, and not to the log. */
export interface LogHandleOptions extends Retaining {
  levels: Levels
  codecs: MessageCodecs
  gated: boolean
  compression: Packing | undefined
}

/** A codec by its number, and its level or NaN. */
export interface Packing {
  codec: number
  level: number
}

export interface OpenLogRequest {
  native: NativeLogOptions
  handle: LogHandleOptions
  signal: AbortSignal | undefined
}

const RULES = { maxAgeMs: 0, maxBytes: 0, maxMessages: 0 } as const

const MOST_PARTITIONS = 4096

const OPEN = [
  'create', 'lockTimeout', 'readOnly', 'durability', 'verify', 'onDamage', 'signal', 'indexes', 'segmentSize', 'compression', 'retention', 'commitGate', 'key', 'value',
] as const

/** What `Log.open` and `Log.openSync` take. */
export function readLogOptions(value: unknown): OpenLogRequest {
  return requestOf(readOwn(value, OPEN))
}

export interface OpenPartitionedRequest extends OpenLogRequest {
  partitions: number | undefined
  partitioner: PartitionedLogOptions['partitioner']
}

/** What `PartitionedLog.open` takes. */
export function readPartitionedOptions(value: unknown): OpenPartitionedRequest {
  const { partitions, partitioner, ...options } = readOwn(value, [...OPEN, 'partitions', 'partitioner'])
  return {
    ...requestOf(options),
    partitions: partitions === undefined ? undefined : integer('partitions', partitions, 1, MOST_PARTITIONS),
    partitioner: callback('partitioner', partitioner),
  }
}

function requestOf(options: { [option in (typeof OPEN)[number]]?: unknown }): OpenLogRequest {
  const key = readCodec('key', options.key)
  const values = readCodec('value', options.value)
  const { onDamage } = options
  if (onDamage !== undefined && onDamage !== 'fail' && onDamage !== 'skip') throw invalid(`onDamage must be 'fail' or 'skip', got ${show(onDamage)}`)
  const native: NativeLogOptions = Object.assign(new Read<object>(), { codecName: `${quoted(key)}/${quoted(values)}` })
  if (options.create !== undefined) native.create = flag('create', options.create)
  if (options.lockTimeout !== undefined) native.lockTimeout = integer('lockTimeout', options.lockTimeout, 0, 0x7fffffff)
  if (options.verify !== undefined) native.verify = flag('verify', options.verify)
  if (onDamage !== undefined) native.onDamage = onDamage
  if (options.segmentSize !== undefined) native.segmentSize = integer('segmentSize', options.segmentSize, 0x10000, 0x40000000)
  if (options.readOnly !== undefined) native.readOnly = flag('readOnly', options.readOnly)
  const indexes = readOwn(options.indexes, ['key', 'time'], 'indexes')
  if (indexes.key !== undefined) native.keyIndex = flag('indexes.key', indexes.key)
  if (indexes.time !== undefined) native.timeIndex = flag('indexes.time', indexes.time)
  const { rules, ...retaining } = readRetention(options.retention, RULES)
  if (rules !== undefined) native.retention = rules
  const handle: LogHandleOptions = {
    ...retaining,
    levels: readDurability(options.durability),
    codecs: { key: plain(key), value: plain(values) },
    gated: options.commitGate !== undefined && flag('commitGate', options.commitGate),
    compression: options.compression === undefined ? undefined : readCompression(options.compression),
  }
  return { native, handle, signal: readSignal(options.signal) }
}

function readCodec(name: string, value: unknown): Codec<unknown> | undefined {
  if (value === undefined) return undefined
  if (!isCodec(value)) throw invalid(`${name} must be a codec: a name of 1 to 200 bytes, encode() and decode(); got ${show(value)}`)
  return value
}

/** Bytes go in and come out as they are. */
function plain(codec: Codec<unknown> | undefined): Codec<unknown> | undefined {
  return codec === codecs.bytes ? undefined : codec
}

/** Two names are stored as one: a slash in them may not be taken for that between them. */
function quoted(codec: Codec<unknown> | undefined): string {
  return (codec?.name ?? 'bytes').replace(/[\\/]/g, '\\$&')
}

const PACKINGS = ['none', 'snappy', 'lz4', 'gzip', 'zstd'] as const
const LEVELS: { [codec in 'gzip' | 'zstd']: [number, number] } = { gzip: [0, 9], zstd: [1, 22] }

export function readCompression(value: unknown): Packing {
  if (typeof value !== 'object' || value === null) return { codec: numberOf(value), level: NaN }
  const { codec, level, dictionary } = readOwn(value, ['codec', 'level', 'dictionary'], 'compression')
  const number = numberOf(codec)
  if (codec !== 'gzip' && codec !== 'zstd') throw invalid(`compression of ${show(codec)} is given by its name alone`)
  // Dictionaries are for the value log: groups of messages gain nothing by them.
  if (dictionary !== undefined && (codec !== 'zstd' || (dictionary !== 'auto' && dictionary !== 'off'))) {
    throw invalid(`compression.dictionary must be 'auto' or 'off', with zstd; got ${show(dictionary)}`)
  }
  return { codec: number, level: level === undefined ? NaN : integer('compression.level', level, ...LEVELS[codec]) }
}

function numberOf(codec: unknown): number {
  const number = (PACKINGS as readonly unknown[]).indexOf(codec)
  if (number < 0) throw invalid(`compression must be one of ${PACKINGS.join(', ')}, got ${show(codec)}`)
  return number
}

/** What an append depends on, and how it is done. */
export interface Given {
  time: number
  headers: unknown
  durability: 'os' | 'disk' | undefined
  /** For native code; undefined: none. */
  conditions: Float64Array | undefined
  partition: number | undefined
}

/** Slots of the conditions: see `LogBinding.appendBatch`. */
const [EXPECTED, ID, EPOCH, SEQUENCE, LEADER, CODEC, LEVEL] = [0, 1, 2, 3, 4, 5, 6]

const BATCH = ['compression', 'producer', 'leaderEpoch', 'expectedOffset'] as const

/** What an append takes: of one message, `one`; of a promise, `later`; where there are so many, the partition. */
export function readAppendOptions(value: unknown, one: boolean, later: boolean, preset: Packing | undefined, partitions = 0): Given {
  const placed = one && partitions > 0
  const keys = [...BATCH, ...(one ? (['time', 'headers'] as const) : []), ...(later ? (['durability'] as const) : []), ...(placed ? (['partition'] as const) : [])]
  const { compression, producer, leaderEpoch, expectedOffset, time, headers, durability, partition } = readOwn(value, keys)
  if (durability !== undefined && durability !== 'os' && durability !== 'disk') throw invalid(`durability of one write must be 'os' or 'disk', got ${show(durability)}`)
  const given: Given = {
    time: readTime('time', time), headers, durability, conditions: undefined,
    partition: partition === undefined ? undefined : integer('partition', partition, 0, partitions - 1),
  }
  const packing = compression === undefined ? preset : readCompression(compression)
  if (packing === undefined && producer === undefined && leaderEpoch === undefined && expectedOffset === undefined) return given
  const conditions = new Float64Array(7).fill(NaN)
  if (packing !== undefined) [conditions[CODEC], conditions[LEVEL]] = [packing.codec, packing.level]
  if (expectedOffset !== undefined) conditions[EXPECTED] = integer('expectedOffset', expectedOffset)
  if (leaderEpoch !== undefined) conditions[LEADER] = integer('leaderEpoch', leaderEpoch)
  if (producer !== undefined) {
    const { id, epoch, sequence } = readOwn(producer, ['id', 'epoch', 'sequence'], 'producer')
    conditions[ID] = integer('producer.id', id)
    conditions[EPOCH] = integer('producer.epoch', epoch, 0, 0xffffffff)
    conditions[SEQUENCE] = integer('producer.sequence', sequence)
  }
  given.conditions = conditions
  return given
}

/** What a `Date` can hold, in milliseconds. */
const MOST_MILLIS = 8.64e15

/** Milliseconds; NaN: not given, which is now. */
export function readTime(name: string, value: unknown): number {
  if (value === undefined) return NaN
  const time = value instanceof Date ? value.getTime() : value
  if (typeof time !== 'number') throw invalid(`${name} must be a number of milliseconds or a Date, got ${show(value)}`)
  if (!(Math.abs(time) <= MOST_MILLIS)) throw invalid(`${name} must be a time that a Date can hold, got ${show(time)}`, true)
  return time
}

/** The same where a time must be given. */
export function readGivenTime(name: string, value: unknown): number {
  if (value === undefined) throw invalid(`${name} must be a number of milliseconds or a Date, got undefined`)
  return readTime(name, value)
}

/** An offset, or an end of the log. */
export function readSeek(name: string, value: unknown): Seek {
  if (value === 'start' || value === 'end') return value
  if (typeof value === 'string') throw invalid(`${name} must be an offset, 'start' or 'end', got ${show(value)}`)
  return integer(name, value)
}

/** Where a scan of messages begins and ends, and which it means. */
export interface MessageScan {
  from: Seek
  to: number | undefined
  /** Given: only messages of this key. */
  key: { value: unknown } | undefined
  signal: AbortSignal | undefined
  zeroCopy: boolean
}

type ScanKey = 'from' | 'to' | 'key' | 'zeroCopy' | 'signal'

/** What `messages`, `messagesAsync`, `subscribe` and `reader` take, as far as `keys` says. `ends`: `from` may be an end of the log. */
export function readMessageScan(value: unknown, keys: readonly ScanKey[], ends: boolean): MessageScan {
  const { from, to, key, zeroCopy, signal } = readOwn(value, keys)
  return {
    zeroCopy: zeroCopy !== undefined && flag('zeroCopy', zeroCopy),
    from: from === undefined ? 'start' : ends ? readSeek('from', from) : integer('from', from),
    to: to === undefined ? undefined : integer('to', to),
    key: key === undefined ? undefined : { value: key },
    signal: readSignal(signal),
  }
}

export interface Consume {
  max: number
  maxBytes: number
  to: number | undefined
  key: { value: unknown } | undefined
  signal: AbortSignal | undefined
  zeroCopy: boolean
}

const MOST_MESSAGES = 10_000
const MOST_BYTES = 16 << 20

/** What `consume` and its like take, with `more` of their own. */
export function readConsumeOptions(value: unknown, more: readonly ('zeroCopy' | 'signal')[]): Consume {
  const { max, maxBytes, key, to, zeroCopy, signal } = readOwn(value, ['max', 'maxBytes', 'key', 'to', ...more])
  return {
    zeroCopy: zeroCopy !== undefined && flag('zeroCopy', zeroCopy),
    max: max === undefined ? MOST_MESSAGES : integer('max', max, 1),
    maxBytes: maxBytes === undefined ? MOST_BYTES : integer('maxBytes', maxBytes, 1),
    to: to === undefined ? undefined : integer('to', to),
    key: key === undefined ? undefined : { value: key },
    signal: readSignal(signal),
  }
}

/** What `cursor` takes, beside its name. */
export function readCursorOptions(value: unknown): { from: Seek; holdRetention: boolean | undefined } {
  const { from, holdRetention } = readOwn(value, ['from', 'holdRetention'])
  return {
    from: from === undefined ? 'start' : readSeek('from', from),
    holdRetention: holdRetention === undefined ? undefined : flag('holdRetention', holdRetention),
  }
}
