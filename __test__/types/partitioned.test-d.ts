// Compiled by `npm run lint`, never run: what the declarations allow, and what they refuse.
import { type Bytes, codecs, Log, type LogStats, type Migration, PartitionedLog, type PartitionedLogOptions, type PartitionMessage, type RemoveResult, type Retention } from 'varve'

export async function ofBytes(dir: string, signal: AbortSignal): Promise<number> {
  const retention: Retention = { maxAgeMs: 5, maxBytes: 6, maxMessages: 7, intervalMs: 8, mayDelete: (segment) => segment.sealed }
  const options: PartitionedLogOptions = { partitions: 16, partitioner: (key, partitions) => (key === null ? 0 : key.length % partitions), retention, signal }
  await using log: PartitionedLog = await PartitionedLog.open(dir, options)
  const { partition, offset }: { partition: number; offset: number } = log.append('value', 'key', { partition: 5, time: new Date(), headers: { a: 'b' } })
  await log.appendAsync('value', null, { partition, durability: 'disk' })
  const written: { partition: number; offset: number; count: number }[] = log.appendBatch([{ value: 'a' }, { value: null, key: 'k', partition: 3 }], { compression: 'lz4' })
  await log.appendBatchAsync([{ value: 'a', partition: 1 }], { durability: 'os' })
  const key: Bytes | null | undefined = log.consume(partition, 'start', { max: 5, key: 'k' }).messages[0]?.key
  for await (const message of log.subscribe({ from: [1, 'end'], partitions: [0, 1], signal })) if ((message satisfies PartitionMessage).partition === 1) break
  const removed: RemoveResult = await log.compact({ partitions: [1], before: 5, pause: 5 })
  const enforced: number = (await log.enforceRetention()).partitions + log.retentionStats().runs
  const stats: LogStats[] = log.stats()
  const position: number = (await log.backup(`${dir}-copy`, { signal })).position
  await log.sync()
  log.on('delete', ({ path }) => void path)
  log.logs[0]?.cursor('billing').save(5)
  await log.logs[0]?.trim({ keepMessages: 5 })
  // @ts-expect-error it closes with the whole
  await log.logs[0]?.close()
  // @ts-expect-error the list is not to be changed
  log.logs[0] = undefined
  // @ts-expect-error the partition of a batch is that of its messages
  log.appendBatch([{ value: 'a' }], { partition: 1 })
  // @ts-expect-error it is made by open
  new PartitionedLog()
  const report = await PartitionedLog.check(dir)
  await PartitionedLog.salvage(dir, `${dir}-copy`)
  return offset + written.length + (key?.length ?? 0) + removed.entries + enforced + stats.length + position + report.damage.length + (await PartitionedLog.recover(dir)).setAside.length
}

export async function ofValues(dir: string): Promise<{ n: number } | null | undefined> {
  const log: PartitionedLog<string, { n: number }> = await PartitionedLog.open(dir, { partitions: 2, key: codecs.utf8, value: codecs.json<{ n: number }>() })
  log.append({ n: 1 }, 'a')
  // @ts-expect-error a value of another type
  log.append('a')
  return log.logs[0]?.getByKey('a')?.value
}

export async function care(dir: string): Promise<number> {
  const to: Migration = { version: 1, indexes: { key: true }, compression: { codec: 'zstd', level: 3 } }
  await Log.migrate(dir, to, { pause: async (signal) => void signal?.aborted })
  const { compressionRatio, indexBytes, indexMemoryBytes, held }: LogStats = await Log.stat(dir)
  const log = await Log.open(dir, { retention: { maxMessages: 5 } })
  log.gc(60_000)
  return compressionRatio + indexBytes + indexMemoryBytes + held.messages + (await log.backup(`${dir}-copy`)).position + (await Log.backup(dir, `${dir}-copy`)).bytes
}
