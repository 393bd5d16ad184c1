import test, { type ExecutionContext } from 'ava'
import { Wal } from 'varve'
import { closedAfter, contents, freshDir, freshWal, texts } from '../support/directory.ts'
import { soon } from '../support/soon.ts'

const outOfRange = { code: 'VARVE_OUT_OF_RANGE' }

const fill = (log: Wal, count: number, what = 'record'): void => {
  log.appendBatch(Array.from({ length: count }, (_, i) => `${what} ${log.nextIndex + i}`))
}

/** The log as every way of reading shows it. */
function holds(t: ExecutionContext, log: Wal, first: number, expected: readonly string[]): void {
  const next = first + expected.length
  t.is(log.firstIndex, first)
  t.is(log.nextIndex, next)
  t.deepEqual(texts(log), expected)
  for (const index of [first - 1, next, next + 1]) if (index >= 0) t.is(log.get(index), undefined)
  expected.forEach((text, i) => t.is(log.get(first + i)?.toString(), text))
  const { entries, firstIndex, nextIndex } = log.stats()
  t.deepEqual({ entries, firstIndex, nextIndex }, { entries: expected.length, firstIndex: first, nextIndex: next })
}

test('truncateAfter drops every record after the index, and the next record follows it', (t) => {
  const log = freshWal(t)
  fill(log, 10)
  log.truncateAfter(4)
  holds(t, log, 0, Array.from({ length: 5 }, (_, i) => `record ${i}`))
  t.is(log.append('other 5'), 5)
  t.is(log.get(5)?.toString(), 'other 5')
  t.deepEqual(texts(log, 4), ['record 4', 'other 5'])
})

test('truncateAfter(firstIndex - 1) empties the log, also where that is -1', async (t) => {
  for (const firstIndex of [0, 7]) {
    const dir = freshDir(t)
    const log = closedAfter(t, Wal.openSync(dir, { firstIndex }))
    fill(log, 10)
    log.truncateAfter(firstIndex - 1)
    holds(t, log, firstIndex, [])
    // An empty log may be emptied.
    log.truncateAfter(firstIndex - 1)
    await log.close()
    const again = closedAfter(t, Wal.openSync(dir))
    holds(t, again, firstIndex, [])
    t.is(again.append('first'), firstIndex)
    holds(t, again, firstIndex, ['first'])
  }
})

test('truncateAfter the last record does nothing at all', async (t) => {
  const log = freshWal(t)
  fill(log, 10)
  await log.sync()
  const before = contents(log.dir)
  log.truncateAfter(9)
  await log.truncateAfterAsync(9)
  await log.sync()
  t.deepEqual(contents(log.dir), before)
  t.is(log.nextIndex, 10)
})

test('truncateAfter at or past nextIndex, or before firstIndex - 1, is VARVE_OUT_OF_RANGE, and nothing happens', async (t) => {
  const log = freshWal(t, { firstIndex: 5 })
  fill(log, 10)
  await log.sync()
  const before = contents(log.dir)
  for (const index of [15, 16, 3, 0, -1, 2 ** 32 + 7, Number.MAX_SAFE_INTEGER]) {
    t.throws(() => log.truncateAfter(index), outOfRange, String(index))
    await t.throwsAsync(log.truncateAfterAsync(index), outOfRange, String(index))
  }
  await log.sync()
  t.deepEqual(contents(log.dir), before)
})

test('truncateBefore moves firstIndex exactly there, also after reopening, and what is before is not readable', async (t) => {
  const dir = freshDir(t)
  const log = closedAfter(t, Wal.openSync(dir))
  fill(log, 10)
  log.truncateBefore(4)
  const left = Array.from({ length: 6 }, (_, i) => `record ${i + 4}`)
  holds(t, log, 4, left)
  t.throws(() => log.records({ from: 3 }), outOfRange)
  t.throws(() => log.reader({ from: 3 }), outOfRange)
  t.is(await log.getAsync(3), undefined)
  t.is(log.positionOf(3), undefined)
  await log.close()
  for (const verify of [false, true]) {
    const again = closedAfter(t, Wal.openSync(dir, { verify }))
    holds(t, again, 4, left)
    await again.close()
  }
})

test('truncateBefore at or before firstIndex does nothing; past nextIndex is VARVE_OUT_OF_RANGE', async (t) => {
  const log = freshWal(t, { firstIndex: 5 })
  fill(log, 10)
  await log.sync()
  const before = contents(log.dir)
  for (const index of [0, 4, 5]) {
    log.truncateBefore(index)
    await log.truncateBeforeAsync(index)
  }
  for (const index of [16, 2 ** 40, Number.MAX_SAFE_INTEGER]) {
    t.throws(() => log.truncateBefore(index), outOfRange)
    await t.throwsAsync(log.truncateBeforeAsync(index), outOfRange)
  }
  await log.sync()
  t.deepEqual(contents(log.dir), before)
  t.is(log.firstIndex, 5)
})

test('truncateBefore(nextIndex) empties the log, and indexes go on', async (t) => {
  const log = freshWal(t)
  fill(log, 10)
  log.truncateBefore(10)
  holds(t, log, 10, [])
  t.is(log.append('ten'), 10)
  log.truncateAfter(9)
  holds(t, log, 10, [])
  log.append('other')
  await log.close()
  const again = closedAfter(t, Wal.openSync(log.dir))
  holds(t, again, 10, ['other'])
})

test('what was cut and what came instead: after a clean reopen nothing old comes back', async (t) => {
  const dir = freshDir(t)
  let log = closedAfter(t, Wal.openSync(dir, { segmentSize: 65_536 }))
  for (let i = 0; i < 2000; i++) log.append(`old ${i}`.padEnd(100))
  await log.sync()
  log.truncateAfter(700)
  for (let i = 701; i < 1500; i++) log.append(`new ${i}`.padEnd(100))
  log.truncateAfter(1000)
  log.truncateBefore(100)
  log.append('last')
  const expected = [...Array.from({ length: 601 }, (_, i) => `old ${i + 100}`), ...Array.from({ length: 300 }, (_, i) => `new ${i + 701}`), 'last']
  const check = (): void => {
    t.is(log.firstIndex, 100)
    t.is(log.nextIndex, 1002)
    t.deepEqual(texts(log).map((text) => text.trim()), expected)
  }
  check()
  for (const verify of [false, true]) {
    await log.close()
    t.deepEqual((await Wal.check(dir)).damage, [])
    log = closedAfter(t, Wal.openSync(dir, { verify }))
    check()
    t.deepEqual(log.stats().recovery.torn, [])
  }
})

test('many truncations one after the other keep the log right, and leave no heap of files', async (t) => {
  const dir = freshDir(t)
  let log = closedAfter(t, Wal.openSync(dir, { segmentSize: 65_536 }))
  const model: string[] = []
  for (let round = 0; round < 60; round++) {
    for (let i = 0; i < 30; i++) {
      model.push(`${round}.${i}`)
      log.append(model.at(-1)!)
    }
    const keep = Math.floor(model.length * 0.7)
    log.truncateAfter(keep - 1)
    model.length = keep
    if (round % 15 === 14) {
      await log.close()
      log = closedAfter(t, Wal.openSync(dir))
    }
    t.deepEqual(texts(log), model)
  }
  await log.sync()
  t.true(await soon(() => log.segments().every(({ pendingDeletion }) => !pendingDeletion)))
})

test('a batch may be cut in its middle', async (t) => {
  const dir = freshDir(t)
  const log = closedAfter(t, Wal.openSync(dir))
  log.appendBatch(['a', 'b', 'c', 'd'])
  log.truncateAfter(1)
  log.append('e')
  await log.close()
  const again = closedAfter(t, Wal.openSync(dir))
  holds(t, again, 0, ['a', 'b', 'e'])
  again.truncateBefore(1)
  await again.close()
  holds(t, closedAfter(t, Wal.openSync(dir)), 1, ['b', 'e'])
})

test('durableIndex is never past the end, and what comes after a truncation is not durable before its own sync', async (t) => {
  const log = freshWal(t)
  fill(log, 100)
  t.is(await log.sync(), 100)
  log.truncateAfter(49)
  t.is(log.nextIndex, 50)
  t.true(log.durableIndex <= 50)
  fill(log, 30, 'other')
  t.true(log.durableIndex <= 50)
  t.is(await log.sync(), 80)
  log.truncateBefore(60)
  t.true(log.durableIndex >= 60 && log.durableIndex <= 80)
  log.truncateAfter(59)
  t.is(log.syncSync(), 60)
  t.is(log.durableIndex, 60)
})

test('promises of records that are cut before they are durable are settled', async (t) => {
  const log = freshWal(t)
  const promises = Array.from({ length: 20 }, (_, i) => log.appendAsync(`${i}`, { durability: 'disk' }))
  const synced = log.sync()
  log.truncateAfter(9)
  const later = log.appendAsync('other', { durability: 'disk' })
  t.deepEqual(await Promise.all(promises), Array.from({ length: 20 }, (_, i) => i))
  t.true((await synced) <= 11)
  t.is(await later, 10)
  t.is(log.durableIndex, 11)
  t.is(log.nextIndex, 11)
})

test('truncateAfterAsync and truncateBeforeAsync happen at the call, and resolve to nothing; at disk the truncation is durable then', async (t) => {
  const log = closedAfter(t, Wal.openSync(freshDir(t), { durability: 'disk' }))
  fill(log, 10)
  const syncs = log.stats().syncs
  const cut = log.truncateAfterAsync(6)
  t.is(log.nextIndex, 7)
  t.is(await cut, undefined)
  const trimmed = log.truncateBeforeAsync(3)
  t.is(log.firstIndex, 3)
  t.is(await trimmed, undefined)
  t.true(log.stats().syncs > syncs)
  t.is(log.durableIndex, 7)
})

test('expectedIndex goes by the end as the truncation has left it', async (t) => {
  const log = freshWal(t)
  fill(log, 10)
  log.truncateAfter(4)
  t.throws(() => log.append('x', { expectedIndex: 10 }), { code: 'VARVE_CONFLICT' })
  await t.throwsAsync(log.appendBatchAsync(['x', 'y'], { expectedIndex: 6 }), { code: 'VARVE_CONFLICT' })
  t.is(log.append('x', { expectedIndex: 5 }), 5)
  t.is(log.appendBatch(['y', 'z'], { expectedIndex: 6 }), 6)
  log.truncateAfter(-1)
  t.throws(() => log.append('x', { expectedIndex: 8 }), { code: 'VARVE_CONFLICT' })
  t.is(await log.appendAsync('x', { expectedIndex: 0 }), 0)
})

const changes: [string, (log: Wal) => unknown][] = [
  ['truncateAfter', (log) => log.truncateAfter(0)], ['truncateAfterAsync', (log) => log.truncateAfterAsync(0)], ['truncateBefore', (log) => log.truncateBefore(1)],
  ['truncateBeforeAsync', (log) => log.truncateBeforeAsync(1)], ['reset', (log) => log.reset(5)], ['commit', (log) => log.commit(0)], ['rotate', (log) => log.rotate()],
  ['enforceRetention', (log) => log.enforceRetention()],
]

test('on a handle that was opened with readOnly every change is VARVE_READONLY, and nothing happens', async (t) => {
  const log = freshWal(t)
  fill(log, 5)
  await log.sync()
  const before = contents(log.dir)
  const reading = closedAfter(t, Wal.openSync(log.dir, { readOnly: true }))
  for (const [name, change] of changes) await t.throwsAsync(async () => change(reading), { code: 'VARVE_READONLY' }, name)
  t.deepEqual(contents(log.dir), before)
  t.is(reading.nextIndex, 5)
})

test('after close every change and every look is VARVE_CLOSED', async (t) => {
  const log = freshWal(t)
  fill(log, 5)
  await log.close()
  const looks: [string, (log: Wal) => unknown][] = [
    ['segments', () => log.segments()], ['pin', () => log.pin(1)], ['positionOf', () => log.positionOf(0)], ['getAt', () => log.getAt({ segment: 1, offset: 1088 })],
    ['recordsAsync', () => log.recordsAsync()], ['tail', () => log.tail()], ['committedIndex', () => log.committedIndex], ['view', () => log.get(0, { zeroCopy: true })],
    ['waitFor', () => log.waitFor(0)], ['backup', () => log.backup(`${log.dir}-copy`)],
  ]
  for (const [name, call] of [...changes, ...looks]) await t.throwsAsync(async () => call(log), { code: 'VARVE_CLOSED' }, name)
})
