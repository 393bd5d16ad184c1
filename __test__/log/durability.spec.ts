import { setImmediate } from 'node:timers/promises'
import test from 'ava'
import { type Durability, Log } from 'varve'
import { closedAfter, freshDir, freshLog } from '../support/directory.ts'
import { soon } from '../support/soon.ts'

test('buffered: with the system at the end of the turn, synced when it is asked for', async (t) => {
  const log = freshLog(t)
  log.append('x')
  log.appendBatch([{ value: 'y' }, { value: 'z' }])
  t.true(log.stats().pendingBytes > 0)
  t.is(log.durableOffset, 0)
  await setImmediate()
  await setImmediate()
  t.is(log.stats().pendingBytes, 0)
  t.is(log.durableOffset, 0)
  t.is(await log.sync(), 3)
  t.is(log.durableOffset, 3)
  log.append('more')
  t.is(log.syncSync(), 4)
  t.is(await log.sync(), 4)
})

test('os: the system has it when the call returns', (t) => {
  const log = freshLog(t, { durability: 'os' })
  log.append('x')
  t.is(log.stats().pendingBytes, 0)
  log.append('x', 'k', { headers: { a: 'b' } })
  log.appendBatch([{ value: 'y' }, { value: 'z' }])
  t.is(log.stats().pendingBytes, 0)
})

test('disk: it is durable when the call returns', (t) => {
  const log = freshLog(t, { durability: 'disk' })
  log.append('x')
  t.is(log.durableOffset, 1)
  log.append('x', 'k', { time: 5 })
  t.is(log.durableOffset, 2)
  log.appendBatch(Array.from({ length: 300 }, () => ({ value: 'y' })))
  t.is(log.durableOffset, 302)
})

for (const durability of [{ syncEveryTurn: true }, { syncEveryMs: 5 }, { syncEveryBytes: 100 }] satisfies Durability[]) {
  test(`${JSON.stringify(durability)}: it is synced in the background`, async (t) => {
    const log = freshLog(t, { durability })
    log.append('x'.repeat(60), 'k')
    log.appendBatch([{ value: 'y'.repeat(60) }])
    t.true(await soon(() => log.durableOffset === 2))
  })
}

test('an …Async write resolves when its level is reached, to its offset', async (t) => {
  const log = freshLog(t)
  const os = log.appendAsync('a', 'k', { durability: 'os' })
  const disk = log.appendBatchAsync([{ value: 'b' }, { value: 'c' }], { durability: 'disk' })
  t.is(await os, 0)
  t.is(log.stats().pendingBytes, 0)
  t.is(await disk, 1)
  t.is(log.durableOffset, 3)
  const many = Array.from({ length: 500 }, (_, i) => log.appendAsync(`${i}`, null, { durability: 'disk' }))
  t.deepEqual(await Promise.all(many), many.map((_, i) => i + 3))
  t.true(log.durableOffset >= 503)
  t.true(log.stats().syncs < 100)
})

test('what waits for a sync when the log is closed is told', async (t) => {
  const log = freshLog(t)
  const waiting = [log.appendAsync('a', null, { durability: 'disk' }), log.appendAsync('b'), log.sync()]
  await log.close()
  t.deepEqual(await Promise.all(waiting), [0, 1, 2])
})

test('durable promises after a reopen of a log that was written to', async (t) => {
  const dir = freshDir(t)
  for (let round = 0; round < 5; round++) {
    const log = closedAfter(t, await Log.open(dir, { segmentSize: 65_536 }))
    t.is(log.durableOffset, round * 1000)
    for (let i = 0; i < 1000; i++) log.append(`value ${i}`.padEnd(90))
    t.is(await log.sync(), (round + 1) * 1000)
    await log.close()
  }
})
