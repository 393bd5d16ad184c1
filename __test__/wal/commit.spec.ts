import { setImmediate } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { Wal, type WalOptions, type WalRecord } from 'varve'
import { closedAfter, freshDir, freshWal, texts } from '../support/directory.ts'
import { thread } from '../support/thread.ts'

const gate = { commitGate: true }
const outOfRange = { code: 'VARVE_OUT_OF_RANGE' }

const fill = (log: Wal, count: number, what = 'record'): void => {
  log.appendBatch(Array.from({ length: count }, (_, i) => `${what} ${log.nextIndex + i}`))
}

const open = (t: ExecutionContext, dir: string, options?: WalOptions): Wal => closedAfter(t, Wal.openSync(dir, options))

const all = async (records: AsyncIterable<WalRecord>): Promise<number[]> => {
  const seen: number[] = []
  for await (const { index } of records) seen.push(index)
  return seen
}

test('committedIndex begins at firstIndex - 1; without a gate it is nextIndex - 1', (t) => {
  for (const firstIndex of [0, 100]) {
    const dir = freshDir(t)
    const gated = open(t, dir, { ...gate, firstIndex })
    const plain = open(t, dir)
    t.is(gated.committedIndex, firstIndex - 1)
    t.is(plain.committedIndex, firstIndex - 1)
    fill(plain, 10)
    t.is(gated.committedIndex, firstIndex - 1)
    t.is(plain.committedIndex, firstIndex + 9)
  }
})

test('the gate holds records, recordsAsync, reader and tail at the last committed record; get it does not hold', async (t) => {
  const log = open(t, freshDir(t), gate)
  fill(log, 10)
  t.deepEqual(texts(log), [])
  t.deepEqual(await all(log.recordsAsync()), [])
  using reader = log.reader()
  t.false(reader.advance())
  t.is(log.get(9)?.toString(), 'record 9')
  t.is((await log.getAsync(9))?.toString(), 'record 9')
  const tail = log.tail()
  const first = tail.next()
  await setImmediate()
  log.commit(3)
  t.is(log.committedIndex, 3)
  t.is((await first).value!.index, 0)
  for (let i = 1; i <= 3; i++) t.is((await tail.next()).value!.index, i)
  t.deepEqual(texts(log), ['record 0', 'record 1', 'record 2', 'record 3'])
  t.deepEqual(await all(log.recordsAsync({ from: 2 })), [2, 3])
  for (let i = 0; i <= 3; i++) {
    t.true(reader.advance())
    t.is(reader.index, i)
  }
  t.false(reader.advance())
  // They may begin past the gate, and see nothing there yet.
  t.deepEqual(texts(log, 7), [])
  using later = log.reader({ from: 7 })
  t.false(later.advance())
  const waiting = tail.next()
  await setImmediate()
  log.commit(7)
  t.is((await waiting).value!.index, 4)
  t.true(later.advance())
  t.is(later.index, 7)
  t.false(later.advance())
  await tail.return!()
})

test('commit is up to the index, included; at or past nextIndex it is VARVE_OUT_OF_RANGE, and back it does not go', (t) => {
  const log = open(t, freshDir(t), { ...gate, firstIndex: 5 })
  t.throws(() => log.commit(5), outOfRange)
  fill(log, 10)
  for (const index of [15, 16, 2 ** 40, Number.MAX_SAFE_INTEGER]) t.throws(() => log.commit(index), outOfRange)
  t.is(log.committedIndex, 4)
  log.commit(14)
  t.is(log.committedIndex, 14)
  for (const index of [14, 13, 5, 4, 0]) log.commit(index)
  t.is(log.committedIndex, 14)
  fill(log, 1)
  t.is(log.committedIndex, 14)
})

test('the gate is one of the handle: one is held, another not, and both commit for all', async (t) => {
  const dir = freshDir(t)
  const gated = open(t, dir, gate)
  const plain = open(t, dir, { commitGate: false })
  const unsaid = open(t, dir)
  fill(gated, 5)
  t.deepEqual([gated, plain, unsaid].map((log) => texts(log).length), [0, 5, 5])
  plain.commit(1)
  t.deepEqual([gated, plain, unsaid].map((log) => texts(log).length), [2, 5, 5])
  t.deepEqual([gated, plain, unsaid].map((log) => log.committedIndex), [1, 4, 4])
  t.is(gated.stats().committedIndex, 1)
  t.is(plain.stats().committedIndex, 1)
})

test('the gate over two workers: each sees what its own handle lets it, and a commit in one wakes a tail in the other', async (t) => {
  const log = open(t, freshDir(t))
  fill(log, 10)
  const [held, free] = [thread(t), thread(t)]
  await held.run('state.log = Wal.openSync(args, { commitGate: true }); state.tail = state.log.tail()', log.dir)
  await free.run('state.log = Wal.openSync(args)', log.dir)
  const count = 'return [...state.log.records()].length'
  t.is(await held.run(count), 0)
  t.is(await free.run(count), 10)
  const first = held.run<number>('return (await state.tail.next()).value.index')
  await free.run('state.log.commit(4)')
  t.is(await first, 0)
  t.is(await held.run(count), 5)
  t.is(await free.run(count), 10)
  t.is(await held.run('return state.log.committedIndex'), 4)
  log.truncateAfter(2)
  t.is(await held.run('return state.log.committedIndex'), 2)
  fill(log, 5)
  t.is(await held.run(count), 3)
})

test('waitFor resolves once readers of its handle may see the record', async (t) => {
  const dir = freshDir(t)
  const gated = open(t, dir, gate)
  const plain = open(t, dir)
  let seen = false
  const behindGate = gated.waitFor(2).then((next) => {
    seen = true
    return next
  })
  const free = plain.waitFor(2)
  fill(plain, 5)
  t.is(await free, 5)
  await setImmediate()
  t.false(seen)
  plain.commit(1)
  await setImmediate()
  t.false(seen)
  plain.commit(2)
  t.is(await behindGate, 5)
})

test('commit is there again after a sync and a reopen, with or without the gate', async (t) => {
  for (const end of ['sync', 'syncSync', 'close'] as const) {
    const dir = freshDir(t)
    const log = open(t, dir, gate)
    fill(log, 10)
    log.commit(6)
    if (end === 'sync') await log.sync()
    if (end === 'syncSync') log.syncSync()
    await log.close()
    const again = open(t, dir, gate)
    t.is(again.committedIndex, 6, end)
    t.is(texts(again).length, 7)
    fill(again, 5)
    t.is(again.committedIndex, 6)
    // Over segments too.
    again.rotate()
    fill(again, 5)
    again.commit(17)
    again.rotate()
    await again.close()
    t.is(open(t, dir, gate).committedIndex, 17)
  }
})

test('a commit with nothing appended since is durable with the next sync, too', async (t) => {
  const dir = freshDir(t)
  const log = open(t, dir, gate)
  fill(log, 10)
  await log.sync()
  const syncs = log.stats().syncs
  log.commit(4)
  await log.sync()
  t.true(log.stats().syncs > syncs)
})

test('truncation takes back the commits of what it drops, and no others', async (t) => {
  const dir = freshDir(t)
  const log = open(t, dir, gate)
  fill(log, 10)
  log.commit(7)
  log.truncateAfter(8)
  t.is(log.committedIndex, 7)
  log.truncateAfter(4)
  t.is(log.committedIndex, 4)
  fill(log, 10, 'other')
  t.is(log.committedIndex, 4)
  t.is(texts(log).length, 5)
  log.truncateAfter(-1)
  t.is(log.committedIndex, -1)
  fill(log, 3)
  t.deepEqual(texts(log), [])
  await log.close()
  const again = open(t, dir, gate)
  t.is(again.committedIndex, -1)
  t.throws(() => again.commit(3), outOfRange)
  again.commit(2)
  t.is(texts(again).length, 3)
})

test('truncateBefore past the gate moves it along: committedIndex is never less than firstIndex - 1', async (t) => {
  const dir = freshDir(t)
  const log = open(t, dir, gate)
  fill(log, 10)
  log.commit(2)
  log.truncateBefore(2)
  t.is(log.committedIndex, 2)
  log.truncateBefore(6)
  t.is(log.committedIndex, 5)
  t.deepEqual(texts(log), [])
  await log.close()
  const again = open(t, dir, gate)
  t.is(again.committedIndex, 5)
  again.commit(7)
  t.deepEqual(texts(again), ['record 6', 'record 7'])
})

test('a gated scan ends at the gate as of each step, and `to` may lie behind it', (t) => {
  const log = open(t, freshDir(t), gate)
  fill(log, 600)
  log.commit(1)
  const records = log.records({ to: 500 })
  t.is(records.next().value.index, 0)
  t.is(records.next().value.index, 1)
  log.commit(2)
  t.is(records.next().value.index, 2)
  log.commit(599)
  const rest = Array.from({ [Symbol.iterator]: () => records }, ({ index }) => index)
  t.is(rest.length, 497)
  t.is(rest.at(-1), 499)
})

test('what is behind the gate may be truncated: nobody has seen it', (t) => {
  const log = open(t, freshDir(t), gate)
  fill(log, 600)
  log.commit(2)
  using reader = log.reader()
  while (reader.advance()) { /* to the gate */ }
  t.is(reader.index, 2)
  log.truncateAfter(2)
  fill(log, 2, 'other')
  log.commit(4)
  t.true(reader.advance())
  t.is(reader.data().toString(), 'other 3')
})

test('commit and the gate without a commit ever: a log is opened and closed as it was', async (t) => {
  const log = freshWal(t)
  fill(log, 3)
  await log.close()
  const gated = open(t, log.dir, gate)
  t.is(gated.committedIndex, -1)
  t.deepEqual(texts(gated), [])
})
