import { rmSync } from 'node:fs'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { Log, type LogOptions, type Progress } from 'varve'
import { closedAfter, contents, freshDir, freshLog, lines, segments } from '../support/directory.ts'
import { flip } from '../support/damage.ts'

/** A closed log of 2,000 messages in several segments; messages and groups. */
async function made(t: ExecutionContext, options: LogOptions = {}): Promise<string> {
  const dir = freshDir(t)
  const log = Log.openSync(dir, { segmentSize: 65_536, ...options })
  for (let i = 0; i < 1000; i++) log.append(`value ${i}.`.padEnd(100), `key ${i % 50}`, { time: i })
  for (let i = 1000; i < 2000; i += 100) log.appendBatch(Array.from({ length: 100 }, (_, j) => ({ value: `value ${i + j}.`.padEnd(100), key: `key ${j % 50}`, time: i + j })))
  log.cursor('billing').save(700)
  await log.close()
  return dir
}

test('check reads every message, and changes nothing; beside a writer too', async (t) => {
  const dir = await made(t)
  const before = contents(dir)
  const progress: Progress[] = []
  const report = await Log.check(dir, { onProgress: (step) => progress.push(step) })
  t.like(report, { ok: true, entries: 2000, damage: [] })
  t.is(report.segments, segments(dir).length)
  t.true(progress.at(-1)!.bytes > 200_000)
  t.deepEqual(contents(dir), before)
  const log = closedAfter(t, Log.openSync(dir))
  log.append('more')
  await log.sync()
  t.like(await Log.check(dir), { ok: true, entries: 2001 })
})

test('stat tells of a log that is closed, and of one that is open', async (t) => {
  const dir = await made(t, { indexes: { key: true } })
  const closed = await Log.stat(dir)
  t.like(closed, { version: 1, messages: 2000, startOffset: 0, nextOffset: 2000, durableOffset: 2000, highWaterMark: 0, codec: 'bytes/bytes', compressionRatio: 1, failed: undefined })
  t.is(closed.segments, segments(dir).length)
  const log = closedAfter(t, Log.openSync(dir))
  log.append('more')
  await log.sync()
  t.like(await Log.stat(dir), { messages: 2001, nextOffset: 2001 })
})

test('damage: check says where, the open is refused, recover keeps what is before, salvage what is on both sides', async (t) => {
  const dir = await made(t)
  flip(segments(dir)[1]!, 'value 700.', 2)
  const report = await Log.check(dir)
  t.false(report.ok)
  t.is(report.damage[0]!.path, segments(dir)[1]!)
  t.is(report.damage[0]!.reason, 'payload does not match its checksum')
  await t.throwsAsync(Log.open(dir, { verify: true }), { code: 'VARVE_CORRUPT' })

  const to = join(freshDir(t), 'copy')
  const salvaged = await Log.salvage(dir, to)
  t.false(salvaged.ok)
  const copy = closedAfter(t, Log.openSync(to))
  const all = Array.from({ length: 2000 }, (_, i) => i)
  t.deepEqual(Array.from(copy.messages(), ({ offset }) => offset), all.filter((i) => i !== 700))
  t.is(copy.nextOffset, 2000)
  t.deepEqual(copy.cursors().map(({ name, offset }) => [name, offset]), [['billing', 700]])
  t.is(copy.stats().recovery.gaps.length, 1)

  const recovered = await Log.recover(dir)
  t.false(recovered.ok)
  t.true(recovered.setAside.length > 0)
  const left = closedAfter(t, Log.openSync(dir))
  t.deepEqual(Array.from(left.messages(), ({ offset }) => offset), all.slice(0, 700))
  t.is(left.append('new'), 2000)
})

test('recover of a log that is whole changes nothing, and one that is open is refused', async (t) => {
  const dir = await made(t)
  const before = lines(closedAfter(t, Log.openSync(dir, { readOnly: true })))
  t.like(await Log.recover(dir), { ok: true, setAside: [] })
  const log = closedAfter(t, Log.openSync(dir))
  t.deepEqual(lines(log), before)
  await t.throwsAsync(Log.recover(dir), { code: 'VARVE_LOCKED' })
  await t.throwsAsync(Log.migrate(dir, { indexes: { key: true } }), { code: 'VARVE_LOCKED' })
})

test('backup of an open log, then of what came since; every copy opens, and finds by key', async (t) => {
  const dir = await made(t, { indexes: { key: true } })
  const log = closedAfter(t, Log.openSync(dir))
  const to = join(freshDir(t), 'copy')
  const progress: Progress[] = []
  const first = await log.backup(to, { onProgress: (step) => progress.push(step) })
  t.is(first.position, 2000)
  t.true(first.files.length >= segments(dir).length && first.bytes > 200_000)
  t.true(progress.length > 0)
  t.like(await Log.stat(to), { messages: 2000 })
  log.append('later', 'key 7', { time: 5000 })
  await log.delete([3, 4])
  const second = await log.backup(to)
  t.is(second.position, 2001)
  await log.close()
  const copy = closedAfter(t, Log.openSync(to))
  t.deepEqual(lines(copy), lines(closedAfter(t, Log.openSync(dir))))
  t.is(copy.getByKey('key 7')!.value!.toString(), 'later')
  t.is(copy.cursors()[0]!.offset, 700)
  await t.throwsAsync(log.backup(to), { code: 'VARVE_CLOSED' })
})

test('backup of a log that nobody has open; a foreign directory is refused', async (t) => {
  const dir = await made(t)
  const to = join(freshDir(t), 'copy')
  t.is((await Log.backup(dir, to)).position, 2000)
  t.deepEqual(lines(closedAfter(t, Log.openSync(to))), lines(closedAfter(t, Log.openSync(dir, { readOnly: true }))))
  await t.throwsAsync(Log.backup(dir, await made(t)), { code: 'VARVE_INVALID_ARGUMENT' })
})

test('what is not there, aborted work, and bad arguments', async (t) => {
  const missing = join(freshDir(t), 'missing')
  for (const work of [Log.check, Log.recover, Log.stat]) await t.throwsAsync(work(missing), { code: 'VARVE_IO' })
  for (const work of [Log.salvage, Log.backup]) await t.throwsAsync(work(missing, `${missing}2`), { code: 'VARVE_IO' })
  const dir = await made(t)
  const control = new AbortController()
  const check = Log.check(dir, { signal: control.signal })
  control.abort('enough')
  t.is((await t.throwsAsync(check, { name: 'AbortError' })).cause, 'enough')
  await t.throwsAsync(Log.check(dir, { onProgress: () => { throw new Error('mine') } }), { message: 'mine' })
  for (const bad of [undefined, 5, '', 'a\0b']) {
    await t.throwsAsync(Log.check(bad as string), { code: 'VARVE_INVALID_ARGUMENT' })
    await t.throwsAsync(Log.backup(dir, bad as string), { code: 'VARVE_INVALID_ARGUMENT' })
  }
  await t.throwsAsync(Log.check(dir, { unheard: 1 } as object), { code: 'VARVE_INVALID_ARGUMENT' })
  rmSync(missing, { force: true, recursive: true })
})

test('gc lets go of memory, and what it let go of is read again', (t) => {
  const log = freshLog(t, { segmentSize: 65_536, compression: 'lz4' })
  for (let i = 0; i < 50; i++) log.appendBatch(Array.from({ length: 100 }, (_, j) => ({ value: `value ${100 * i + j}`.padEnd(200) })))
  const before = lines(log)
  log.gc()
  log.gc(60_000)
  t.deepEqual(lines(log), before)
  for (const bad of [-1, 1.5, '5', NaN]) t.throws(() => log.gc(bad as number), { code: 'VARVE_INVALID_ARGUMENT' })
})

test('stats: compression is told, of sealed segments and after a reopen too', async (t) => {
  const dir = freshDir(t)
  const log = Log.openSync(dir, { segmentSize: 65_536, compression: 'zstd', indexes: { key: true } })
  t.is(log.stats().compressionRatio, 1)
  for (let i = 0; i < 200; i++) log.appendBatch(Array.from({ length: 100 }, (_, j) => ({ key: `key ${i}`, value: `value ${j}`.padEnd(100), time: 100 * i + j })))
  const { compressionRatio, segments, indexMemoryBytes } = log.stats()
  t.true(segments > 1)
  t.true(compressionRatio > 0 && compressionRatio < 0.5, `${compressionRatio}`)
  t.true(indexMemoryBytes > 0)
  await log.close()
  t.true(Math.abs((await Log.stat(dir)).compressionRatio - compressionRatio) < 0.01)
  const again = closedAfter(t, Log.openSync(dir))
  t.true(Math.abs(again.stats().compressionRatio - compressionRatio) < 0.01)
  t.true(again.stats().indexBytes > 0)
})
