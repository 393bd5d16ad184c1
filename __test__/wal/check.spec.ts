import { readdirSync } from 'node:fs'
import test from 'ava'
import { type Progress, Wal } from 'varve'
import { contents, freshDir, freshWal } from '../support/directory.ts'

test('check reads every frame, and changes nothing', async (t) => {
  const dir = freshDir(t)
  const log = Wal.openSync(dir, { segmentSize: 65_536 })
  log.appendBatch(Array.from({ length: 2000 }, (_, i) => `${i}`.padEnd(100)))
  await log.close()
  const before = contents(dir)
  const progress: Progress[] = []
  const report = await Wal.check(dir, { onProgress: (step) => progress.push(step) })
  t.like(report, { ok: true, entries: 2000, damage: [] })
  t.true(report.segments > 2)
  t.true(report.bytes >= 200_000)
  t.deepEqual(progress.at(-1), { bytes: report.bytes, totalBytes: report.bytes, segments: report.segments, totalSegments: report.segments })
  t.true(progress.every(({ bytes, totalBytes, segments, totalSegments }) => bytes <= totalBytes && segments <= totalSegments))
  t.deepEqual(contents(dir), before)
})

test('an onProgress that throws fails its call', async (t) => {
  const log = freshWal(t)
  log.append('x')
  await log.sync()
  await t.throwsAsync(Wal.check(log.dir, { onProgress: () => { throw new Error('mine') } }), { message: 'mine' })
})

test('an aborted check ends with an AbortError', async (t) => {
  const log = freshWal(t)
  log.append('x')
  await log.sync()
  const control = new AbortController()
  const check = Wal.check(log.dir, { signal: control.signal })
  control.abort(new Error('enough'))
  const error = await t.throwsAsync(check, { name: 'AbortError', code: 'ABORT_ERR' })
  t.is((error.cause as Error).message, 'enough')
})

test('check and stat of what is not there is VARVE_IO, and makes nothing', async (t) => {
  const dir = freshDir(t)
  for (const call of [Wal.check(`${dir}/none`), Wal.stat(`${dir}/none`)]) {
    const error = await t.throwsAsync(call, { code: 'VARVE_IO' })
    t.is((error.cause as NodeJS.ErrnoException).code, 'ENOENT')
  }
  t.deepEqual(readdirSync(dir), [])
})

test('stats and stat agree', async (t) => {
  const log = freshWal(t, { firstIndex: 7 })
  log.appendBatch(['a', 'bc', 'def'])
  await log.sync()
  const stats = log.stats()
  t.like(stats, { entries: 3, firstIndex: 7, nextIndex: 10, durableIndex: 10, segments: 1, rotations: 0, pendingBytes: 0, failed: undefined })
  t.true(stats.bytes > 0)
  t.true(stats.syncs >= 1)
  t.true(stats.syncMicros.p50 <= stats.syncMicros.p99 && stats.syncMicros.p99 <= stats.syncMicros.max)
  t.deepEqual(stats.recovery.torn, [])
  t.deepEqual(stats.recovery.gaps, [])
  t.true(stats.recovery.micros >= 0)
  t.like(await Wal.stat(log.dir), { entries: 3, firstIndex: 7, nextIndex: 10, segments: 1 })
})
