// How varve is used, at the level of types: what the package was designed for compiles, strictly, against its own declarations.
import { codecs, isVarveError, Log, PartitionedLog, version, Wal, type Durability, type Message, type WalRecord } from 'varve'

interface Flight { date: string; delay: number; distance: number; origin: string; destination: string }
const flight: Flight = { date: '2001-01-01', delay: 3, distance: 100, origin: 'SJC', destination: 'LAX' }

export async function wal(dir: string, signal: AbortSignal): Promise<number> {
  const durability: Durability = { syncEveryMs: 50 }
  await using log = await Wal.open(dir, { segmentSize: 8 << 20, durability, retention: { maxSegments: 8, mayDelete: (s) => s.sealed } })
  const first: number = log.append('bytes of a string')
  log.append(new Uint8Array([1, 2, 3]), { expectedIndex: first + 1 })
  log.appendBatch(['a', Buffer.from('b')])
  log.appendPacked(new Uint8Array(6), Uint32Array.of(1, 3, 6))
  const index: number = await log.appendAsync('c', { durability: 'disk' })
  const durable: number = await log.sync()
  const data: Buffer | undefined = log.get(first)
  if (data === undefined) throw new Error('gone')
  for (const record of log.records({ from: first, zeroCopy: true })) record satisfies WalRecord
  using reader = log.reader({ from: first })
  let bytes = 0
  while (reader.advance()) bytes += reader.end - reader.start + (reader.buffer[reader.start] ?? 0) + reader.index
  for await (const { index, data } of log.tail({ from: 'end', signal })) if (index > 9 && data.length > 0) break
  log.commit(index)
  log.truncateAfter(index)
  await log.truncateBeforeAsync(first)
  log.reset(index + 1)
  const copy = await log.backup(`${dir}-copy`, { active: true, onProgress: (p) => void (p.bytes / p.totalBytes) })
  const report = await Wal.check(`${dir}-copy`)
  log.on('rotate', (segment) => void segment.nextIndex)
  return bytes + durable + copy.position + report.damage.length + log.stats().recovery.torn.length
}

export async function typedWal(dir: string): Promise<Flight | undefined> {
  const log = await Wal.open(dir, { codec: codecs.json<Flight>() })
  const at = log.append(flight)
  // @ts-expect-error a flight, not a string
  log.append('SJC')
  // @ts-expect-error a type needs its codec
  await Wal.open<Flight>(dir)
  return log.get(at)
}

export async function log(dir: string, signal: AbortSignal): Promise<Message<string, Flight> | undefined> {
  await using flights = await Log.open(dir, {
    key: codecs.utf8, value: codecs.json<Flight>(), indexes: { key: true, time: true },
    compression: { codec: 'zstd', level: 1, dictionary: 'auto' }, retention: { maxBytes: 1 << 30 },
  })
  const first: number = flights.append(flight, 'SJC', { time: new Date(), headers: { source: 'tower' } })
  flights.appendBatch([{ key: 'SJC', value: flight }, { key: 'LAX', value: null }], { expectedOffset: first + 1 })
  await flights.appendBatchAsync([{ value: flight }], { producer: { id: 7, epoch: 0, sequence: 1 }, durability: 'disk' })
  const { messages, nextOffset } = flights.consume('start', { max: 100, key: 'SJC' })
  for (const message of messages) if (message.value !== null && message.key !== null) void (message.value.delay + message.key.length)
  const cursor = flights.cursor('billing', { from: 'start', holdRetention: true })
  for await (const message of flights.subscribe({ from: cursor.offset, signal })) { cursor.save(message.offset + 1); if (message.offset > nextOffset) break }
  using reader = flights.reader({ from: 'start' })
  while (reader.advance()) void (reader.end - reader.start + reader.time)
  const found = flights.offsetByTime(Date.now() - 1000)
  await flights.trim({ olderThan: new Date(0) }, { signal, pause: 5, onProgress: (p) => void p.segments })
  // @ts-expect-error one rule at a time
  await flights.trim({ olderThan: 0, keepMessages: 5 })
  await flights.compact({ before: Date.now() })
  const gone: number[] = (await flights.delete([0, 1])).offsets
  const durable: number = await flights.sync()
  await Log.migrate(dir, { indexes: { time: false } })
  return flights.getByKey('SJC') ?? (found ? flights.get(found.offset + durable + gone.length) : flights.get('last'))
}

export async function bytesLog(dir: string): Promise<number> {
  const log = await Log.open(dir)
  log.append('text', 'key')
  log.append(new Uint8Array(3))
  return log.getByKey('key')?.value?.length ?? 0
}

export async function partitions(dir: string): Promise<number> {
  const topic = await PartitionedLog.open(dir, { partitions: 16, key: codecs.utf8, value: codecs.bytes })
  const { partition, offset } = topic.append(Buffer.from('v'), 'k')
  const { messages } = topic.consume(partition, offset, { maxBytes: 1 << 20 })
  await topic.logs[partition]?.trim({ beforeOffset: offset })
  return messages.length + (topic.logs[partition]?.nextOffset ?? 0) + (await topic.enforceRetention()).partitions
}

export function failed(error: unknown): boolean {
  return isVarveError(error, 'VARVE_LOCKED') || (isVarveError(error) && error.code === 'VARVE_CORRUPT' && version.length > 0)
}
