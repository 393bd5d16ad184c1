import { statSync } from 'node:fs'
import test, { type ExecutionContext } from 'ava'
import { Log, type Migration, type Progress } from 'varve'
import { closedAfter, freshDir, lines, segments } from '../support/directory.ts'

/** A closed log of 3,000 messages in several segments. */
async function made(t: ExecutionContext): Promise<string> {
  const dir = freshDir(t)
  const log = Log.openSync(dir, { segmentSize: 65_536 })
  for (let i = 0; i < 3000; i++) log.append(`value ${i}`.padEnd(100), `key ${i % 100}`, { time: i })
  await log.close()
  return dir
}

const size = (dir: string): number => segments(dir).reduce((sum, path) => sum + statSync(path).size, 0)

test('indexes are added to a log that has messages, and taken away', async (t) => {
  const dir = await made(t)
  await Log.migrate(dir, { indexes: { key: true, time: true } })
  const log = Log.openSync(dir, { indexes: { key: true } })
  t.is(log.offsetByKey('key 5'), 2905)
  t.is(log.getByTime(1234.5)?.offset, 1235)
  await log.close()
  await Log.migrate(dir, { indexes: { key: false } })
  const without = closedAfter(t, Log.openSync(dir))
  t.throws(() => without.getByKey('key 5'), { code: 'VARVE_NO_INDEX' })
  t.is(without.getByTime(7)?.offset, 7)
})

test('messages are compressed anew, and the same as before', async (t) => {
  const dir = await made(t)
  const log = Log.openSync(dir)
  const before = lines(log)
  const { bytes } = log.stats()
  await log.close()
  const progress: Progress[] = []
  await Log.migrate(dir, { compression: { codec: 'zstd', level: 3 } }, { onProgress: (one) => progress.push(one) })
  t.true(progress.length > 3)
  t.is(progress.at(-1)!.segments, progress.at(-1)!.totalSegments)
  const packed = Log.openSync(dir)
  t.deepEqual(lines(packed), before)
  t.true(packed.stats().bytes < bytes / 3)
  t.true(packed.stats().compressionRatio < 0.5)
  await packed.close()
  const small = size(dir)
  await Log.migrate(dir, { compression: 'none' })
  t.deepEqual(lines(closedAfter(t, Log.openSync(dir))), before)
  t.true(size(dir) > small)
})

test('called off in a pause, it leaves a log that is whole; another call does the rest', async (t) => {
  const dir = await made(t)
  const before = lines(closedAfter(t, Log.openSync(dir, { readOnly: true })))
  const control = new AbortController()
  let pauses = 0
  const pause = async (): Promise<void> => {
    if (++pauses === 2) control.abort('enough')
  }
  const error = await t.throwsAsync(Log.migrate(dir, { compression: 'lz4' }, { signal: control.signal, pause }), { name: 'AbortError' })
  t.is(error.cause, 'enough')
  const log = Log.openSync(dir)
  t.deepEqual(lines(log), before)
  const half = log.stats().compressionRatio
  await log.close()
  await Log.migrate(dir, { compression: 'lz4' })
  const whole = closedAfter(t, Log.openSync(dir))
  t.deepEqual(lines(whole), before)
  t.true(whole.stats().compressionRatio < half && half < 1)
  await t.throwsAsync(Log.migrate(freshDir(t), {}, { signal: control.signal }), { name: 'AbortError' })
})

test('what cannot be is refused, and changes nothing', async (t) => {
  const dir = await made(t)
  const bad: unknown[] = [undefined, null, 5, { indexes: true }, { indexes: { key: 1 } }, { indexes: { offset: true } }, { compression: 'zip' }, { compression: { codec: 'gzip', level: 10 } }, { version: 0 }, { version: '1' }, { retention: {} }]
  for (const to of bad) await t.throwsAsync(Log.migrate(dir, to as Migration), { code: 'VARVE_INVALID_ARGUMENT' }, JSON.stringify(to))
  await t.throwsAsync(Log.migrate(dir, { version: 2 }), { code: 'VARVE_UNSUPPORTED' })
  await t.throwsAsync(Log.migrate(dir, {}, { pause: -1 }), { code: 'VARVE_INVALID_ARGUMENT' })
  await t.throwsAsync(Log.migrate(`${dir}/missing`, {}), { code: 'VARVE_IO' })
  await Log.migrate(dir, { version: 1 })
  t.is(lines(closedAfter(t, Log.openSync(dir))).length, 3000)
})
