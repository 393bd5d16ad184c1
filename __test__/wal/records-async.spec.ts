import test from 'ava'
import { Wal, type WalRecord } from 'varve'
import { closedAfter, freshDir, freshWal, segments } from '../support/directory.ts'
import { flipByte, take } from '../support/following.ts'

const collect = async <T>(records: AsyncIterable<WalRecord<T>>): Promise<WalRecord<T>[]> => {
  const all: WalRecord<T>[] = []
  for await (const record of records) all.push(record)
  return all
}
const fill = (log: Wal, count: number): void => {
  for (let i = 0; i < count; i++) log.append(`record ${i}`.padEnd(i % 400))
}
const check = (records: readonly WalRecord[], from: number, to: number): string | undefined => {
  if (records.length !== to - from) return `${records.length} records`
  const wrong = records.findIndex(({ index, data }, i) => index !== from + i || data.toString().trimEnd() !== `record ${index}`)
  return wrong < 0 ? undefined : `${wrong}: ${records[wrong]!.index} ${records[wrong]!.data.toString()}`
}

test('all records come in order over rotations, and it ends', async (t) => {
  const log = freshWal(t, { segmentSize: 65_536 })
  for (const count of [0, 1, 255, 256, 257, 5000]) {
    log.reset(0)
    fill(log, count)
    t.is(check(await collect(log.recordsAsync()), 0, count), undefined)
  }
})

test('from is included, to is not; outside of the log is VARVE_OUT_OF_RANGE', async (t) => {
  const log = freshWal(t, { segmentSize: 65_536 })
  fill(log, 5000)
  for (const [from, to] of [[0, 5000], [1, 4999], [2500, 2501], [4999, 5000], [5000, 5000], [7, 7]] as const) {
    t.is(check(await collect(log.recordsAsync({ from, to })), from, to), undefined, `${from} ${to}`)
  }
  t.deepEqual(await collect(log.recordsAsync({ from: 9, to: 6 })), [])
  log.truncateBefore(10)
  for (const options of [{ from: 9 }, { from: 5001 }, { to: 9 }, { to: 5001 }]) {
    await t.throwsAsync(async () => collect(log.recordsAsync(options)), { code: 'VARVE_OUT_OF_RANGE' })
  }
})

test('it sees what has been appended when it gets there, and stays done once it is', async (t) => {
  const log = freshWal(t)
  log.appendBatch(['a', 'b'])
  const records = log.recordsAsync()
  await take(records, 2)
  log.append('c')
  t.is((await take(records, 1))[0]!.data.toString(), 'c')
  t.true((await records.next()).done)
  log.append('d')
  t.true((await records.next()).done)
})

test('several calls of next at once are answered in their order', async (t) => {
  const log = freshWal(t)
  fill(log, 2000)
  const records = log.recordsAsync()
  const results = await Promise.all(Array.from({ length: 2005 }, () => records.next()))
  t.is(check(results.slice(0, 2000).map(({ value }) => value!), 0, 2000), undefined)
  t.true(results.slice(2000).every(({ done }) => done))
})

test('a gate ends it at the last committed record', async (t) => {
  const log = freshWal(t, { commitGate: true })
  fill(log, 1000)
  log.commit(699)
  t.is(check(await collect(log.recordsAsync()), 0, 700), undefined)
})

test('closed before its end it fails with VARVE_CLOSED: nobody takes a part for the whole', async (t) => {
  for (const begun of [0, 1, 300]) {
    const log = freshWal(t)
    fill(log, 20_000)
    const records = log.recordsAsync()
    await take(records, begun)
    await log.close()
    await t.throwsAsync(records.next(), { code: 'VARVE_CLOSED' })
    t.true((await records.next()).done)
  }
})

test('an abort rejects with an AbortError whose cause is the reason', async (t) => {
  const log = freshWal(t)
  fill(log, 5000)
  for (const begun of [0, 1, 700]) {
    const controller = new AbortController()
    const records = log.recordsAsync({ signal: controller.signal })
    await take(records, begun)
    const asked = [records.next(), records.next()]
    controller.abort('why')
    // Records that were at hand when they were asked for still come.
    const settled = await Promise.allSettled([...asked, records.next()])
    const failed = settled.filter((result) => result.status === 'rejected')
    t.is(failed.length, 1)
    t.like(failed[0]!.reason, { name: 'AbortError', code: 'ABORT_ERR', cause: 'why' })
    t.true((await records.next()).done)
  }
})

test('break releases what it holds', async (t) => {
  const log = freshWal(t, { segmentSize: 65_536 })
  fill(log, 5000)
  const before = log.segments().map(({ references }) => references)
  for await (const _ of log.recordsAsync()) break
  const records = log.recordsAsync()
  const asked = [records.next(), records.next()]
  await records.return!()
  await Promise.all(asked)
  t.deepEqual(log.segments().map(({ references }) => references), before)
})

test('a truncation behind it is BUSY, one before it changes what comes, and truncateBefore overtakes it', async (t) => {
  const log = freshWal(t)
  fill(log, 5000)
  const records = log.recordsAsync()
  await take(records, 10)
  t.throws(() => log.truncateAfter(8), { code: 'VARVE_BUSY' })
  log.truncateAfter(11)
  log.append('new')
  t.deepEqual((await take(records, 3)).map(({ data }) => data.toString().trimEnd()), ['record 10', 'record 11', 'new'])
  t.true((await records.next()).done)
  log.truncateAfter(0)

  fill(log, 5000)
  const overtaken = log.recordsAsync({ from: 5 })
  await take(overtaken, 3)
  log.truncateBefore(9)
  await t.throwsAsync(overtaken.next(), { code: 'VARVE_OUT_OF_RANGE' })
})

test('damage that the open did not look at is met there, and nothing before it is lost', async (t) => {
  const dir = freshDir(t)
  const log = Wal.openSync(dir, { segmentSize: 65_536 })
  fill(log, 3000)
  await log.close()
  flipByte(segments(dir)[1]!, 30_000)
  const again = closedAfter(t, Wal.openSync(dir))
  let next = 0
  const error = await t.throwsAsync(async () => {
    for await (const { index } of again.recordsAsync()) {
      if (index !== next++) t.fail(`${index}`)
    }
  }, { code: 'VARVE_CORRUPT' })
  const { path, position } = error as unknown as { path: string; position: number }
  t.is(path, segments(dir)[1]!)
  t.true(position <= 30_000 && position > 29_000)
  t.throws(() => again.get(next), { code: 'VARVE_CORRUPT' })
})
