// Who has messages ahead of those that were returned is told of a removal from the start at its next step: what is gone is not returned.
import test, { type ExecutionContext } from 'ava'
import { Log, type Message } from 'varve'
import { closedAfter, freshDir, freshLog } from '../support/directory.ts'
import { Remote } from '../support/following.ts'
import { soon } from '../support/soon.ts'
import { thread } from '../support/thread.ts'

const OUT = { code: 'VARVE_OUT_OF_RANGE' }
const offsetOf = (result: IteratorResult<Message, unknown>): number => (result.value as Message).offset

function filled(t: ExecutionContext, count = 1000): Log {
  const log = freshLog(t)
  for (let i = 0; i < count; i++) log.append(`value ${i}`, `key ${i % 2}`)
  return log
}

test('messages(), reader() and subscribe() are told at their next step, and return nothing of what is gone', async (t) => {
  const log = filled(t)
  const messages = log.messages()
  const keyed = log.messages({ key: 'key 1' })
  using reader = log.reader()
  const near = log.subscribe({ from: 900 })
  const far = log.messagesAsync()
  for (let i = 0; i < 3; i++) {
    t.is(offsetOf(messages.next()), i)
    t.is(offsetOf(keyed.next()), 2 * i + 1)
    t.true(reader.advance())
    t.is(offsetOf(await near.next()), 900 + i)
    t.is(offsetOf(await far.next()), i)
  }
  await log.trim({ beforeOffset: 950 })
  t.throws(() => messages.next(), OUT)
  t.throws(() => keyed.next(), OUT)
  t.throws(() => reader.advance(), OUT)
  await t.throwsAsync(near.next(), OUT)
  await t.throwsAsync(far.next(), OUT)
  // Ended, and the reader may go on elsewhere.
  t.true(messages.next().done)
  t.true((await far.next()).done)
  reader.seek('start')
  t.true(reader.advance())
  t.is(reader.offset, 950)
})

test('who stands behind what was removed goes on, without a message lost or twice', async (t) => {
  const log = filled(t)
  const messages = log.messages()
  const keyed = log.messages({ key: 'key 1' })
  using reader = log.reader()
  const near = log.subscribe()
  const far = log.messagesAsync()
  const seen: number[][] = [[], [], [], []]
  for (let i = 0; i < 1000; i++) {
    seen[0]!.push(offsetOf(messages.next()))
    reader.advance()
    seen[1]!.push(reader.offset)
    seen[2]!.push(offsetOf(await near.next()))
    seen[3]!.push(offsetOf(await far.next()))
    if (i % 2 === 1) t.is(offsetOf(keyed.next()), i)
    // All up to what was just returned; what is next stays.
    if (i % 37 === 0) await log.trim({ beforeOffset: i })
  }
  for (const offsets of seen) t.deepEqual(offsets, Array.from({ length: 1000 }, (_, i) => i))
})

test('one that has returned the last message that was removed is not overtaken', async (t) => {
  const log = filled(t, 100)
  const messages = log.messages()
  for (let i = 0; i < 50; i++) messages.next()
  await log.trim({ beforeOffset: 50 })
  t.is(offsetOf(messages.next()), 50)
  await log.trim({ beforeOffset: 52 })
  t.throws(() => messages.next(), OUT)
})

test('retention in the background, and a removal in another thread, tell readers of this one', async (t) => {
  const log = filled(t)
  const other = thread(t)
  const messages = log.messages()
  messages.next()
  await other.run('state.log = Log.openSync(args); await state.log.trim({ beforeOffset: 20 })', log.dir)
  t.throws(() => messages.next(), OUT)
  const again = log.messages()
  again.next()
  await log.close()
  const kept = closedAfter(t, Log.openSync(log.dir, { retention: { maxMessages: 10, intervalMs: 2 } }))
  using reader = kept.reader()
  const start = kept.startOffset
  t.true(start === 20 || start === 990)
  if (start === 20) t.true(reader.advance())
  t.true(await soon(() => kept.startOffset === 990))
  if (start === 20) t.throws(() => reader.advance(), OUT)
})

test('a removal in another process tells those who follow it', async (t) => {
  const dir = freshDir(t)
  const writer = new Remote(t, dir, { durability: 'os' }, 'remote-log')
  await writer.call('open')
  await writer.call('fill', 500)
  const log = closedAfter(t, Log.openSync(dir, { readOnly: true }))
  const messages = log.messages()
  messages.next()
  await writer.call('trim', { beforeOffset: 100 })
  t.true(await soon(() => log.startOffset === 100))
  t.throws(() => messages.next(), OUT)
})

test('a subscription that reads far ahead on another thread is told while it waits for that', async (t) => {
  const log = filled(t, 20_000)
  const messages = log.subscribe()
  t.is(offsetOf(await messages.next()), 0)
  const pending = Array.from({ length: 10 }, () => messages.next())
  await log.trim({ beforeOffset: 15_000 })
  const settled = await Promise.allSettled(pending)
  const offsets = settled.flatMap((one) => (one.status === 'fulfilled' && one.value.done !== true ? [offsetOf(one.value)] : []))
  // Those that were at hand before the removal came first, in order.
  t.deepEqual(offsets, offsets.map((_, i) => i + 1))
  const next = await messages.next().catch((error: Error & { code: string }) => error.code)
  t.true(next === OUT.code || (next as { done?: boolean }).done === true)
})
