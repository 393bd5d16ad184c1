import test from 'ava'
import { Log, type Message } from 'varve'
import { closedAfter, freshDir, freshLog, lineOf } from '../support/directory.ts'
import { isPending } from '../support/following.ts'

/** The next `count` messages of a subscription, which stays open. */
async function take(messages: AsyncIterator<Message, undefined>, count: number): Promise<string[]> {
  const taken: string[] = []
  while (taken.length < count) {
    const { value, done } = await messages.next()
    if (done) throw new Error(`ended after ${taken.length} of ${count} messages`)
    taken.push(lineOf(value))
  }
  return taken
}

const expected = (from: number, to: number): string[] => Array.from({ length: to - from }, (_, i) => `${from + i} - value ${from + i}`)

test('subscribe gives what is there, and then what comes', async (t) => {
  const log = freshLog(t, { segmentSize: 65_536 })
  const fill = (count: number): void => {
    for (let i = 0; i < count; i++) log.append(`value ${log.nextOffset}`)
  }
  fill(5000)
  const messages = log.subscribe()
  t.deepEqual(await take(messages, 5000), expected(0, 5000))
  const next = take(messages, 3)
  t.true(await isPending(next))
  fill(3)
  t.deepEqual(await next, expected(5000, 5003))
  fill(3000)
  t.deepEqual(await take(messages, 3000), expected(5003, 8003))
  await messages.return!()
})

test("subscribe from 'end' gives what is appended after the call; from an offset, what is from there", async (t) => {
  const log = freshLog(t)
  log.append('value 0')
  const fromEnd = log.subscribe({ from: 'end' })
  const fromStart = log.subscribe({ from: 'start' })
  const fromOne = log.subscribe({ from: 1 })
  log.append('value 1')
  log.append('value 2')
  t.deepEqual(await take(fromEnd, 2), expected(1, 3))
  t.deepEqual(await take(fromStart, 3), expected(0, 3))
  t.deepEqual(await take(fromOne, 2), expected(1, 3))
})

test('subscribe to a key gives only its messages', async (t) => {
  const log = freshLog(t)
  const messages = log.subscribe({ key: 'b' })
  const next = take(messages, 2)
  log.append('1', 'a')
  t.true(await isPending(next))
  log.append('2', 'b')
  log.append('3', 'a')
  await new Promise(setImmediate)
  log.append('4', 'b')
  t.deepEqual(await next, ['1 b 2', '3 b 4'])
})

test('several calls of next at once are answered in their order', async (t) => {
  const log = freshLog(t)
  const messages = log.subscribe()
  const waiting = [messages.next(), messages.next(), messages.next()]
  log.append('value 0')
  log.append('value 1')
  await new Promise(setImmediate)
  log.append('value 2')
  t.deepEqual((await Promise.all(waiting)).map(({ value }) => lineOf(value!)), expected(0, 3))
})

test('a waiting subscription ends at close, without an error, and rejects at an abort', async (t) => {
  const log = freshLog(t)
  const controller = new AbortController()
  const closed = log.subscribe().next()
  const aborted = log.subscribe({ signal: controller.signal }).next()
  const returned = log.subscribe()
  const ended = returned.next()
  controller.abort('enough')
  t.is((await t.throwsAsync(aborted, { name: 'AbortError', code: 'ABORT_ERR' }))!.cause, 'enough')
  await returned.return!()
  t.deepEqual(await ended, { value: undefined, done: true })
  await log.close()
  t.deepEqual(await closed, { value: undefined, done: true })
})

test('a slow subscriber that a close overtakes ends', async (t) => {
  const log = freshLog(t)
  for (let i = 0; i < 100; i++) log.append(`value ${i}`)
  const messages = log.subscribe()
  t.deepEqual(await take(messages, 1), expected(0, 1))
  await log.close()
  t.true((await messages.next()).done)
})

test('consumeBlocking waits, when it has caught up, until there is something', async (t) => {
  const log = freshLog(t)
  log.append('value 0')
  t.deepEqual((await log.consumeBlocking('start')).messages.map(lineOf), expected(0, 1))
  const waiting = log.consumeBlocking(1)
  const fromEnd = log.consumeBlocking('end')
  const keyed = log.consumeBlocking('start', { key: 'k' })
  t.true(await isPending(waiting))
  log.appendBatch([{ value: 'value 1' }, { value: 'value 2' }])
  const { messages, nextOffset } = await waiting
  t.deepEqual(messages.map(lineOf), expected(1, 3))
  t.is(nextOffset, 3)
  t.deepEqual((await fromEnd).messages.map(lineOf), expected(1, 3))
  t.true(await isPending(keyed))
  log.append('x', 'k')
  t.deepEqual((await keyed).messages.map(lineOf), ['3 k x'])
  t.deepEqual(await log.consumeBlocking(3, { to: 3 }), { messages: [], nextOffset: 3 })
})

test('consumeBlocking far behind reads on', async (t) => {
  const log = freshLog(t)
  for (let i = 0; i < 5000; i++) log.append(`value ${i}`)
  const gathered: string[] = []
  for (let from = 0; from < 5000; ) {
    const { messages, nextOffset } = await log.consumeBlocking(from, { max: 700 })
    gathered.push(...messages.map(lineOf))
    from = nextOffset
  }
  t.deepEqual(gathered, expected(0, 5000))
})

test('consumeBlocking rejects with an AbortError at an abort, and with VARVE_CLOSED at close', async (t) => {
  const log = freshLog(t)
  const controller = new AbortController()
  const aborted = log.consumeBlocking(0, { signal: controller.signal })
  const closed = log.consumeBlocking(0)
  controller.abort()
  await t.throwsAsync(aborted, { name: 'AbortError', code: 'ABORT_ERR' })
  await t.throwsAsync(log.consumeBlocking(0, { signal: controller.signal }), { code: 'ABORT_ERR' })
  const [error] = await Promise.all([t.throwsAsync(closed), log.close()])
  t.is((error as { code?: string }).code, 'VARVE_CLOSED')
})

test('waitFor resolves to nextOffset once the message may be seen', async (t) => {
  const log = freshLog(t)
  const waiting = log.waitFor(1)
  log.append('a')
  t.true(await isPending(waiting))
  log.appendBatch([{ value: 'b' }, { value: 'c' }])
  t.is(await waiting, 3)
  t.is(await log.waitFor(0), 3)
  const controller = new AbortController()
  const aborted = log.waitFor(9, { signal: controller.signal })
  const closed = log.waitFor(9)
  controller.abort()
  await t.throwsAsync(aborted, { code: 'ABORT_ERR' })
  const [error] = await Promise.all([t.throwsAsync(closed), log.close()])
  t.is((error as { code?: string }).code, 'VARVE_CLOSED')
})

test('with commitGate readers stop at the high-water mark; get does not, and neither does a handle without', async (t) => {
  const dir = freshDir(t)
  const gated = closedAfter(t, Log.openSync(dir, { commitGate: true }))
  const open = closedAfter(t, Log.openSync(dir))
  for (let i = 0; i < 10; i++) open.append(`value ${i}`)
  t.is(gated.highWaterMark, 0)
  t.is(open.highWaterMark, 10)
  t.is(gated.nextOffset, 10)
  const subscribed = gated.subscribe()
  const next = take(subscribed, 4)
  const blocked = gated.consumeBlocking(0)
  t.true(await isPending(next))
  t.deepEqual([...gated.messages()], [])
  t.deepEqual(gated.consume(0), { messages: [], nextOffset: 0 })
  t.deepEqual(gated.consume(8), { messages: [], nextOffset: 8 })
  t.is(lineOf(gated.get(9)!), '9 - value 9')
  using reader = gated.reader()
  t.false(reader.advance())
  open.advanceHighWaterMark(4)
  t.deepEqual(await next, expected(0, 4))
  t.deepEqual((await blocked).messages.map(lineOf), expected(0, 4))
  t.is(gated.highWaterMark, 4)
  t.deepEqual(Array.from(gated.messages(), lineOf), expected(0, 4))
  t.deepEqual(Array.from(open.messages(), lineOf), expected(0, 10))
  t.true(reader.advance())
  open.advanceHighWaterMark(2)
  t.is(gated.highWaterMark, 4)
  t.throws(() => open.advanceHighWaterMark(11), { code: 'VARVE_OUT_OF_RANGE' })
  gated.advanceHighWaterMark(10)
  t.is(gated.highWaterMark, 10)
})

test('the high-water mark is there again after a sync and a reopen', async (t) => {
  const dir = freshDir(t)
  const log = await Log.open(dir, { commitGate: true })
  for (let i = 0; i < 10; i++) log.append(`value ${i}`)
  log.advanceHighWaterMark(6)
  await log.sync()
  await log.close()
  t.is(closedAfter(t, Log.openSync(dir, { commitGate: true })).highWaterMark, 6)
})
