import { setImmediate } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { Log, type LogOptions, type Retention, type SegmentInfo } from 'varve'
import { closedAfter, freshDir } from '../support/directory.ts'
import { soon } from '../support/soon.ts'
import { thread } from '../support/thread.ts'

const nothing = { segments: 0, entries: 0, bytes: 0 }

/** A log of 3,000 messages in several segments, their times rising by one; made without retention, then opened with it. */
async function logOf(t: ExecutionContext, retention: Retention, options: LogOptions = {}): Promise<Log> {
  const dir = freshDir(t)
  const made = Log.openSync(dir, { segmentSize: 65_536, ...options })
  for (let i = 0; i < 3000; i++) made.append(`value ${i}`.padEnd(80), `key ${i % 100}`, { time: i })
  await made.close()
  return closedAfter(t, Log.openSync(dir, { segmentSize: 65_536, ...options, retention }))
}

test('maxMessages keeps so many, to the message; the result says what went', async (t) => {
  const log = await logOf(t, { maxMessages: 1000 })
  const before = log.segments().length
  const removed = await log.enforceRetention()
  t.is(removed.entries, 2000)
  t.true(removed.segments >= 2 && removed.bytes > 0)
  t.is(log.startOffset, 2000)
  t.is(log.segments().length, before - removed.segments)
  t.deepEqual(await log.enforceRetention(), nothing)
  log.append('more')
  t.is((await log.enforceRetention()).entries, 1)
  await log.close()
  t.is(closedAfter(t, Log.openSync(log.dir)).startOffset, 2001)
})

test('maxAgeMs removes what is older, up to the first that is not', async (t) => {
  const log = await logOf(t, { maxAgeMs: 3_600_000 })
  const now = log.append('new')
  log.append('old again', null, { time: 5 })
  t.is((await log.enforceRetention()).entries, 3000)
  t.is(log.startOffset, now)
  t.is(log.get('last')!.value!.toString(), 'old again')
})

test('maxBytes removes whole segments, and never the active one', async (t) => {
  const log = await logOf(t, { maxBytes: 150_000 })
  const removed = await log.enforceRetention()
  t.true(removed.segments > 0)
  t.is(log.startOffset, removed.entries)
  const left = log.segments().reduce((sum, { bytes }) => sum + bytes, 0)
  t.true(left <= 150_000 && left > 60_000, `${left}`)
  const none = await logOf(t, { maxBytes: 0 })
  await none.enforceRetention()
  t.is(none.segments().length, 1)
})

test('without rules nothing is removed', async (t) => {
  const log = await logOf(t, {})
  t.deepEqual(await log.enforceRetention(), nothing)
  t.is(log.startOffset, 0)
})

test('a cursor with holdRetention keeps what it has not read, and stats tell what it keeps', async (t) => {
  const log = await logOf(t, { maxMessages: 500 })
  const slow = log.cursor('slow', { from: 'start', holdRetention: true })
  log.cursor('other', { from: 'start' })
  slow.save(700)
  t.is((await log.enforceRetention()).entries, 700)
  t.is(log.startOffset, 700)
  t.is(log.stats().held.messages, 1800)
  t.true(log.stats().held.bytes > 100_000)
  slow.save(3000)
  t.is((await log.enforceRetention()).entries, 1800)
  t.deepEqual(log.stats().held, { messages: 0, bytes: 0 })
  slow.delete()
  t.deepEqual(log.cursors().map(({ name, offset }) => [name, offset]), [['other', 0]])
})

test('it runs by itself when a segment rotates', async (t) => {
  const log = closedAfter(t, Log.openSync(freshDir(t), { segmentSize: 65_536, retention: { maxMessages: 100 } }))
  for (let i = 0; i < 3000; i++) log.append(`value ${i}`.padEnd(80))
  t.true(await soon(() => log.startOffset > 2000 && log.segments().length <= 2))
  t.is(log.get(2999)?.value?.toString().trim(), 'value 2999')
})

test('it runs by itself with intervalMs, in the background, and not without', async (t) => {
  const log = await logOf(t, { maxMessages: 10, intervalMs: 5 })
  t.true(await soon(() => log.startOffset === 2990))
  const still = await logOf(t, { maxMessages: 10 })
  for (let i = 0; i < 20; i++) {
    await still.sync()
    await setImmediate()
  }
  t.is(still.startOffset, 0)
})

test('mayDelete is asked for each segment that is to go; the first false keeps its messages, and all behind them', async (t) => {
  const asked: SegmentInfo[] = []
  let keep: number | undefined
  const mayDelete = (segment: SegmentInfo): boolean => {
    asked.push(segment)
    return segment.id !== keep
  }
  const log = await logOf(t, { maxMessages: 0, mayDelete })
  const before = log.segments()
  keep = before[2]!.id
  const removed = await log.enforceRetention()
  t.deepEqual(asked.map(({ id }) => id), before.slice(0, 3).map(({ id }) => id))
  t.is(removed.segments, 2)
  t.is(removed.entries, log.startOffset)
  t.is(log.segments()[0]!.id, keep)
  keep = undefined
  await log.enforceRetention()
  t.is(log.startOffset, 3000)
})

test('mayDelete that throws keeps things as they are, and is an error event', async (t) => {
  const log = await logOf(t, { maxMessages: 100, mayDelete: () => { throw new Error('mine') } })
  const errors: Error[] = []
  log.on('error', (error) => errors.push(error))
  t.deepEqual(await log.enforceRetention(), nothing)
  t.deepEqual(errors.map(({ message }) => message), ['mine'])
  t.is(log.startOffset, 0)
})

test('handles agree on the rules; one without takes those of the log, and asks in its own thread', async (t) => {
  const log = await logOf(t, { maxMessages: 100 })
  t.throws(() => Log.openSync(log.dir, { retention: { maxMessages: 200 } }), { code: 'VARVE_INVALID_ARGUMENT', message: /maxMessages is 100 .* 200/ })
  t.throws(() => Log.openSync(log.dir, { retention: { maxBytes: 200 } }), { code: 'VARVE_INVALID_ARGUMENT' })
  const other = thread(t)
  await other.run('state.log = await Log.open(args, { retention: { mayDelete: () => false } })', log.dir)
  t.deepEqual(await log.enforceRetention(), nothing)
  await other.run('await state.log.close()')
  t.is((await log.enforceRetention()).entries, 2900)
})

test('bad rules are refused, and a follower enforces nothing', async (t) => {
  const bad: unknown[] = [5, 'all', { maxMessages: -1 }, { maxMessages: 1.5 }, { maxAgeMs: '5' }, { maxBytes: NaN }, { mayDelete: true }, { intervalMs: -1 }, { maxSegments: 5 }]
  const dir = freshDir(t)
  for (const retention of bad) t.throws(() => Log.openSync(dir, { retention: retention as Retention }), { code: 'VARVE_INVALID_ARGUMENT' }, JSON.stringify(retention))
  const log = await logOf(t, { maxMessages: 100 })
  const reader = closedAfter(t, Log.openSync(log.dir, { readOnly: true }))
  await t.throwsAsync(reader.enforceRetention(), { code: 'VARVE_READONLY' })
  await log.close()
  await t.throwsAsync(log.enforceRetention(), { code: 'VARVE_CLOSED' })
})
