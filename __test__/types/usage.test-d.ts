// How varve is used, at the level of types: what the package was designed for compiles, strictly, against its own declarations.
import { codecs, isVarveError, version, Wal, type Durability, type WalRecord } from 'varve'

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

export function failed(error: unknown): boolean {
  return isVarveError(error, 'VARVE_LOCKED') || (isVarveError(error) && error.code === 'VARVE_CORRUPT' && version.length > 0)
}
