import test, { type ExecutionContext } from 'ava'
import { Log, type LogOptions, type Progress, type RemoveResult, type Rule } from 'varve'
import { closedAfter, freshDir, freshLog, lines } from '../support/directory.ts'
import { soon } from '../support/soon.ts'

/** Messages of several segments: times rise by one, keys come again, every tenth deletes its key. */
function filled(t: ExecutionContext, count = 3000, options: LogOptions = {}): Log {
  const log = freshLog(t, { segmentSize: 65_536, ...options })
  for (let i = 0; i < count; i++) log.append(i % 10 === 9 ? null : `value ${i}`.padEnd(80), i % 7 === 0 ? null : `key ${i % 100}`, { time: i })
  return log
}

const offsets = (log: Log): number[] => Array.from(log.messages(), ({ offset }) => offset)

test('trim and find of each rule that removes from the start', async (t) => {
  const size = freshLog(t).sizeOf({ value: 'x'.padEnd(80), key: 'key 50' })
  const rules: [Rule, number][] = [[{ olderThan: 1000 }, 1000], [{ olderThan: new Date(1500) }, 1500], [{ beforeOffset: 2000 }, 2000], [{ keepMessages: 100 }, 2900], [{ keepMessages: 5000 }, 0]]
  for (const [rule, start] of rules) {
    const log = filled(t)
    t.deepEqual(await log.find(rule), Array.from({ length: start }, (_, i) => i))
    t.is(log.startOffset, 0)
    const { entries } = await log.trim(rule)
    t.is(entries, start)
    t.is(log.startOffset, start)
    t.deepEqual(offsets(log), Array.from({ length: 3000 - start }, (_, i) => start + i))
    if (start > 0) t.throws(() => log.get(start - 1), { code: 'VARVE_OUT_OF_RANGE' })
    t.is(log.nextOffset, 3000)
  }
  const log = filled(t)
  await log.trim({ keepBytes: 100 * size })
  const left = 3000 - log.startOffset
  t.true(left >= 100 && left < 125, `${left}`)
})

test('what was trimmed and deleted stays so after a reopen, and its offsets are never used again', async (t) => {
  const dir = freshDir(t)
  const log = await Log.open(dir, { segmentSize: 65_536 })
  for (let i = 0; i < 2000; i++) log.append(`value ${i}`.padEnd(60))
  await log.trim({ beforeOffset: 700 })
  const result = await log.delete([5, 700, 701, 1500, 1999, 5000])
  t.deepEqual(result.offsets, [700, 701, 1500, 1999])
  t.is(result.entries, 4)
  const before = lines(log)
  t.is(before.length, 1296)
  t.is(log.get(1500), undefined)
  t.is(log.startOffset, 702)
  await log.close()
  const again = closedAfter(t, Log.openSync(dir))
  t.deepEqual(lines(again), before)
  t.is(again.nextOffset, 2000)
  t.is(again.startOffset, 702)
  t.is(again.get(1500), undefined)
  t.is(again.get('last')!.offset, 1998)
  t.is(again.append('new'), 2000)
  t.is(again.consume(1500, { max: 1 }).messages[0]!.offset, 1501)
})

test('an empty log has a startOffset that is its nextOffset', async (t) => {
  const log = filled(t, 500)
  await log.trim({ keepMessages: 0 })
  t.is(log.startOffset, 500)
  t.is(log.get('first'), undefined)
  t.is(log.get('last'), undefined)
  t.deepEqual(offsets(log), [])
  t.is(log.append('x'), 500)
  t.is(log.get('first')!.offset, 500)
})

for (const key of [false, true]) {
  test(`compact keeps the last message of every key, and all without a key; ${key ? 'with' : 'without'} a key index`, async (t) => {
    const log = filled(t, 3000, { indexes: { key } })
    const messages = [...log.messages()].map(({ offset, key, value }) => ({ offset, key: key?.toString(), value: value?.toString() }))
    const last = new Map(messages.map(({ offset, key }) => [key, offset]))
    const replaced = messages.filter(({ offset, key }) => key !== undefined && last.get(key) !== offset).map(({ offset }) => offset)
    t.deepEqual(await log.find({ updatesBefore: 1e6 }), replaced)
    const { entries } = await log.compact()
    const expected = messages.filter(({ offset, key, value }) => key === undefined || (last.get(key) === offset && value !== undefined))
    t.deepEqual(offsets(log), expected.map(({ offset }) => offset))
    t.is(entries, 3000 - expected.length)
    t.deepEqual(await log.find({ updatesBefore: 1e6 }), [])
    t.deepEqual(await log.find({ deletesBefore: 1e6 }), [])
  })
}

test('a rule is one: none, two, or an unknown one is refused, and nothing is removed', async (t) => {
  const log = filled(t, 100)
  const bad: unknown[] = [undefined, null, {}, { olderThan: undefined }, { olderThan: 5, keepMessages: 5 }, { everything: true }, 5, 'all', { keepMessages: -1 }, { beforeOffset: 1.5 }, { olderThan: 'x' }]
  for (const rule of bad) {
    await t.throwsAsync(log.trim(rule as Rule), { code: 'VARVE_INVALID_ARGUMENT' }, JSON.stringify(rule))
    await t.throwsAsync(log.find(rule as Rule), { code: 'VARVE_INVALID_ARGUMENT' })
  }
  for (const given of [undefined, null, 5, {}, [-1], ['0'], [0.5]]) await t.throwsAsync(log.delete(given as number[]), { code: 'VARVE_INVALID_ARGUMENT' })
  for (const options of [{ pause: -1 }, { pause: 'x' }, { unheard: 1 }, { before: 'x' }]) await t.throwsAsync(log.compact(options as object), { code: 'VARVE_INVALID_ARGUMENT' })
  t.deepEqual(await log.delete([]), { segments: 0, entries: 0, bytes: 0, offsets: [] })
  await t.throwsAsync(log.trim({ beforeOffset: 101 }), { code: 'VARVE_OUT_OF_RANGE' })
  t.is(offsets(log).length, 100)
})

test('a removal can be paused, watched and called off; what was done stays done', async (t) => {
  const log = filled(t)
  const progress: Progress[] = []
  let pauses = 0
  await log.delete(Array.from({ length: 3000 }, (_, i) => i).filter((i) => i % 2 === 0), { onProgress: (one) => progress.push(one), pause: async () => void pauses++ })
  t.true(pauses > 3)
  t.is(progress.length, pauses)
  t.is(offsets(log).length, 1500)
  const controller = new AbortController()
  const pause = async (): Promise<void> => controller.abort('enough')
  const error = await t.throwsAsync(log.trim({ updatesBefore: 1e6 }, { signal: controller.signal, pause }), { name: 'AbortError', code: 'ABORT_ERR' })
  t.is(error!.cause, 'enough')
  const left = offsets(log)
  t.true(left.length < 1500 && left.every((offset) => offset % 2 === 1))
  await t.throwsAsync(log.compact({ signal: controller.signal }), { code: 'ABORT_ERR' })
  await t.throwsAsync(log.delete(left.slice(-1), { onProgress: () => { throw new Error('on purpose') } }), { message: 'on purpose' })
})

test('readers beside a removal: one overtaken is told, never skips silently what is held', async (t) => {
  const log = filled(t)
  const behind = log.messages()
  behind.next()
  using reader = log.reader({ from: 2500 })
  t.true(reader.advance())
  const subscription = log.subscribe({ from: 2000 })
  await subscription.next()
  await log.trim({ beforeOffset: 1000 })
  await log.delete([2600, 2601])
  t.throws(() => [...behind], { code: 'VARVE_OUT_OF_RANGE' })
  const seen = [reader.offset]
  while (reader.advance()) seen.push(reader.offset)
  t.deepEqual(seen.filter((offset) => offset !== 2600 && offset !== 2601), Array.from({ length: 500 }, (_, i) => 2500 + i).filter((offset) => offset !== 2600 && offset !== 2601))
  await subscription.return!()
})

test('segments that hold nothing any more leave the disk, and listeners are told', async (t) => {
  const log = filled(t)
  const deleted: number[] = []
  log.on('delete', ({ id }) => deleted.push(id))
  const before = log.segments().length
  const result: RemoveResult = await log.trim({ beforeOffset: 2000 })
  t.true(result.segments >= 2)
  await log.sync()
  t.true(await soon(() => deleted.length === result.segments))
  t.is(log.segments().length, before - result.segments)
})
