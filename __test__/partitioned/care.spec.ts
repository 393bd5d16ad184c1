import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { PartitionedLog, type PartitionedLogOptions, type SegmentInfo } from 'varve'
import { flip } from '../support/damage.ts'
import { closedAfter, freshDir, segments } from '../support/directory.ts'
import { soon } from '../support/soon.ts'
import { values } from './opened.ts'

/** A log of 3 partitions, of which the second is empty, with 1,500 messages of 50 keys in each of the others. */
async function filled(t: ExecutionContext, options: PartitionedLogOptions = {}): Promise<PartitionedLog> {
  const dir = freshDir(t)
  const made = await PartitionedLog.open(dir, { partitions: 3, segmentSize: 65_536 })
  for (let i = 0; i < 3000; i++) made.append(`value ${i}.`.padEnd(100), `key ${i % 50}`, { time: i, partition: i % 2 === 0 ? 0 : 2 })
  await made.close()
  return closedAfter(t, await PartitionedLog.open(dir, options))
}

test('compact, of all partitions or those named', async (t) => {
  const log = await filled(t)
  const { entries } = await log.compact({ partitions: [2, 1] })
  t.is(entries, 1475)
  t.deepEqual(values(log).map((of) => of.length), [1500, 0, 25])
  let steps = 0
  t.is((await log.compact({ before: 1000, pause: 0, onProgress: () => void steps++ })).entries, 500)
  t.true(steps > 0)
  t.is((await log.compact()).entries, 975)
  t.deepEqual(values(log).map((of) => of.length), [25, 0, 25])
  for (const options of [{ partitions: [3] }, { partitions: 0 }, { before: 'x' }, { pause: -1 }]) await t.throwsAsync(log.compact(options as object), { code: 'VARVE_INVALID_ARGUMENT' })
  const control = new AbortController()
  control.abort()
  await t.throwsAsync(log.compact({ signal: control.signal }), { name: 'AbortError' })
})

test('retention is of each partition by itself, in one call; its figures are of all', async (t) => {
  const log = await filled(t, { retention: { maxMessages: 100 } })
  t.deepEqual(log.retentionStats(), { segments: 0, entries: 0, bytes: 0, runs: 0 })
  const removed = await log.enforceRetention()
  t.like(removed, { entries: 2800, partitions: 3 })
  t.deepEqual(log.logs.map(({ startOffset }) => startOffset), [1400, 0, 1400])
  t.like(await log.enforceRetention(), { entries: 0, partitions: 3 })
  const { segments, entries, bytes } = removed
  t.deepEqual(log.retentionStats(), { segments, entries, bytes, runs: 2 })
})

test('retention runs by itself with intervalMs; a cursor of a partition holds that', async (t) => {
  const log = await filled(t, { retention: { maxMessages: 10, intervalMs: 5 } })
  t.true(await soon(() => log.logs[0]!.startOffset === 1490 && log.logs[2]!.startOffset === 1490))
  t.true(log.retentionStats().runs > 0)
  const held = await filled(t, { retention: { maxMessages: 10 } })
  held.logs[2]!.cursor('c', { holdRetention: true }).save(700)
  await held.enforceRetention()
  t.deepEqual(held.logs.map(({ startOffset }) => startOffset), [1490, 0, 700])
  t.is(held.stats()[2]!.held.messages, 790)
})

test('mayDelete is asked of segments of every partition, and answered for it; events tell of all', async (t) => {
  const asked: SegmentInfo[] = []
  const mayDelete = (segment: SegmentInfo): boolean => {
    asked.push(segment)
    return segment.path.includes('0002')
  }
  const log = await filled(t, { retention: { maxMessages: 0, mayDelete } })
  const deleted: string[] = []
  log.on('delete', ({ path }) => deleted.push(path))
  await log.enforceRetention()
  t.deepEqual(log.logs.map(({ startOffset }) => startOffset), [0, 0, 1500])
  t.true(asked.some(({ path }) => path.includes('0000')) && asked.some(({ path }) => path.includes('0002')))
  await log.sync()
  t.true(await soon(() => deleted.length >= 2))
  t.true(deleted.every((path) => path.includes('0002')))
})

test('a segment that rotates is an event of the whole and of its partition', async (t) => {
  const log = await filled(t)
  const told: string[] = []
  log.on('rotate', ({ path }) => told.push(`whole ${path.includes('0001')}`))
  log.logs[1]!.on('rotate', ({ path }) => told.push(`part ${path.includes('0001')}`))
  for (let i = 0; i < 1500; i++) log.append('x'.repeat(400), null, { partition: 1 })
  t.true(await soon(() => told.includes('whole true') && told.includes('part true')), told.join())
  t.false(told.includes('whole false') || told.includes('part false'))
})

test('backup copies every partition, then what came since', async (t) => {
  const log = await filled(t)
  const to = join(freshDir(t), 'copy')
  const first = await log.backup(to)
  t.like(first, { positions: [1500, 0, 1500], position: 0 })
  t.true(first.bytes > 200_000 && first.files.length > 4)
  log.append('later', null, { partition: 1 })
  t.like(await log.backup(to), { positions: [1500, 1, 1500], position: 1 })
  const copy = closedAfter(t, await PartitionedLog.open(to))
  t.deepEqual(values(copy), values(log))
  await t.throwsAsync(log.backup(log.dir), { code: 'VARVE_INVALID_ARGUMENT' })
})

test('check, salvage and recover of one that is damaged', async (t) => {
  const log = await filled(t)
  t.like(await PartitionedLog.check(log.dir), { ok: true, entries: 3000, damage: [] })
  await t.throwsAsync(PartitionedLog.recover(log.dir), { code: 'VARVE_LOCKED' })
  await log.close()
  flip(segments(join(log.dir, '0002'))[0]!, 'value 101.', 2)
  const report = await PartitionedLog.check(log.dir)
  t.false(report.ok)
  t.true(report.damage[0]!.path.includes('0002'))
  const to = join(freshDir(t), 'copy')
  t.false((await PartitionedLog.salvage(log.dir, to)).ok)
  const copy = closedAfter(t, await PartitionedLog.open(to))
  t.deepEqual(values(copy).map((of) => of.length), [1500, 0, 1499])
  const recovered = await PartitionedLog.recover(log.dir)
  t.false(recovered.ok)
  t.true(recovered.setAside.length > 0)
  const left = closedAfter(t, await PartitionedLog.open(log.dir))
  t.deepEqual(values(left).map((of) => of.length), [1500, 0, 50])
  const missing = join(freshDir(t), 'missing')
  for (const work of [PartitionedLog.check, PartitionedLog.recover]) await t.throwsAsync(work(missing), { code: 'VARVE_IO' })
})
