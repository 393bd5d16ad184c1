import { EventEmitter } from 'node:events'
import { AsyncScan } from './async-scan.ts'
import { Closing, type Part } from './closing.ts'
import { type Bytes, type BytesLike, type Codec, type Input } from './codecs.ts'
import { type Consumed, Consumer } from './consume.ts'
import { type Cursor, LogCursor } from './cursor.ts'
import { Ladder } from './durability.ts'
import { createError, invalid, isVarveError, type VarveError } from './errors.ts'
import { Keeper } from './keeper.ts'
import { type Life, Live } from './live.ts'
import { migrate, type Migration } from './log-care.ts'
import {
  type AppendOptions, type ConsumeOptions, type LogHandleOptions, type LogOptions, type MessageScan, type OpenLogRequest, type Packing, readAppendOptions,
  readConsumeOptions, readCursorOptions, readGivenTime, readLogOptions, readMessageScan, readSeek, type Seek,
} from './log-options.ts'
import { encodeKey, encodeValue, packMessage, packMessages, type PackedMessages, releaseMessages } from './log-pack.ts'
import { find, readCompactOptions, readOffsets, readRule, remove, type Rule, type Wish } from './log-removal.ts'
import { findMessage, foundMessage, isFirst, type LogReader, MessageReader, Messages } from './log-reader.ts'
import { MessageSource } from './log-scan.ts'
import { LogWindow } from './log-window.ts'
import type { Message, MessageCodecs, MessageFacts, MessageInput } from './message.ts'
import { type CursorState, GATED, KEYED, type LogBinding, native, type NativeEvent, type OnNews, type RemovalBinding } from './native.ts'
import { openWaiting, refuseSignal } from './open.ts'
import { integer, readDir, readWaitOptions, type ScanOptions, show, type WriteOptions } from './options.ts'
import type { BackupResult, CareOptions, CheckReport, LogStats, RecoverReport, RemoveResult, SegmentEvents, SegmentInfo } from './reports.ts'
import { Retention } from './retention.ts'
import { readRewriteOptions, type Rewrite, type RewriteOptions } from './steps.ts'
import { Views } from './views.ts'
import { watched } from './watch.ts'

/** For the log of partitions alone: a log over a binding of one. */
export let partOver: (binding: LogBinding, options: LogHandleOptions) => Part<Log<any, any>>

const construct = Symbol('varve.construct')

/**
 * A message log: messages by offset, as in a partition of Kafka. Every append is given its offset at the call, in call order, and is visible at once to all readers
 * in the process, in every worker thread that opened the same directory. When it is durable is a matter of `Durability`, which belongs to the handle, as codecs,
 * `compression` and `commitGate` do. Opened by `open` or `openSync`; a second open in the process shares the log, and a second process is refused.
 */
export class Log<K = Bytes, V = Bytes> extends EventEmitter<SegmentEvents> {
  static {
    partOver = (binding, options) => {
      const log = new Log<any, any>(construct, binding, options)
      return { log, closing: log.#closing }
    }
  }

  /** The directory, as an absolute path. */
  readonly dir: string
  readonly #native: LogBinding
  readonly #append: LogBinding['append']
  readonly #codecs: MessageCodecs<K, V>
  readonly #compression: Packing | undefined
  /** A plain append is one call that needs nothing but value, key and time. */
  readonly #isPlain: boolean
  readonly #gated: boolean
  readonly #ladder: Ladder
  readonly #life: Life = { closed: false }
  readonly #live: Live
  #views: Views | undefined
  readonly #consumer: Consumer<K, V>
  // The addon holds it weakly: it lives as long as the log that it serves.
  readonly #onNews: OnNews
  readonly #retention: Retention
  readonly #closing: Closing

  private constructor(token: symbol, binding: LogBinding, options: LogHandleOptions) {
    if (token !== construct || new.target !== Log) throw new TypeError('a Log is made by Log.open() or Log.openSync(), and has no subclasses')
    super()
    const { codecs, levels, gated, compression } = options
    this.dir = binding.dir
    this.#native = binding
    this.#append = binding.append
    this.#codecs = codecs as MessageCodecs<K, V>
    this.#compression = compression
    this.#isPlain = compression === undefined || compression.codec === 0
    this.#gated = gated
    const keeper = new Keeper(binding)
    this.#live = new Live(binding, gated, keeper, this.#life)
    this.#ladder = new Ladder(binding, levels, keeper, (error) => this.#emitError(error))
    this.#consumer = new Consumer(this.#codecs, this.#live, this.#life, (from, to, key, zeroCopy) => this.#window(from, to, key, zeroCopy))
    this.#onNews = (_durableIndex, ticket, moved, events, error) => {
      if (error !== undefined && binding.readOnly) this.#live.error = error
      if (moved || error !== undefined) this.#live.moved()
      // What it tells is an index of the entries below: the offset is asked for.
      this.#ladder.settle(this.#life.closed ? undefined : binding.durableIndex(), ticket, error)
      for (const event of events ?? []) this.#happened(event)
    }
    binding.onNews(this.#onNews)
    super.on('newListener' as 'error', (name: unknown) => {
      if (name === 'rotate' || name === 'delete') binding.wantEvents(true)
    })
    this.#retention = new Retention(binding, options, this.#life, (error) => this.#emitError(error))
    this.#closing = new Closing(binding, this.#life, this.#ladder, () => {
      this.#retention.end()
      // All that wait end now.
      this.#live.moved()
    })
  }

  /**
   * Opens the log in `dir`, creating it if need be, and recovers it: a torn tail is cut and reported in `stats().recovery`. Rejects with VARVE_LOCKED (`pid`) if
   * another process has it, VARVE_CORRUPT if what was durable is damaged, VARVE_INVALID_ARGUMENT if it was made with other codecs or indexes.
   */
  static open(dir: string, options?: LogOptions): Promise<Log>
  static open<K, V>(dir: string, options: LogOptions & { key: Codec<K>; value: Codec<V> }): Promise<Log<K, V>>
  static open<V>(dir: string, options: LogOptions & { value: Codec<V>; key?: never }): Promise<Log<Bytes, V>>
  static async open(dir: unknown, options?: unknown): Promise<Log<any, any>> {
    const path = readDir(dir)
    const { native: given, handle, signal }: OpenLogRequest = readLogOptions(options)
    return new Log(construct, await openWaiting({ lockTimeout: given.lockTimeout, signal }, () => native.openLog(path, given)), handle)
  }

  /** As `open`, on this thread. */
  static openSync(dir: string, options?: LogOptions): Log
  static openSync<K, V>(dir: string, options: LogOptions & { key: Codec<K>; value: Codec<V> }): Log<K, V>
  static openSync<V>(dir: string, options: LogOptions & { value: Codec<V>; key?: never }): Log<Bytes, V>
  static openSync(dir: unknown, options?: unknown): Log<any, any> {
    const path = readDir(dir)
    const { native: given, handle, signal } = readLogOptions(options)
    refuseSignal(signal)
    return new Log(construct, native.openLogSync(path, given), handle)
  }

  /** Checks every message without opening, beside a writer too; changes nothing. `entries` counts messages. */
  static async check(dir: string, options?: CareOptions): Promise<CheckReport> {
    const path = readDir(dir)
    return watched(options, () => native.checkLog(path))
  }

  /**
   * Repairs a log in place that nobody has open (else VARVE_LOCKED): keeps all before the first damage, and sets the rest aside in `.lost` files, never deleting it.
   * Offsets that were lost are not given again. Safe to interrupt anywhere. `salvage` keeps more, in a new directory: try it first. Counts are of messages.
   */
  static async recover(dir: string, options?: CareOptions): Promise<RecoverReport> {
    const path = readDir(dir)
    return watched(options, () => native.recoverLog(path))
  }

  /** Copies what is intact, before and after the damage, with its offsets, indexes and cursors into the new directory `to`. `from` is only read. Counts as `recover`. */
  static async salvage(from: string, to: string, options?: CareOptions): Promise<RecoverReport> {
    const [source, target] = [readDir(from), readDir(to)]
    return watched(options, () => native.salvageLog(source, target))
  }

  /** What is in `dir`, without opening; works beside a writer. */
  static async stat(dir: string): Promise<LogStats> {
    return native.statLog(readDir(dir))
  }

  /** As `backup` of a log, of one that nobody has open. */
  static async backup(from: string, to: string, options?: CareOptions): Promise<BackupResult> {
    const [source, target] = [readDir(from), readDir(to)]
    return watched(options, () => native.backupLog(source, target))
  }

  /**
   * Changes what a log is made with that nobody has open (else VARVE_LOCKED): its indexes, at once, and how the messages that are there are compressed, by writing
   * every segment anew. Safe to interrupt anywhere: what was done stays done, and another call does the rest.
   */
  static async migrate(dir: string, to: Migration, options?: RewriteOptions): Promise<void> {
    return migrate(readDir(dir), to, options)
  }

  /** Lowest offset still held; `nextOffset` when there is none. */
  get startOffset(): number {
    return this.#native.startOffset()
  }

  /** Offset of the next message. */
  get nextOffset(): number {
    return this.#native.nextIndex()
  }

  /** Where readers stop: the last committed offset + 1, with `commitGate`; else `nextOffset`. */
  get highWaterMark(): number {
    return this.#live.visible
  }

  /** Every message below it is durable. */
  get durableOffset(): number {
    return this.#native.durableIndex()
  }

  /** Appends one message and returns its offset. Blocks for the system or the disk only where the handle's durability says so. */
  append(value: Input<V> | null, key?: Input<K> | null, options?: AppendOptions & MessageFacts): number {
    if (options === undefined && this.#isPlain) {
      const bytes = encodeValue(value, this.#codecs.value)
      const offset = key === undefined || key === null ? this.#append(bytes) : this.#append(bytes, encodeKey(key, this.#codecs.key))
      if (this.#live.awaited) this.#live.moved()
      if (!this.#ladder.armed) this.#ladder.wrote(bytes ?? 0)
      return offset
    }
    const given = readAppendOptions(options, true, false, this.#compression)
    const { offset, bytes } = this.#write(packMessage(value, key, given.time, given.headers, this.#codecs), given.conditions)
    if (!this.#ladder.armed) this.#ladder.wrote(bytes)
    return offset
  }

  /** Appends at the call, as `append` does; resolves to the offset when the level is reached. */
  appendAsync(value: Input<V> | null, key?: Input<K> | null, options?: AppendOptions & WriteOptions & MessageFacts): Promise<number> {
    try {
      const given = readAppendOptions(options, true, true, this.#compression)
      const { offset, bytes } = this.#write(packMessage(value, key, given.time, given.headers, this.#codecs), given.conditions)
      return this.#ladder.reach(given.durability, offset, bytes)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** Appends all or nothing, as seen by readers and by recovery, and returns the offset of the first. At most 32 MiB. */
  appendBatch(messages: readonly MessageInput<K, V>[], options?: AppendOptions): number {
    const given = readAppendOptions(options, false, false, this.#compression)
    const { offset, bytes } = this.#write(packMessages(messages, this.#codecs), given.conditions)
    if (!this.#ladder.armed) this.#ladder.wrote(bytes)
    return offset
  }

  appendBatchAsync(messages: readonly MessageInput<K, V>[], options?: AppendOptions & WriteOptions): Promise<number> {
    try {
      const given = readAppendOptions(options, false, true, this.#compression)
      const { offset, bytes } = this.#write(packMessages(messages, this.#codecs), given.conditions)
      return this.#ladder.reach(given.durability, offset, bytes)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /**
   * Some messages from `from` on, and where to go on: `max` and `maxBytes` say how many. A deleted offset reads on from the next one left. May give no message and
   * a larger `nextOffset`. VARVE_OUT_OF_RANGE before `startOffset` and past `nextOffset`. With `zeroCopy`, messages with values of 8 KiB and more that
   * are uncompressed and alone in their entry (appended one by one, as a rule) are views of the file; all else is copied, as is what is read on another thread.
   */
  consume(from: Seek, options?: ConsumeOptions<K> & { zeroCopy?: boolean }): Consumed<K, V> {
    const given = readConsumeOptions(options, ['zeroCopy'])
    return this.#consumer.consume(this.#resolve(readSeek('from', from)), given, this.#keyOf(given.key))
  }

  /** As `consume`, off this thread. */
  async consumeAsync(from: Seek, options?: ConsumeOptions<K>): Promise<Consumed<K, V>> {
    const given = readConsumeOptions(options, [])
    return this.#consumer.consumeAsync(this.#resolve(readSeek('from', from)), given, this.#keyOf(given.key))
  }

  /**
   * As `consume`; when it has caught up, it waits until there is something. Rejects with an `AbortError` when `signal` aborts, and with VARVE_CLOSED when the log
   * is closed meanwhile.
   */
  async consumeBlocking(from: Seek, options?: ConsumeOptions<K> & { signal?: AbortSignal }): Promise<Consumed<K, V>> {
    const given = readConsumeOptions(options, ['signal'])
    return this.#consumer.consumeBlocking(this.#resolve(readSeek('from', from)), given, this.#keyOf(given.key))
  }

  /** The messages from `from` (default: the first held) up to `to`, excluded (default: the end as of each step). VARVE_OUT_OF_RANGE if they are removed meanwhile. */
  messages(options?: ScanOptions & { from?: number; to?: number; key?: Input<K> | null }): IterableIterator<Message<K, V>> {
    const scan = readMessageScan(options, ['from', 'to', 'key', 'zeroCopy', 'signal'], false)
    return new Messages(this.#open(scan, scan.zeroCopy), this.#codecs, scan.signal, this.#life)
  }

  /** The same, read and checked ahead on another thread. */
  messagesAsync(options?: ScanOptions & { from?: number; to?: number; key?: Input<K> | null }): AsyncIterableIterator<Message<K, V>> {
    return this.#scan(readMessageScan(options, ['from', 'to', 'key', 'zeroCopy', 'signal'], false), false)
  }

  /** The cheapest way through: no object a message. With `zeroCopy`, `buffer` may be of the file, as it lies there. */
  reader(options?: { from?: Seek; zeroCopy?: boolean }): LogReader<K, V> {
    const scan = readMessageScan(options, ['from', 'zeroCopy'], true)
    return new MessageReader(this.#open(scan, scan.zeroCopy), this.#codecs, this.#life, (to) => this.#resolve(to), scan.zeroCopy)
  }

  /**
   * All messages from `from` (default 'start') on, then waits for more until `signal` aborts or the log closes. What is far behind is read and checked ahead on
   * another thread. Messages are read as they are asked for: a slow consumer holds nothing up.
   */
  subscribe(options?: ScanOptions & { from?: Seek; key?: Input<K> | null }): AsyncIterableIterator<Message<K, V>> {
    return this.#scan(readMessageScan(options, ['from', 'key', 'zeroCopy', 'signal'], true), true)
  }

  /** Resolves to `nextOffset` once readers may see the message at `offset`. Rejects with VARVE_CLOSED if the log is closed before. */
  async waitFor(offset: number, options?: { signal?: AbortSignal }): Promise<number> {
    integer('offset', offset)
    return this.#live.waitFor(offset, readWaitOptions(options))
  }

  /** A deleted offset is undefined; outside of the log is VARVE_OUT_OF_RANGE. Of an empty log the 'first' and the 'last' are undefined. May meet the disk. */
  get(offset: number | 'first' | 'last'): Message<K, V> | undefined {
    if (typeof offset === 'number') return findMessage(this.#native.get, integer('offset', offset), this.#codecs)
    return findMessage(this.#native.getEdge, isFirst(offset), this.#codecs)
  }

  /** As `get`, off this thread. */
  async getAsync(offset: number | 'first' | 'last'): Promise<Message<K, V> | undefined> {
    const found = typeof offset === 'number' ? this.#native.getAsync(integer('offset', offset)) : this.#native.getEdgeAsync(isFirst(offset))
    return foundMessage(await found, this.#codecs)
  }

  /** The last message of a key; null: of those without one. VARVE_NO_INDEX without `indexes: { key: true }`. */
  getByKey(key: Input<K> | null): Message<K, V> | undefined {
    return findMessage(this.#native.getByKey, key === null ? null : encodeKey(key, this.#codecs.key), this.#codecs)
  }

  /** As `getByKey`, off this thread. */
  async getByKeyAsync(key: Input<K> | null): Promise<Message<K, V> | undefined> {
    return foundMessage(await this.#native.getByKeyAsync(key === null ? null : encodeKey(key, this.#codecs.key)), this.#codecs)
  }

  /** The offset of that message. */
  offsetByKey(key: Input<K> | null): number | undefined {
    const offset = this.#native.offsetByKey(key === null ? null : encodeKey(key, this.#codecs.key))
    return offset < 0 ? undefined : offset
  }

  /** The message of the lowest offset whose time is `time` or later. VARVE_NO_INDEX without `indexes: { time: true }`. */
  getByTime(time: number | Date): Message<K, V> | undefined {
    return findMessage(this.#native.getByTime, readGivenTime('time', time), this.#codecs)
  }

  /** As `getByTime`, off this thread. */
  async getByTimeAsync(time: number | Date): Promise<Message<K, V> | undefined> {
    return foundMessage(await this.#native.getByTimeAsync(readGivenTime('time', time)), this.#codecs)
  }

  /** The offset and the time of that message. */
  offsetByTime(time: number | Date): { offset: number; time: number } | undefined {
    const found = this.getByTime(time)
    return found && { offset: found.offset, time: found.time }
  }

  /**
   * The consumer's place of this name, which is made at `from` (default 'start') if there is none. `holdRetention` keeps what it has not yet read; left out, it
   * stays as it is.
   */
  cursor(name: string, options?: { from?: Seek; holdRetention?: boolean }): Cursor {
    if (typeof name !== 'string') throw invalid(`name must be a string, got ${show(name)}`)
    const { from, holdRetention } = readCursorOptions(options)
    this.#native.cursor(name, this.#resolve(from), holdRetention)
    this.#ladder.changed()
    return new LogCursor(name, this.#native, this.#ladder)
  }

  /** All cursors, by name. */
  cursors(): CursorState[] {
    return this.#native.cursors()
  }

  /** Commits all messages below `to`: with `commitGate`, readers see them. Never moves back. Kept across opens by the next `sync()`. */
  advanceHighWaterMark(to: number): void {
    this.#native.advanceHighWaterMark(integer('to', to))
    this.#ladder.changed()
    if (this.#live.awaited) this.#live.moved()
  }

  /** The offsets of the messages that a rule means. */
  async find(rule: Rule, options?: { signal?: AbortSignal }): Promise<number[]> {
    return find(this.#native, rule, options)
  }

  /** Removes messages from wherever they are; `offsets` of the result are those that were there. Offsets are never used again. */
  async delete(offsets: Iterable<number>, options?: RewriteOptions): Promise<RemoveResult & { offsets: number[] }> {
    const removal = await this.#remove(readOffsets(offsets), readRewriteOptions(options))
    return { ...removal.result(), offsets: Array.from(removal.offsets()) }
  }

  /** `find` and `delete` in one. Called off, what was done stays done. */
  async trim(rule: Rule, options?: RewriteOptions): Promise<RemoveResult> {
    return (await this.#remove(readRule(rule), readRewriteOptions(options))).result()
  }

  /** Removes replaced messages, and deletes that have nothing left to delete, older than `before` (default: now). What has no key stays. */
  async compact(options?: RewriteOptions & { before?: number | Date }): Promise<RemoveResult> {
    const given = readCompactOptions(options)
    return (await this.#remove(given.wish, given)).result()
  }

  /** Removes what the retention of the log says, if nobody objects and no cursor holds it; resolves when that is durable. */
  async enforceRetention(): Promise<RemoveResult> {
    return this.#native.enforceRetention()
  }

  /** Bytes that a message takes on disk, alone and uncompressed. */
  sizeOf(message: MessageInput<K, V>): number {
    const packed = packMessages([message], this.#codecs)
    const size = this.#native.sizeOf(packed.data, packed.rows)
    releaseMessages(packed)
    return size
  }

  /** All segments, in order; those that were removed and are still held come first. `firstIndex` and `nextIndex` are offsets, `entries` counts messages. */
  segments(): SegmentInfo[] {
    return this.#native.segments()
  }

  /** Keeps a segment's file where it is until disposed of, whatever is removed meanwhile. VARVE_OUT_OF_RANGE if it is not there. */
  pin(segment: number): Disposable {
    const unpin = this.#native.pin(integer('segment', segment))
    return { [Symbol.dispose]: unpin }
  }

  stats(): LogStats {
    return this.#native.stats()
  }

  /**
   * Copies all that is appended so far, while the log is written to, into a directory that is missing, empty, or holds an earlier backup of this log, which is added
   * to. What is there opens at every moment; its key index is made by its first open.
   */
  async backup(dir: string, options?: CareOptions): Promise<BackupResult> {
    const path = readDir(dir)
    return watched(options, () => this.#native.backup(path))
  }

  /** Lets go of memory that has not been used since a call so long ago; of all that nobody reads just now, by default. It is read again when it is needed. */
  gc(unusedForMs?: number): void {
    this.#native.gc(unusedForMs === undefined ? 0 : 1000 * integer('unusedForMs', unusedForMs, 0, 0x7fffffff))
  }

  /** Resolves to the offset below which everything is durable, when all appended before the call is; callers that wait together share one sync. */
  async sync(): Promise<number> {
    if (this.#native.readOnly && !this.#life.closed) throw createError('VARVE_READONLY', 'the log was opened with readOnly', { path: this.dir })
    return this.#ladder.sync()
  }

  /** As `sync`, blocking this thread. */
  syncSync(): number {
    return this.#native.sync()
  }

  /** Syncs at every level, and gives up the handle; the last one of the process unlocks the directory. Rejects if a write had failed. */
  close(): Promise<void> {
    return this.#closing.close()
  }

  closeSync(): void {
    this.#closing.closeSync()
  }

  [Symbol.dispose](): void {
    this.closeSync()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #write(packed: PackedMessages, conditions: Float64Array | undefined): { offset: number; bytes: number } {
    const offset = this.#native.appendBatch(packed.data, packed.rows, packed.times, conditions)
    releaseMessages(packed)
    if (this.#live.awaited) this.#live.moved()
    return { offset, bytes: packed.bytes }
  }

  /** The bytes of a key that is given in options, or null. */
  #keyOf(key: { value: unknown } | undefined): { bytes: BytesLike | null } | undefined {
    return key && { bytes: key.value === null ? null : encodeKey(key.value, this.#codecs.key) }
  }

  /** The offset that is meant. */
  #resolve(to: Seek): number {
    return to === 'start' ? this.#native.startOffset() : to === 'end' ? this.#native.nextIndex() : to
  }

  #window(from: number, to: number | undefined, key: { bytes: BytesLike | null } | undefined, zeroCopy: boolean): LogWindow {
    const flags = (this.#gated ? GATED : 0) + (key === undefined ? 0 : KEYED)
    const views = zeroCopy ? (this.#views ??= new Views(this.#native)) : undefined
    return new LogWindow(this.#native, { from, to, flags, key: key?.bytes }, this.#life, views)
  }

  #open({ from, to, key }: MessageScan, zeroCopy: boolean): LogWindow {
    const bytes = this.#keyOf(key)
    for (;;) {
      try {
        return this.#window(this.#resolve(from), to, bytes, zeroCopy)
      } catch (error) {
        // Other threads may drop messages just when a reader begins.
        if (from !== 'start' || !isVarveError(error, 'VARVE_OUT_OF_RANGE')) throw error
      }
    }
  }

  #scan(scan: MessageScan, waits: boolean): AsyncIterableIterator<Message<K, V>> {
    return new AsyncScan(new MessageSource(this.#open(scan, false), this.#codecs, this.#life, waits), this.#live, this.#life, scan.signal, waits)
  }

  /** Resolves when the handle's level, at least 'os', is reached. */
  async #remove(wish: Wish, options: Rewrite): Promise<RemovalBinding> {
    const removal = await remove(this.#native, wish, options, () => this.#live.moved())
    if (!this.#life.closed) await this.#ladder.reach(undefined, 0, 0)
    return removal
  }

  #happened(event: NativeEvent): void {
    if (event.type === 'mayDelete') this.#retention.answer(event.segments, (allowed) => this.#native.answer(event.number, allowed))
    else this.emit(event.type, event.segment)
  }

  #emitError(error: Error): void {
    if (this.listenerCount('error') > 0) this.emit('error', error as VarveError)
  }
}
