import test from 'ava'
import { type Wal, type WalRecord } from 'varve'
import { freshWal } from '../support/directory.ts'

const fill = (log: Wal, count: number): void => {
  log.appendBatch(Array.from({ length: count }, (_, i) => `record ${log.nextIndex + i}`))
}

const indexes = (records: Iterable<WalRecord>): number[] => Array.from(records, ({ index }) => index)

test('all records come in order, with their indexes', (t) => {
  const log = freshWal(t)
  fill(log, 3000)
  let next = 0
  for (const { index, data } of log.records()) {
    if (index !== next || data.toString() !== `record ${next}`) t.fail(`${index}: ${data}`)
    next++
  }
  t.is(next, 3000)
})

test('a record is a plain object', (t) => {
  const log = freshWal(t)
  log.append('a')
  const [record] = log.records()
  t.deepEqual({ ...record }, { index: 0, data: Buffer.from('a') })
  t.deepEqual(Object.keys(record!), ['index', 'data'])
})

test('from is included, to is not', (t) => {
  const log = freshWal(t, { firstIndex: 5 })
  fill(log, 10)
  t.deepEqual(indexes(log.records({ from: 7, to: 9 })), [7, 8])
  t.deepEqual(indexes(log.records({ from: 14 })), [14])
  t.deepEqual(indexes(log.records({ from: 15 })), [])
  t.deepEqual(indexes(log.records({ to: 6 })), [5])
  t.deepEqual(indexes(log.records({ from: 9, to: 9 })), [])
  t.deepEqual(indexes(log.records({ from: 9, to: 6 })), [])
})

test('outside of the log is VARVE_OUT_OF_RANGE', (t) => {
  const log = freshWal(t, { firstIndex: 5 })
  fill(log, 10)
  for (const options of [{ from: 4 }, { from: 16 }, { to: 4 }, { to: 16 }, { from: Number.MAX_SAFE_INTEGER }]) {
    t.throws(() => [...log.records(options)], { code: 'VARVE_OUT_OF_RANGE' })
  }
})

test('an iterator sees what has been appended when it gets there, and stays done once it is', (t) => {
  const log = freshWal(t)
  fill(log, 2)
  const records = log.records()
  records.next()
  records.next()
  log.append('third')
  t.is(records.next().value.data.toString(), 'third')
  t.true(records.next().done)
  log.append('late')
  t.true(records.next().done)
})

test('break, return() and a throw in the body release it; further steps are done', (t) => {
  const log = freshWal(t)
  fill(log, 1000)
  const records = log.records()
  for (const { index } of records) if (index === 3) break
  t.true(records.next().done)
  t.throws(() => {
    for (const _ of log.records()) throw new Error('body')
  }, { message: 'body' })
  const other = log.records()
  t.true(other.return!().done)
  t.true(other.return!().done)
  t.true(other.next().done)
})

test('records larger than a slab, empty ones and many small ones mix', (t) => {
  const log = freshWal(t)
  const data = Array.from({ length: 600 }, (_, i) => Buffer.alloc(i % 100 === 99 ? 200_000 : i % 7 === 0 ? 0 : i, i))
  for (const one of data) log.append(one)
  t.deepEqual(Array.from(log.records(), (record) => record.data), data)
})

test('every Buffer is the caller’s own and stays as it is', async (t) => {
  const log = freshWal(t)
  fill(log, 2000)
  const held = Array.from(log.records(), ({ data }) => data)
  for (const data of held) data[0] = 82
  const again = Array.from(log.records(), ({ data }) => data.toString())
  await log.close()
  t.true(held.every((data, i) => data.toString() === `Record ${i}`))
  t.true(again.every((text, i) => text === `record ${i}`))
})

test('an aborted signal ends a scan with an AbortError', (t) => {
  const log = freshWal(t)
  fill(log, 10)
  const control = new AbortController()
  const expected = { name: 'AbortError', code: 'ABORT_ERR' }
  const seen: number[] = []
  const error = t.throws(() => {
    for (const { index } of log.records({ signal: control.signal })) {
      seen.push(index)
      if (index === 2) control.abort(new Error('enough'))
    }
  }, expected)
  t.is((error!.cause as Error).message, 'enough')
  t.deepEqual(seen, [0, 1, 2])
})

test('after close the next step is VARVE_CLOSED', async (t) => {
  const log = freshWal(t)
  fill(log, 10)
  const records = log.records()
  records.next()
  await log.close()
  t.throws(() => records.next(), { code: 'VARVE_CLOSED' })
})
