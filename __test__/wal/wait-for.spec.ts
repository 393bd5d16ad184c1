import { getEventListeners } from 'node:events'
import { setImmediate } from 'node:timers/promises'
import test from 'ava'
import { Wal } from 'varve'
import { closedAfter, freshDir, freshWal } from '../support/directory.ts'
import { isPending } from '../support/following.ts'

test('waitFor resolves to nextIndex: at once for a record that is there, else when it is appended', async (t) => {
  const log = freshWal(t)
  log.appendBatch(['a', 'b', 'c'])
  t.is(await log.waitFor(0), 3)
  t.is(await log.waitFor(2), 3)
  const waiting = log.waitFor(3)
  const farther = log.waitFor(5)
  t.true(await isPending(waiting))
  log.append('d')
  t.is(await waiting, 4)
  t.true(await isPending(farther))
  log.appendBatch(['e', 'f', 'g'])
  t.is(await farther, 7)
})

test('it resolves to nextIndex as it is then, before any later turn', async (t) => {
  const log = freshWal(t)
  const waiting = log.waitFor(0)
  await setImmediate()
  log.append('a')
  log.append('b')
  t.is(await waiting, 2)
})

test('wrong arguments reject', async (t) => {
  const log = freshWal(t)
  for (const index of [-1, 0.5, '0', undefined, null, 2 ** 53]) await t.throwsAsync(log.waitFor(index as number), { code: 'VARVE_INVALID_ARGUMENT' })
  for (const options of [{ signal: 1 }, { timeout: 1 }, 1]) await t.throwsAsync(log.waitFor(0, options as object), { code: 'VARVE_INVALID_ARGUMENT' })
})

test('of a thousand that wait each resolves when its own record is there', async (t) => {
  const log = freshWal(t)
  const resolved: number[] = []
  const waiting = Array.from({ length: 1000 }, async (_, i) => {
    const index = (i * 7) % 1000
    const next = await log.waitFor(index)
    if (next <= index) t.fail(`${index} resolved at ${next}`)
    resolved.push(index)
  })
  for (let i = 0; i < 100; i++) {
    log.appendBatch(Array.from({ length: 10 }, () => 'x'))
    await setImmediate()
    t.is(resolved.length, (i + 1) * 10)
  }
  await Promise.all(waiting)
})

test('with a gate it waits for the commit', async (t) => {
  const log = freshWal(t, { commitGate: true })
  log.appendBatch(['a', 'b', 'c'])
  const waiting = log.waitFor(1)
  log.commit(0)
  t.true(await isPending(waiting))
  log.commit(1)
  t.is(await waiting, 3)
  t.is(log.committedIndex, 1)
})

test('what is dropped before it is waited for does not count', async (t) => {
  const log = freshWal(t, { commitGate: true })
  log.appendBatch(['a', 'b', 'c'])
  const waiting = log.waitFor(2)
  log.truncateAfter(0)
  log.commit(0)
  t.true(await isPending(waiting))
  log.appendBatch(['B', 'C'])
  t.true(await isPending(waiting))
  log.commit(2)
  t.is(await waiting, 3)
})

test('a reset past the index ends the wait, and one below it goes on', async (t) => {
  const log = freshWal(t)
  const waiting = log.waitFor(50)
  log.reset(10)
  t.true(await isPending(waiting))
  log.reset(60)
  t.is(await waiting, 60)
})

test('an abort rejects with an AbortError whose cause is the reason, before and during; afterwards it changes nothing', async (t) => {
  const log = freshWal(t)
  log.append('a')
  const reason = new Error('the reason')
  const expected = { name: 'AbortError', code: 'ABORT_ERR' }
  t.is((await t.throwsAsync(log.waitFor(0, { signal: AbortSignal.abort(reason) }), expected))!.cause, reason)
  const controller = new AbortController()
  const { signal } = controller
  const [waiting, other] = [log.waitFor(1, { signal }), log.waitFor(1)]
  const first = log.waitFor(0, { signal })
  t.true(await isPending(waiting))
  controller.abort(reason)
  t.is((await t.throwsAsync(waiting, expected))!.cause, reason)
  t.is(await first, 1)
  t.is(getEventListeners(signal, 'abort').length, 0)
  log.append('b')
  t.is(await other, 2)
})

test('close rejects what waits, and what is asked later, with VARVE_CLOSED', async (t) => {
  const log = freshWal(t)
  const waiting = log.waitFor(3)
  const closing = log.close()
  await t.throwsAsync(waiting, { code: 'VARVE_CLOSED' })
  await closing
  await t.throwsAsync(log.waitFor(0), { code: 'VARVE_CLOSED' })
})

test('a handle that is closed leaves those that wait at another', async (t) => {
  const dir = freshDir(t)
  const [one, two] = [closedAfter(t, Wal.openSync(dir)), closedAfter(t, Wal.openSync(dir))]
  const [ended, going] = [one.waitFor(0), two.waitFor(0)]
  await one.close()
  await t.throwsAsync(ended, { code: 'VARVE_CLOSED' })
  two.append('x')
  t.is(await going, 1)
})
