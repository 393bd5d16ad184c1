import { EventEmitter } from 'node:events'
import type { AsyncScan } from './async-scan.ts'
import { Closing, type Part } from './closing.ts'
import type { Bytes, Codec, Input } from './codecs.ts'
import type { Consumed } from './consume.ts'
import { Ladder } from './durability.ts'
import { createError, invalid, type VarveError } from './errors.ts'
import { Keeper } from './keeper.ts'
import { type Life, Live } from './live.ts'
import { type Log, partOver } from './log.ts'
import {
  type AppendOptions, type ConsumeOptions, type OpenPartitionedRequest, type PartitionedLogOptions, readAppendOptions, readPartitionedOptions, readSeek, type Seek,
} from './log-options.ts'
import { encodeKey, encodeValue, packMessage, packMessages, type PackedMessages, releaseMessages } from './log-pack.ts'
import { readBefore } from './log-removal.ts'
import { Merge } from './merge.ts'
import type { Message, MessageCodecs, MessageFacts, MessageInput } from './message.ts'
import { HAS_KEY, native, type NativeEvent, type OnNews, type PartitionedBinding, type PartitionsBackedUp } from './native.ts'
import { openWaiting } from './open.ts'
import { flag, integer, readDir, readOwn, readSignal, type ScanOptions, show, type WriteOptions } from './options.ts'
import { type PartitionMessage, PartitionStream } from './partition-stream.ts'
import type { BackupResult, CareOptions, CheckReport, LogStats, RecoverReport, RemoveResult, SegmentEvents } from './reports.ts'
import { Retention } from './retention.ts'
import { rewriteOf, type RewriteOptions, stepThrough } from './steps.ts'
import { watched } from './watch.ts'

/** The log of a partition. It closes with the whole. */
export type PartitionLog<K = Bytes, V = Bytes> = Omit<Log<K, V>, 'close' | 'closeSync' | typeof Symbol.dispose | typeof Symbol.asyncDispose>

/** Where a message went. */
export interface Placed {
  partition: number
  offset: number
}

const construct = Symbol('varve.construct')

/** Bits of the last word of a message's row that do not belong to its partition. */
const PARTITION_SHIFT = 2

/**
 * Many message logs behind one door: one lock, one thread for their syncs, one policy of retention, one `Durability`. Each message goes to the partition that is named,
 * or that its key means. A partition takes no place before its first message. Opened by `open`; a second open in the process shares it, and a second process is refused.
 */
export class PartitionedLog<K = Bytes, V = Bytes> extends EventEmitter<SegmentEvents> {
  /** The directory, as an absolute path. */
  readonly dir: string
  /** One a partition, made when it is looked at; they close with the whole. Where another process writes, VARVE_READONLY of one that it has not made yet. */
  readonly logs: readonly PartitionLog<K, V>[]
  readonly #native: PartitionedBinding
  readonly #options: OpenPartitionedRequest
  readonly #codecs: MessageCodecs<K, V>
  readonly #isPlain: boolean
  readonly #parts: (Part<Log<K, V>> | undefined)[]
  readonly #place = new Float64Array(2)
  readonly #keeper: Keeper
  readonly #ladder: Ladder
  readonly #life: Life = { closed: false }
  /** Who waits for partitions that are to come. */
  readonly #lives = new Set<Live>()
  // The addon holds it weakly: it lives as long as the log that it serves.
  readonly #onNews: OnNews
  readonly #retention: Retention
  readonly #closing: Closing

  private constructor(token: symbol, binding: PartitionedBinding, options: OpenPartitionedRequest) {
    if (token !== construct || new.target !== PartitionedLog) throw new TypeError('a PartitionedLog is made by PartitionedLog.open(), and has no subclasses')
    super()
    const { codecs, levels, compression } = options.handle
    this.dir = binding.dir
    this.#native = binding
    this.#options = options
    this.#codecs = codecs as MessageCodecs<K, V>
    this.#isPlain = (compression === undefined || compression.codec === 0) && options.partitioner === undefined
    this.#parts = Array.from({ length: binding.partitions })
    this.logs = this.#list()
    this.#keeper = new Keeper(binding)
    this.#ladder = new Ladder(binding, levels, this.#keeper, (error) => this.#emitError(error))
    this.#onNews = (_durableIndex, ticket, moved, events, error) => {
      if (moved) this.#lives.forEach((live) => live.moved())
      this.#ladder.settle(undefined, ticket, error)
      for (const event of events ?? []) this.#happened(event)
    }
    binding.onNews(this.#onNews)
    super.on('newListener' as 'error', (name: unknown) => {
      if (name === 'rotate' || name === 'delete') binding.wantEvents(true)
    })
    this.#retention = new Retention(binding, options.handle, this.#life, (error) => this.#emitError(error))
    const closing = { close: () => this.#finish(binding.close()), closeSync: () => binding.closeSync() }
    this.#closing = new Closing(closing, this.#life, this.#ladder, () => {
      this.#retention.end()
      for (const part of this.#parts) part?.closing.begin()
      this.#lives.forEach((live) => live.moved())
    })
  }

  /**
   * Opens the log of partitions in `dir`, creating it if need be, and recovers every partition that has messages. Rejects with VARVE_LOCKED (`pid`) if another process
   * has it, VARVE_CORRUPT if what was durable is damaged, VARVE_INVALID_ARGUMENT if it was made with other codecs or indexes, or with more partitions.
   */
  static open(dir: string, options?: PartitionedLogOptions): Promise<PartitionedLog>
  static open<K, V>(dir: string, options: PartitionedLogOptions & { key: Codec<K>; value: Codec<V> }): Promise<PartitionedLog<K, V>>
  static open<V>(dir: string, options: PartitionedLogOptions & { value: Codec<V>; key?: never }): Promise<PartitionedLog<Bytes, V>>
  static async open(dir: unknown, options?: unknown): Promise<PartitionedLog<any, any>> {
    const path = readDir(dir)
    const request = readPartitionedOptions(options)
    const { native: given, partitions, signal } = request
    const open = () => native.openPartitionedLog(path, partitions, given)
    return new PartitionedLog(construct, await openWaiting({ lockTimeout: given.lockTimeout, signal }, open), request)
  }

  /** Checks every message of every partition without opening, beside a writer too; changes nothing. `entries` counts messages. */
  static async check(dir: string, options?: CareOptions): Promise<CheckReport> {
    const path = readDir(dir)
    return watched(options, () => native.checkPartitioned(path))
  }

  /** `Log.recover` of every partition, and of how many there are. Nobody may have it open (else VARVE_LOCKED). */
  static async recover(dir: string, options?: CareOptions): Promise<RecoverReport> {
    const path = readDir(dir)
    return watched(options, () => native.recoverPartitioned(path))
  }

  /** `Log.salvage` of every partition into the new directory `to`. `from` is only read. */
  static async salvage(from: string, to: string, options?: CareOptions): Promise<RecoverReport> {
    const [source, target] = [readDir(from), readDir(to)]
    return watched(options, () => native.salvagePartitioned(source, target))
  }

  /** Figures of each partition of the log in `dir`, without opening it; works beside a writer. Those of a partition that has no message yet are empty. */
  static async stat(dir: string): Promise<LogStats[]> {
    return native.statPartitioned(readDir(dir))
  }

  /** As `backup` of a log, of one that nobody has open (else VARVE_LOCKED). */
  static async backup(from: string, to: string, options?: CareOptions): Promise<BackupResult & { positions: number[] }> {
    const [source, target] = [readDir(from), readDir(to)]
    return backedUp(await watched(options, () => native.backupPartitioned(source, target)))
  }

  /** Appends one message, to `partition` or to that of its key, and tells where it is. As `Log.append`. */
  append(value: Input<V> | null, key?: Input<K> | null, options?: AppendOptions & MessageFacts & { partition?: number }): Placed {
    if (options === undefined && this.#isPlain) {
      const bytes = encodeValue(value, this.#codecs.value)
      this.#native.append(bytes, key === undefined || key === null ? null : encodeKey(key, this.#codecs.key), undefined, this.#place)
      if (!this.#ladder.armed) this.#ladder.wrote(bytes ?? 0)
      return { partition: this.#place[0]!, offset: this.#place[1]! }
    }
    const { placed, bytes } = this.#appendOne(value, key, options, false)
    if (!this.#ladder.armed) this.#ladder.wrote(bytes)
    return placed
  }

  /** Appends at the call, as `append` does; resolves when the level is reached. */
  async appendAsync(value: Input<V> | null, key?: Input<K> | null, options?: AppendOptions & WriteOptions & MessageFacts & { partition?: number }): Promise<Placed> {
    const { placed, bytes, durability } = this.#appendOne(value, key, options, true)
    await this.#ladder.reach(durability, 0, bytes)
    return placed
  }

  /**
   * Appends messages, each to its `partition` or to that of its key: those of one partition all or nothing. One entry in the result for each partition written. Where
   * one fails, the error's `written` says what was written before; with `producer` the same batch sent again completes the rest.
   */
  appendBatch(messages: readonly (MessageInput<K, V> & { partition?: number })[], options?: AppendOptions): (Placed & { count: number })[] {
    const { placed, bytes } = this.#appendAll(messages, options, false)
    if (!this.#ladder.armed) this.#ladder.wrote(bytes)
    return placed
  }

  async appendBatchAsync(
    messages: readonly (MessageInput<K, V> & { partition?: number })[], options?: AppendOptions & WriteOptions,
  ): Promise<(Placed & { count: number })[]> {
    const { placed, bytes, durability } = this.#appendAll(messages, options, true)
    await this.#ladder.reach(durability, 0, bytes)
    return placed
  }

  /** As `Log.consume`, of one partition. */
  consume(partition: number, from: Seek, options?: ConsumeOptions<K>): Consumed<K, V> {
    const part = this.#find(integer('partition', partition, 0, this.#parts.length - 1))
    if (part !== undefined) return part.log.consume(from, options)
    // Its writer has not made it yet: it is empty.
    if (typeof readSeek('from', from) === 'number' && from !== 0) throw createError('VARVE_OUT_OF_RANGE', `from is ${from}, and the partition is empty`, { path: this.dir })
    return { messages: [], nextOffset: 0 }
  }

  /**
   * All partitions (or those named) in one stream, in the order of each, and fairly: of each that has some, one message after another. Goes on for ever, until `signal`
   * aborts or the log closes. `from` (default 'start') may be a list: one for each partition of the stream.
   */
  subscribe(options?: ScanOptions & { from?: Seek | readonly Seek[]; partitions?: readonly number[] }): AsyncIterableIterator<PartitionMessage<K, V>> {
    const { from, partitions, zeroCopy, signal: given } = readOwn(options, ['from', 'partitions', 'zeroCopy', 'signal'])
    if (zeroCopy !== undefined) flag('zeroCopy', zeroCopy)
    const signal = readSignal(given)
    const named = partitions === undefined ? Array.from(this.#parts.keys()) : this.#readPartitions(partitions)
    if (Array.isArray(from) && from.length !== named.length) throw invalid(`from has ${from.length} places, and there are ${named.length} partitions in the stream`)
    const places = named.map((_, i) => (from === undefined ? 'start' : readSeek('from', Array.isArray(from) ? from[i] : from)))
    this.#native.nextIndex()
    return new Merge(named.map((partition, i) => this.#stream(partition, places[i]!, signal)), signal)
  }

  /** As `Log.compact`, of all partitions or those named, one after another. */
  async compact(options?: RewriteOptions & { partitions?: readonly number[]; before?: number | Date }): Promise<RemoveResult> {
    const { partitions, before, ...rest } = readOwn(options, ['signal', 'onProgress', 'pause', 'partitions', 'before'])
    const rewrite = rewriteOf(rest)
    const named = partitions === undefined ? undefined : Uint32Array.from(this.#readPartitions(partitions))
    const work = this.#native.compact(readBefore(before), named)
    await stepThrough(work, rewrite)
    if (!this.#life.closed) await this.#ladder.reach(undefined, 0, 0)
    return work.result()
  }

  /** Removes what the retention says, of each partition by itself, if nobody objects; resolves when that is durable. */
  async enforceRetention(): Promise<RemoveResult & { partitions: number }> {
    return this.#native.enforceRetention()
  }

  /** What retention has removed since the log was opened, in the background too, and how often it was asked to. */
  retentionStats(): RemoveResult & { runs: number } {
    return this.#native.retentionStats()
  }

  /** Of each partition. */
  stats(): LogStats[] {
    return this.#native.stats()
  }

  /** `Log.backup` of every partition, each as of its own moment. In each the copy holds everything below its place in `positions`; `position` is the least of them. */
  async backup(dir: string, options?: CareOptions): Promise<BackupResult & { positions: number[] }> {
    const path = readDir(dir)
    return backedUp(await watched(options, () => this.#native.backup(path)))
  }

  /** Resolves when all appended before the call is durable, in all partitions, by one round of syncs. */
  async sync(): Promise<void> {
    if (this.#native.readOnly && !this.#life.closed) throw createError('VARVE_READONLY', 'the log was opened with readOnly', { path: this.dir })
    await this.#ladder.sync()
  }

  /** Syncs at every level, and gives up the handle with those of its partitions; the last one of the process unlocks the directory. Rejects if a write had failed. */
  close(): Promise<void> {
    return this.#closing.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #list(): readonly PartitionLog<K, V>[] {
    const logs: PartitionLog<K, V>[] = []
    for (const partition of this.#parts.keys()) {
      Object.defineProperty(logs, partition, { get: () => this.#log(partition), enumerable: true })
    }
    return Object.freeze(logs)
  }

  #log(partition: number): Log<K, V> {
    const part = this.#find(partition)
    if (part === undefined) throw createError('VARVE_READONLY', `partition ${partition} is not there yet: the first message that goes to it, from the process that writes, makes it`, { path: this.dir })
    return part.log
  }

  #find(partition: number): Part<Log<K, V>> | undefined {
    const known = this.#parts[partition]
    if (known !== undefined) return known
    const binding = this.#native.part(partition)
    if (binding === undefined) return undefined
    const { handle } = this.#options
    return (this.#parts[partition] = partOver(binding, { ...handle, mayDelete: undefined, retainEveryMs: 0 }))
  }

  #readPartitions(value: unknown): number[] {
    if (!Array.isArray(value)) throw invalid(`partitions must be an array, got ${show(value)}`)
    const partitions = value.map((partition) => integer('partition', partition, 0, this.#parts.length - 1))
    if (new Set(partitions).size < partitions.length) throw invalid('partitions names one of them twice')
    return partitions
  }

  #stream(partition: number, from: Seek, signal: AbortSignal | undefined): PartitionStream<K, V> {
    // What a partition begins with comes after now.
    let place = from
    const source = {
      open: () => this.#find(partition)?.log.subscribe({ from: place, ...(signal && { signal }) }) as AsyncScan<Message<K, V>> | undefined,
      wait: async (stop: (wake: () => void) => void) => {
        if (place === 'end') place = 'start'
        const live = new Live({ nextIndex: () => 0, committed: () => 0, wakeAt: () => this.#native.wakeAt(partition, 0, false) }, false, this.#keeper, this.#life)
        this.#lives.add(live)
        await live.wait(0, signal, stop).finally(() => this.#lives.delete(live))
      },
      closed: () => this.#life.closed,
    }
    return new PartitionStream(partition, source, signal)
  }

  #appendOne(value: unknown, key: unknown, options: unknown, later: boolean): { placed: Placed; bytes: number; durability: 'os' | 'disk' | undefined } {
    const given = readAppendOptions(options, true, later, this.#options.handle.compression, this.#parts.length)
    const packed = packMessage(value, key, given.time, given.headers, this.#codecs)
    const [partition, offset] = this.#write(packed, () => given.partition, given.conditions)
    return { placed: { partition: partition!, offset: offset! }, bytes: packed.bytes, durability: given.durability }
  }

  #appendAll(messages: unknown, options: unknown, later: boolean): { placed: (Placed & { count: number })[]; bytes: number; durability: 'os' | 'disk' | undefined } {
    const given = readAppendOptions(options, false, later, this.#options.handle.compression)
    const packed = packMessages(messages, this.#codecs)
    const partitionOf = (i: number) => {
      const { partition } = (messages as { partition?: unknown }[])[i]!
      return partition === undefined ? undefined : integer('partition', partition, 0, this.#parts.length - 1)
    }
    const written = this.#write(packed, partitionOf, given.conditions)
    const placed = Array.from({ length: written.length / 3 }, (_, i) => ({ partition: written[3 * i]!, offset: written[3 * i + 1]!, count: written[3 * i + 2]! }))
    return { placed, bytes: packed.bytes, durability: given.durability }
  }

  /** Gives partition, offset and count of each partition written. */
  #write(packed: PackedMessages, partitionOf: (i: number) => number | undefined, conditions: Float64Array | undefined): Float64Array {
    const { partitioner } = this.#options
    const { data, rows } = packed
    for (let i = 0, from = 0; i < rows[0]!; i++) {
      const row = 1 + 4 * i
      let partition = partitionOf(i)
      if (partition === undefined && partitioner !== undefined) {
        const key = (rows[row + 3]! & HAS_KEY) === 0 ? null : Buffer.from(data.subarray(from, rows[row]))
        partition = integer('what partitioner returns', partitioner(key, this.#parts.length), 0, this.#parts.length - 1)
      }
      if (partition !== undefined) rows[row + 3]! |= (partition + 1) << PARTITION_SHIFT
      from = rows[row + 2]!
    }
    const written = this.#native.appendBatch(data, rows, packed.times, conditions)
    releaseMessages(packed)
    return written
  }

  #happened(event: NativeEvent): void {
    if (event.type === 'mayDelete') this.#retention.answer(event.segments, (allowed) => this.#native.answer(event.number, allowed, event.partition))
    else this.emit(event.type, event.segment)
  }

  #emitError(error: Error): void {
    if (this.listenerCount('error') > 0) this.emit('error', error as VarveError)
  }

  /** The partitions hear what has become of the whole. */
  async #finish(closed: Promise<void>): Promise<void> {
    let failure: unknown
    await closed.catch((error: unknown) => (failure = error))
    for (const part of this.#parts) part?.closing.finish(failure)
    if (failure !== undefined) throw failure
  }
}

function backedUp({ files, bytes, positions }: PartitionsBackedUp): BackupResult & { positions: number[] } {
  return { files, bytes, position: Math.min(...positions), positions }
}
