// Compiled by `npm run lint`, never run: what the declarations allow, and what they refuse.
import {
  type Bytes, type Codec, codecs, type Durability, type ErrorCode, isVarveError, type RecordPosition, type RemoveResult, type SegmentEvents, type SegmentInfo, VarveError,
  version, Wal, type WalOptions, type WalReader, type WalRecord, type WalRetention, type WalStats,
} from 'varve'

interface Flight {
  date: string
  delay: number
}
const flight: Flight = { date: '2001-01-01', delay: 3 }

export async function ofBytes(dir: string, signal: AbortSignal): Promise<number> {
  const durability: Durability = { syncEveryMs: 50 }
  await using log = await Wal.open(dir, { segmentSize: 8 << 20, durability, signal })
  const first: number = log.append('bytes of a string')
  log.append(new Uint8Array([1, 2, 3]), { expectedIndex: first + 1 })
  log.append(Buffer.from('x'))
  log.appendBatch(['a', Buffer.from('b'), new Uint8Array(1)])
  log.appendPacked(new Uint8Array(6), Uint32Array.of(1, 3, 6))
  const index: number = await log.appendAsync('c', { durability: 'disk', expectedIndex: 9 })
  await log.appendPackedAsync(new Uint8Array(1), Uint32Array.of(1), { durability: 'os' })
  const data: Bytes | undefined = log.get(index)
  const later: Buffer | undefined = await log.getAsync(index)
  for (const record of log.records({ from: first, to: index, signal })) record satisfies WalRecord
  using reader: WalReader = log.reader({ from: first })
  let bytes = 0
  while (reader.advance()) bytes += reader.end - reader.start + (reader.buffer[reader.start] ?? 0) + reader.index + reader.data().length
  const stats: WalStats = log.stats()
  const report = await Wal.check(dir, { onProgress: (progress) => void (progress.bytes / progress.totalBytes) })
  log.on('error', (error) => error.code satisfies ErrorCode)
  log.rotate()
  return bytes + (await log.sync()) + log.syncSync() + report.damage.length + stats.recovery.torn.length + (data?.length ?? 0) + (later?.length ?? 0) + version.length
}

export async function ofValues(dir: string): Promise<Flight | undefined> {
  const log: Wal<Flight> = await Wal.open(dir, { codec: codecs.json<Flight>() })
  log.append(flight)
  // @ts-expect-error a flight, not a string
  log.append('SJC')
  // @ts-expect-error a flight, not bytes
  log.appendBatch([Buffer.from('SJC')])
  // @ts-expect-error a type needs its codec
  await Wal.open<Flight>(dir)
  const text: Wal<string> = Wal.openSync(dir, { codec: codecs.utf8 })
  text.append('x')
  // @ts-expect-error a string, not bytes
  text.append(Buffer.from('x'))
  const custom: Codec<Date> = { name: 'date', encode: (date) => date.toISOString(), decode: (bytes) => new Date(bytes.toString()) }
  const dates = Wal.openSync(dir, { codec: custom })
  dates.get(0) satisfies Date | undefined
  return log.get(0)
}

export async function ofEnds(dir: string, signal: AbortSignal): Promise<number> {
  const retention: WalRetention = { maxAgeMs: 1, minSegments: 2, maxSegments: 8, maxBytes: 1 << 30, intervalMs: 1000, mayDelete: (segment) => segment.sealed }
  const options: WalOptions = { retention, commitGate: true, marker: 7, validateMarker: (marker) => marker === 7, readOnly: false }
  await using log = await Wal.open(dir, options)
  log.commit(log.nextIndex - 1)
  log.truncateAfter(5) satisfies void
  log.truncateBefore(2) satisfies void
  await log.truncateAfterAsync(4)
  await log.truncateBeforeAsync(3)
  log.reset(10) satisfies void
  const removed: RemoveResult = await log.enforceRetention()
  const position: RecordPosition | undefined = log.positionOf(3)
  const there: Bytes | undefined = position && log.getAt(position)
  const segments: SegmentInfo[] = log.segments()
  using _pin: Disposable = log.pin(segments[0]?.id ?? 1)
  log.on('rotate', (sealed) => sealed.nextIndex satisfies number)
  log.once('delete', (deleted) => deleted.path satisfies string)
  log.on('error', (error) => error satisfies VarveError)
  const events: (keyof SegmentEvents)[] = ['rotate', 'delete', 'error']
  const view: Bytes | undefined = log.get(0, { zeroCopy: true })
  for (const { data } of log.records({ zeroCopy: true, signal })) data satisfies Bytes
  for await (const { data } of log.recordsAsync({ from: 0, to: 5, zeroCopy: true, signal })) data satisfies Bytes
  for await (const { index } of log.tail({ from: 'end', signal })) if (index > 9) break
  using reader = log.reader({ from: 0, zeroCopy: true })
  const next: number = await log.waitFor(10, { signal })
  const { pinned, committedIndex } = log.stats()
  return removed.bytes + (there?.length ?? 0) + events.length + (view?.length ?? 0) + reader.index + next + pinned.references + committedIndex + log.committedIndex
}

export function refused(log: Wal): void {
  // @ts-expect-error opened by open()
  new Wal()
  // @ts-expect-error no subclasses
  class Mine extends Wal {}
  // @ts-expect-error not constructed by its users
  new VarveError()
  // @ts-expect-error a plain write takes no durability
  log.append('x', { durability: 'disk' })
  // @ts-expect-error 'buffered' is no promise
  void log.appendAsync('x', { durability: 'buffered' })
  // @ts-expect-error read only
  log.nextIndex = 5
  // @ts-expect-error an option of another name
  log.records({ start: 5 })
  // @ts-expect-error undefined is not a value of an exact optional property
  log.append('x', { expectedIndex: undefined })
  // @ts-expect-error numbers are no records
  log.append(5)
  // @ts-expect-error read only
  log.committedIndex = 5
  // @ts-expect-error an index
  log.truncateAfter('5')
  // @ts-expect-error a missing argument does not stand for all
  log.truncateBefore()
  // @ts-expect-error nor here
  log.reset()
  // @ts-expect-error both parts of a position
  log.getAt({ segment: 1 })
  // @ts-expect-error only a tail begins at the end
  log.records({ from: 'end' })
  // @ts-expect-error a tail has no end
  log.tail({ to: 5 })
  // @ts-expect-error no such event
  log.on('rotated', () => {})
  // @ts-expect-error mayDelete answers at once
  Wal.openSync('x', { retention: { mayDelete: async () => true } })
  // @ts-expect-error a segment is described, not changed
  log.on('delete', (segment: string) => void segment)
  // @ts-expect-error ends are 32-bit
  log.appendPacked(new Uint8Array(1), [1])
  void Mine
}

export function narrowed(error: unknown): number | undefined {
  if (isVarveError(error, 'VARVE_LOCKED')) {
    error.code satisfies 'VARVE_LOCKED'
    return error.message.length
  }
  if (error instanceof VarveError) {
    // @ts-expect-error a wrong argument is a TypeError or RangeError
    if (error.code === 'VARVE_INVALID_ARGUMENT') return 0
    return error.pid ?? error.position
  }
  return undefined
}
