import { inspect } from 'node:util'
import test, { type ExecutionContext } from 'ava'
import { Log, type Message } from 'varve'
import { closedAfter, freshDir, freshLog, lineOf, lines } from '../support/directory.ts'

/** A log of several segments, of single messages and of groups. */
function mixed(t: ExecutionContext, count = 4000): Log {
  const log = freshLog(t, { segmentSize: 65_536 })
  while (log.nextOffset < count) {
    const n = log.nextOffset
    if (n % 3 === 0) log.append(`value ${n}`, `key ${n % 5}`, { time: n })
    else log.appendBatch(Array.from({ length: n % 40 }, (_, i) => ({ value: `value ${n + i}`, key: `key ${(n + i) % 5}`, time: n + i })))
    if (n % 10 === 5) log.append(null, `key ${n % 5}`, { time: n })
  }
  return log
}

test('every way of reading gives the same messages, from any offset to any', async (t) => {
  const log = mixed(t)
  const all = lines(log)
  t.is(all.length, log.nextOffset)
  const gather = async (messages: AsyncIterable<Message>): Promise<string[]> => {
    const gathered: string[] = []
    for await (const message of messages) gathered.push(lineOf(message))
    return gathered
  }
  for (const from of [0, 1, 3, 100, 2001, all.length - 1, all.length]) {
    for (const to of [undefined, from, from + 1, from + 700, all.length]) {
      const expected = all.slice(from, to)
      const range = to === undefined ? { from } : { from, to }
      t.deepEqual(lines(log, range), expected)
      t.deepEqual(await gather(log.messagesAsync(range)), expected)
      const { messages } = log.consume(from, { ...(to === undefined ? {} : { to }), max: 100_000 })
      t.deepEqual(messages.map(lineOf), expected)
      const later = await log.consumeAsync(from, { ...(to === undefined ? {} : { to }), max: 100_000 })
      t.deepEqual(later.messages.map(lineOf), expected)
    }
    using reader = log.reader({ from })
    const read: string[] = []
    while (reader.advance()) {
      const key = reader.keyStart < 0 ? '-' : reader.buffer.toString('utf8', reader.keyStart, reader.keyEnd)
      const value = reader.value() === null ? '-' : reader.buffer.toString('utf8', reader.start, reader.end)
      read.push(`${reader.offset} ${key} ${value}`)
    }
    t.deepEqual(read, all.slice(from))
  }
  for (let offset = 0; offset < all.length; offset += 13) {
    t.is(lineOf(log.get(offset)!), all[offset]!)
    t.is(lineOf((await log.getAsync(offset))!), all[offset]!)
  }
})

test('a key gives only its messages, by every way', async (t) => {
  const log = mixed(t, 2000)
  log.append('without')
  const all = lines(log)
  for (const key of ['key 3', 'missing', null]) {
    const expected = all.filter((line) => line.split(' ').slice(1, key === null ? 2 : 3).join(' ') === (key ?? '-'))
    t.deepEqual(lines(log, { key }), expected)
    const gathered: string[] = []
    for await (const message of log.messagesAsync({ key })) gathered.push(lineOf(message))
    t.deepEqual(gathered, expected)
    const { messages, nextOffset } = log.consume('start', { key })
    t.deepEqual(messages.map(lineOf), expected)
    t.is(nextOffset, log.nextOffset)
  }
})

test('outside of the log is VARVE_OUT_OF_RANGE; its end is empty', async (t) => {
  const log = freshLog(t)
  log.appendBatch([{ value: 'a' }, { value: 'b' }])
  const code = { code: 'VARVE_OUT_OF_RANGE' }
  t.throws(() => log.get(2), code)
  await t.throwsAsync(log.getAsync(2), code)
  t.throws(() => log.consume(3), code)
  await t.throwsAsync(log.consumeAsync(3), code)
  await t.throwsAsync(log.consumeBlocking(3), code)
  t.throws(() => log.messages({ from: 3 }), code)
  t.throws(() => log.reader({ from: 3 }), code)
  t.throws(() => log.reader().seek(3), code)
  t.throws(() => log.subscribe({ from: 3 }), code)
  t.deepEqual(log.consume(2), { messages: [], nextOffset: 2 })
  t.deepEqual(log.consume('end'), { messages: [], nextOffset: 2 })
  t.deepEqual(await log.consumeAsync('end'), { messages: [], nextOffset: 2 })
  t.deepEqual(lines(log, { from: 2 }), [])
  const error = t.throws(() => log.get(7), code)
  t.is((error as { index?: number }).index, 7)
})

test('the first and the last; of an empty log there is none', async (t) => {
  const log = freshLog(t)
  t.is(log.get('first'), undefined)
  t.is(log.get('last'), undefined)
  t.is(await log.getAsync('first'), undefined)
  log.append('a')
  log.appendBatch([{ value: 'b' }, { value: 'c', key: 'k' }])
  t.is(lineOf(log.get('first')!), '0 - a')
  t.is(lineOf(log.get('last')!), '2 k c')
  t.is(lineOf((await log.getAsync('first'))!), '0 - a')
  t.is(lineOf((await log.getAsync('last'))!), '2 k c')
})

test('consume goes on from nextOffset, in portions of max and of maxBytes', async (t) => {
  const log = mixed(t, 1000)
  const all = lines(log)
  for (const options of [{ max: 1 }, { max: 7 }, { max: 256 }, { max: 257 }, { maxBytes: 1 }, { maxBytes: 100 }, { maxBytes: 5000, max: 300 }]) {
    for (const how of ['consume', 'consumeAsync'] as const) {
      const gathered: string[] = []
      for (let from = 0; ; ) {
        const { messages, nextOffset } = await log[how](from, options)
        if (messages.length === 0) break
        t.true(messages.length <= (options.max ?? Infinity))
        const bytes = messages.map(({ key, value }) => (key?.length ?? 0) + (value?.length ?? 0)).reduce((sum, n) => sum + n)
        t.true(messages.length === 1 || bytes <= (options.maxBytes ?? Infinity))
        gathered.push(...messages.map(lineOf))
        from = nextOffset
      }
      t.deepEqual(gathered, all)
    }
  }
})

test('messages of any size, next to each other', async (t) => {
  const log = freshLog(t, { segmentSize: 1 << 22 })
  const sizes = [0, 1, 70_000, 10, 3_000_000, 100_000, 5]
  for (const size of sizes) log.append('v'.repeat(size), 'k'.repeat(size % 9000))
  log.appendBatch(sizes.map((size) => ({ value: 'v'.repeat(size), key: 'k'.repeat(size % 9000) })))
  const expected = [...sizes, ...sizes].map((size) => [size % 9000, size])
  const seen = (messages: Iterable<Message>): number[][] => Array.from(messages, ({ key, value }) => [key!.length, value!.length])
  t.deepEqual(seen(log.messages()), expected)
  t.deepEqual(seen((await log.consumeAsync(0)).messages), expected)
  t.deepEqual(seen(expected.map((_, offset) => log.get(offset)!)), expected)
  const gathered: Message[] = []
  for await (const message of log.messagesAsync()) gathered.push(message)
  t.deepEqual(seen(gathered), expected)
})

test('what is handed out is the caller\'s own: it may be written to, kept, and outlives the log', async (t) => {
  const dir = freshDir(t)
  const log = await Log.open(dir)
  for (let i = 0; i < 1000; i++) log.append(`value ${i}`, `key ${i}`, { headers: { h: `header ${i}` } })
  const kept = [...log.messages()]
  const { messages } = log.consume(0)
  for await (const message of log.messagesAsync()) messages.push(message)
  for (let i = 0; i < 1000; i++) messages.push(log.get(i)!, (await log.getAsync(i))!)
  for (const message of kept) {
    for (const bytes of [message.key!, message.value!, message.headers['h']!]) bytes.fill(0)
  }
  for (const message of messages) message.headers['h']!.fill(1)
  await log.close()
  for (const { offset, key, value } of messages) {
    if (key!.toString() !== `key ${offset}` || value!.toString() !== `value ${offset}`) t.fail(`${offset}: ${key} ${value}`)
  }
  const again = closedAfter(t, Log.openSync(dir))
  t.is(lineOf(again.get(7)!), '7 key 7 value 7')
  t.is(again.get(7)!.headers['h']!.toString(), 'header 7')
})

test('a message shows all of it where it is looked at as a whole', (t) => {
  const log = freshLog(t)
  log.append('v', null, { time: 5, headers: { a: 'b' } })
  const message = log.get(0)!
  const plain = { offset: 0, time: 5, key: null, value: Buffer.from('v'), headers: { a: Buffer.from('b') } }
  t.deepEqual((message as unknown as { toJSON(): unknown }).toJSON(), plain)
  t.is(JSON.stringify(message), JSON.stringify(plain))
  t.is(inspect(message), inspect(plain))
  t.is(message.value, message.value)
})

test('break, return and a throw in the body let go of what is held', async (t) => {
  const log = mixed(t, 1000)
  for (const _ of log.messages()) break
  for await (const _ of log.messagesAsync()) break
  t.throws(() => {
    for (const _ of log.messages()) throw new Error('on purpose')
  })
  const messages = log.messages()
  messages.next()
  messages.return!()
  t.deepEqual(messages.next(), { value: undefined, done: true })
  using reader = log.reader()
  reader.advance()
  reader.close()
  t.throws(() => reader.advance(), { code: 'VARVE_CLOSED' })
  for (const { references } of log.segments()) t.is(references, 0)
})

test('a scan sees at each step what there is then', (t) => {
  const log = freshLog(t)
  log.append('a')
  const messages = log.messages()
  t.is(lineOf(messages.next().value!), '0 - a')
  log.append('b')
  t.is(lineOf(messages.next().value!), '1 - b')
  t.true(messages.next().done)
  using reader = log.reader({ from: 'end' })
  t.false(reader.advance())
  t.is(reader.offset, -1)
  log.append('c', 'k', { time: 9.5 })
  t.true(reader.advance())
  t.is(`${reader.offset} ${reader.time} ${reader.key()} ${reader.value()}`, '2 9.5 k c')
  t.false(reader.advance())
  reader.seek('start')
  t.true(reader.advance())
  t.is(reader.offset, 0)
  reader.seek(2)
  t.true(reader.advance())
  t.is(reader.offset, 2)
})

test('an aborted scan throws an AbortError', async (t) => {
  const log = mixed(t, 500)
  const controller = new AbortController()
  const messages = log.messages({ signal: controller.signal })
  const later = log.messagesAsync({ signal: controller.signal })
  messages.next()
  await later.next()
  controller.abort('enough')
  t.is(t.throws(() => messages.next(), { name: 'AbortError', code: 'ABORT_ERR' })!.cause, 'enough')
  await t.throwsAsync(later.next(), { name: 'AbortError', code: 'ABORT_ERR' })
})

test('by time: the lowest offset whose time is that or later, over all segments', async (t) => {
  const log = freshLog(t, { segmentSize: 65_536, indexes: { time: true } })
  t.is(log.getByTime(0), undefined)
  const times: number[] = []
  for (let i = 0; i < 3000; i++) times.push(i % 50 === 0 ? i * 10 - 300 : i * 10)
  for (let i = 0; i < 3000; i += 30) log.appendBatch(times.slice(i, i + 30).map((time) => ({ value: `at ${time}`.padEnd(60), time })))
  for (const time of [-1000, -300, 0, 0.5, 10, 15, 10_000, 10_005, 29_990, 12_345.678, 29_990.001, 1e9]) {
    const offset = times.findIndex((one) => one >= time)
    const found = log.getByTime(time)
    t.is(found?.offset, offset < 0 ? undefined : offset, `${time}`)
    t.deepEqual(log.offsetByTime(new Date(time)), offset < 0 || time % 1 !== 0 ? log.offsetByTime(Math.trunc(time)) : { offset, time: times[offset]! })
    t.is((await log.getByTimeAsync(time))?.offset, found?.offset)
  }
  t.true(log.segments().length > 3)
})

test('a lookup without its index is VARVE_NO_INDEX', async (t) => {
  const log = freshLog(t)
  log.append('a')
  t.throws(() => log.getByTime(0), { code: 'VARVE_NO_INDEX', message: /indexes/ })
  t.throws(() => log.offsetByTime(0), { code: 'VARVE_NO_INDEX' })
  await t.throwsAsync(log.getByTimeAsync(0), { code: 'VARVE_NO_INDEX' })
})
