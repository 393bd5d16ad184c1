// Compiled by `npm run lint`, never run: what the declarations allow, and what they refuse.
import {
  type AppendOptions, type Bytes, codecs, type Compression, type Consumed, type ConsumeOptions, type Cursor, Log, type LogOptions, type LogReader, type LogStats, type Message,
  type MessageInput, type Seek, type SegmentInfo,
} from 'varve'

interface Flight {
  delay: number
}
const flight: Flight = { delay: 3 }

export async function ofBytes(dir: string, signal: AbortSignal): Promise<number> {
  const options: LogOptions = { indexes: { key: true, time: true }, segmentSize: 8 << 20, compression: { codec: 'zstd', level: 1 }, commitGate: true, signal }
  await using log: Log = await Log.open(dir, options)
  const first: number = log.append('text', 'key')
  log.append(new Uint8Array(3), null, { time: new Date(), headers: { a: 'b', c: Buffer.alloc(1) } })
  log.append(null, Buffer.from('key'), { expectedOffset: first + 1, leaderEpoch: 1, producer: { id: 1, epoch: 0, sequence: 5 }, compression: 'lz4' })
  await log.appendAsync('text', 'key', { durability: 'disk', time: 5.5 })
  const batch: MessageInput[] = [{ value: 'a' }, { value: null, key: 'k' }, { value: Buffer.alloc(1), key: null, time: 5, headers: {} }]
  const given: AppendOptions = { compression: 'none' satisfies Compression }
  log.appendBatch(batch, given)
  await log.appendBatchAsync(batch, { ...given, durability: 'os' })
  const consumed: Consumed<Bytes, Bytes> = log.consume('start', { max: 5, maxBytes: 6, key: 'k', to: 7 } satisfies ConsumeOptions<Bytes>)
  const later: Message[] = (await log.consumeBlocking(consumed.nextOffset, { signal })).messages
  const value: Bytes | null | undefined = log.get('first')?.value
  const key: Bytes | null | undefined = (await log.getAsync(0))?.key
  const headers: Readonly<Record<string, Bytes>> | undefined = log.getByTime(Date.now())?.headers
  const at: { offset: number; time: number } | undefined = log.offsetByTime(new Date())
  const byKey: number | undefined = log.offsetByKey('k') ?? (await log.getByKeyAsync(null))?.offset
  for (const message of log.messages({ from: first, to: 9, key: null, zeroCopy: true, signal })) message satisfies Message
  for await (const { offset, time } of log.messagesAsync()) if (offset > time) break
  for await (const message of log.subscribe({ from: 'end' satisfies Seek, key: 'k' })) if (message.key !== null && message.key.length > 0) break
  using reader: LogReader = log.reader({ from: 'start' })
  let bytes = 0
  while (reader.advance()) bytes += reader.end - reader.start + reader.keyEnd - reader.keyStart + (reader.value()?.length ?? 0)
  using cursor: Cursor = log.cursor('billing', { from: 'end', holdRetention: true })
  cursor.save(cursor.offset + 1)
  await cursor.saveAsync(5, { durability: 'disk' })
  log.advanceHighWaterMark(3)
  const stats: LogStats = log.stats()
  const segments: SegmentInfo[] = log.segments()
  log.on('rotate', (segment) => void segment.nextIndex)
  // @ts-expect-error a message has a value, or null in its place
  log.appendBatch([{ key: 'k' }])
  // @ts-expect-error the value of a log of bytes
  log.append(5)
  // @ts-expect-error only an …Async write has a level of its own
  log.append('x', null, { durability: 'disk' })
  // @ts-expect-error a message is not to be changed
  later[0]!.offset = 5
  return bytes + (await log.sync()) + stats.nextOffset + segments.length + (value?.length ?? 0) + (key?.length ?? 0) + (at?.offset ?? 0) + Object.keys(headers ?? {}).length + (byKey ?? 0)
}

export async function ofValues(dir: string): Promise<Flight | null | undefined> {
  const log: Log<string, Flight> = await Log.open(dir, { key: codecs.utf8, value: codecs.json<Flight>() })
  log.append(flight, 'SJC')
  log.append(null, 'SJC')
  log.appendBatch([{ value: flight, key: 'LAX' }])
  // @ts-expect-error a flight, not a string
  log.append('SJC')
  // @ts-expect-error keys are strings
  log.append(flight, 5)
  // @ts-expect-error so they are here
  log.messages({ key: 5 })
  // @ts-expect-error a type needs its codec
  await Log.open<string, Flight>(dir)
  const values: Log<Bytes, Flight> = Log.openSync(dir, { value: codecs.json<Flight>() })
  values.append(flight, 'bytes')
  // @ts-expect-error it is made by open
  new Log()
  return log.getByKey('SJC')?.value
}
