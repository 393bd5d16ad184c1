import test from 'ava'
import { codecs, Log } from 'varve'
import { closedAfter, freshDir, freshLog, lines } from '../support/directory.ts'

test('offsets are given at the call, in call order, and every message is seen at once', async (t) => {
  const log = freshLog(t)
  t.is(log.startOffset, 0)
  t.is(log.nextOffset, 0)
  t.is(log.append('a', 'k'), 0)
  t.is(log.append(Buffer.from('b')), 1)
  const later = log.appendAsync('c', 'k')
  t.is(log.nextOffset, 3)
  t.is(log.appendBatch([{ value: 'd', key: 'l' }, { value: null, key: Buffer.from('k') }]), 3)
  const batch = log.appendBatchAsync([{ value: new Uint8Array([0x66]) }])
  t.deepEqual(lines(log), ['0 k a', '1 - b', '2 k c', '3 l d', '4 k -', '5 - f'])
  t.is(await later, 2)
  t.is(await batch, 5)
  t.is(log.highWaterMark, 6)
})

test('null is no value and no key; an empty string or buffer is neither, by every way in and out', async (t) => {
  const log = freshLog(t)
  const parts = [null, '', Buffer.alloc(0), 'x']
  for (const value of parts) for (const key of parts) {
    log.append(value, key)
    log.append(value, key, { time: 5 })
    log.appendBatch([{ value, key }])
    await log.appendAsync(value, key)
  }
  log.append('x')
  log.appendBatch([{ value: 'x' }])
  const expected: [string | null, string | null][] = []
  for (const value of parts) for (const key of parts) for (let i = 0; i < 4; i++) {
    expected.push([key === null ? null : key.toString(), value === null ? null : value.toString()])
  }
  expected.push([null, 'x'], [null, 'x'])
  const seen = (messages: Iterable<{ key: Buffer | null; value: Buffer | null }>): unknown[] =>
    Array.from(messages, ({ key, value }) => [key && key.toString(), value && value.toString()])
  t.deepEqual(seen(log.messages()), expected)
  t.deepEqual(seen(log.consume(0).messages), expected)
  t.deepEqual(seen(expected.map((_, offset) => log.get(offset)!)), expected)
  using reader = log.reader()
  for (const [key, value] of expected) {
    t.true(reader.advance())
    t.is(reader.keyStart === -1, key === null)
    t.is(reader.value()?.toString() ?? null, value)
    t.is(reader.key()?.toString() ?? null, key)
  }
  t.false(reader.advance())
})

test('a time is milliseconds or a Date, kept in microseconds; left out it is now', async (t) => {
  const log = freshLog(t)
  const times = [0, 0.001, -0.001, 1.5, 1_700_000_000_000.125, -62_135_596_800_000, 8.64e15, -8.64e15]
  for (const time of times) log.append('x', null, { time })
  log.appendBatch(times.map((time) => ({ value: 'x', time })))
  t.deepEqual(Array.from(log.messages(), ({ time }) => time), [...times, ...times])
  log.append('x', null, { time: new Date(1234) })
  log.appendBatch([{ value: 'x', time: new Date(-5) }])
  t.is(log.get(16)!.time, 1234)
  t.is(log.get(17)!.time, -5)
  log.append('x', null, { time: 1e9 + 0.0004 })
  t.is(log.get(18)!.time, 1e9)
  const before = Date.now()
  log.append('x')
  log.append('x', 'k', { headers: {} })
  log.appendBatch([{ value: 'x' }])
  await log.appendAsync('x')
  const after = Date.now() + 1
  for (let offset = 19; offset < 23; offset++) {
    const { time } = log.get(offset)!
    t.true(time >= before && time <= after, `${time}`)
    t.is(Math.round(time * 1000) / 1000, time)
  }
})

test('headers are kept in order, whatever they hold', (t) => {
  const log = freshLog(t)
  const headers = { source: 'tower', empty: '', 'é😀': Buffer.from([0, 255]), long: 'x'.repeat(127), longer: 'y'.repeat(128), longest: 'z'.repeat(70_000), '': 'no name' }
  const expected = Object.entries(headers).map(([name, value]) => [name, value.toString()])
  log.append('v', 'k', { headers })
  log.append(null, null, { headers })
  log.appendBatch([{ value: 'a' }, { value: 'b', headers }, { value: 'c', key: 'd', headers: {} }])
  const seen = (offset: number): string[][] => Object.entries(log.get(offset)!.headers).map(([name, value]) => [name, value.toString()])
  for (const offset of [0, 1, 3]) t.deepEqual(seen(offset), expected)
  for (const offset of [2, 4]) t.deepEqual(log.get(offset)!.headers, {})
  t.is(log.get(0)!.value!.toString(), 'v')
  t.is(log.get(1)!.value, null)
})

test('a header named __proto__ is a header', (t) => {
  const log = freshLog(t)
  log.append('v', null, { headers: Object.fromEntries([['__proto__', 'x'], ['constructor', 'y']]) })
  const { headers } = log.get(0)!
  t.deepEqual(Object.keys(headers), ['__proto__', 'constructor'])
  t.is(Object.getPrototypeOf(headers), Object.prototype)
  t.is(headers['constructor']!.toString(), 'y')
})

test('a batch of no messages writes nothing and gives the next offset', async (t) => {
  const log = freshLog(t)
  log.append('x')
  t.is(log.appendBatch([]), 1)
  t.is(await log.appendBatchAsync([]), 1)
  t.is(log.nextOffset, 1)
})

test('a batch of any size is there whole, in its order', (t) => {
  const log = freshLog(t)
  let next = 0
  for (const count of [1, 2, 63, 127, 128, 129, 255, 256, 257, 1000, 5000]) {
    const messages = Array.from({ length: count }, (_, i) => ({ value: `value ${next + i}`, key: i % 3 === 0 ? null : `key ${i % 10}`, time: next + i }))
    t.is(log.appendBatch(messages), next)
    next += count
  }
  t.is(log.nextOffset, next)
  let at = 0
  for (const { offset, value, time } of log.messages()) {
    if (offset !== at || value!.toString() !== `value ${at}` || time !== at) t.fail(`offset ${offset}: ${value}`)
    at++
  }
  t.is(at, next)
})

test('the same data comes back after a reopen', async (t) => {
  const dir = freshDir(t)
  const log = await Log.open(dir, { segmentSize: 65_536 })
  for (let i = 0; i < 3000; i++) log.append(`value ${i}`, `key ${i % 7}`)
  const before = lines(log)
  await log.close()
  const again = closedAfter(t, Log.openSync(dir))
  t.is(again.nextOffset, 3000)
  t.deepEqual(lines(again), before)
  t.is(again.append('more'), 3000)
  t.is(again.get(2999)!.value!.toString(), 'value 2999')
  t.true(again.segments().length > 2)
})

test('expectedOffset: the write happens only if its first message gets it', async (t) => {
  const log = freshLog(t)
  t.is(log.append('a', null, { expectedOffset: 0 }), 0)
  t.throws(() => log.append('b', null, { expectedOffset: 0 }), { code: 'VARVE_CONFLICT', message: /0.*1/ })
  t.throws(() => log.appendBatch([{ value: 'b' }], { expectedOffset: 2 }), { code: 'VARVE_CONFLICT' })
  await t.throwsAsync(log.appendAsync('b', null, { expectedOffset: 5 }), { code: 'VARVE_CONFLICT' })
  await t.throwsAsync(log.appendBatchAsync([{ value: 'b' }], { expectedOffset: 0 }), { code: 'VARVE_CONFLICT' })
  t.is(log.nextOffset, 1)
  t.is(log.appendBatch([{ value: 'b' }, { value: 'c' }], { expectedOffset: 1 }), 1)
  t.is(log.nextOffset, 3)
})

test('a producer\'s batch that was seen before returns what the first did, also after a reopen', async (t) => {
  const dir = freshDir(t)
  const log = await Log.open(dir)
  const send = (target: Log, sequence: number, epoch = 1): number =>
    target.appendBatch([{ value: `s${sequence}a` }, { value: `s${sequence}b` }], { producer: { id: 7, epoch, sequence } })
  for (let sequence = 1; sequence <= 6; sequence++) t.is(send(log, sequence), 2 * (sequence - 1))
  t.is(log.append('one', null, { producer: { id: 8, epoch: 0, sequence: 40 } }), 12)
  const check = (target: Log): void => {
    t.is(send(target, 6), 10)
    t.is(send(target, 2), 2)
    t.is(target.append('one', null, { producer: { id: 8, epoch: 0, sequence: 40 } }), 12)
    t.throws(() => send(target, 1), { code: 'VARVE_OUT_OF_RANGE' })
    t.throws(() => send(target, 8), { code: 'VARVE_OUT_OF_RANGE' })
    t.throws(() => send(target, 7, 0), { code: 'VARVE_FENCED' })
    t.is(target.nextOffset, 13)
  }
  check(log)
  await log.close()
  const again = closedAfter(t, Log.openSync(dir))
  check(again)
  t.is(send(again, 7), 13)
  t.is(send(again, 1, 2), 15)
  t.throws(() => send(again, 8), { code: 'VARVE_FENCED' })
})

test('an older leader epoch than the log has seen is VARVE_FENCED, also after a reopen', async (t) => {
  const dir = freshDir(t)
  const log = await Log.open(dir)
  log.append('a', null, { leaderEpoch: 3 })
  log.append('b', null, { leaderEpoch: 3 })
  t.throws(() => log.append('c', null, { leaderEpoch: 2 }), { code: 'VARVE_FENCED' })
  log.append('d')
  await log.close()
  const again = closedAfter(t, Log.openSync(dir))
  t.throws(() => again.appendBatch([{ value: 'c' }], { leaderEpoch: 2 }), { code: 'VARVE_FENCED' })
  t.is(again.append('c', null, { leaderEpoch: 4 }), 3)
  t.deepEqual(lines(again), ['0 - a', '1 - b', '2 - d', '3 - c'])
})

for (const compression of ['none', 'snappy', 'lz4', 'gzip', 'zstd', { codec: 'zstd', level: 3, dictionary: 'auto' }, { codec: 'gzip', level: 9 }] as const) {
  test(`compression ${JSON.stringify(compression)}: what goes in comes out, by every way`, async (t) => {
    const dir = freshDir(t)
    const log = await Log.open(dir, { compression, value: codecs.utf8, segmentSize: 1 << 17 })
    const expected: string[] = []
    const value = (): string => `value ${expected.length} ${'abc'.repeat(expected.length % 50)}`
    const next = (): string => expected[expected.push(value()) - 1]!
    for (let round = 0; round < 20; round++) {
      log.append(next())
      log.append(next(), Buffer.from('key'), { headers: { a: 'b' } })
      log.appendBatch(Array.from({ length: 200 }, () => ({ value: next() })))
      await log.appendBatchAsync(Array.from({ length: 20 }, () => ({ value: next(), key: Buffer.from('k') })))
    }
    log.appendBatch([{ value: next() }], { compression: 'none' })
    log.appendBatch([{ value: next() }], { compression: 'lz4' })
    const check = (target: Log<Buffer<ArrayBuffer>, string>): void => {
      t.deepEqual(Array.from(target.messages(), ({ value }) => value), expected)
      for (let offset = 0; offset < expected.length; offset += 7) t.is(target.get(offset)!.value, expected[offset]!)
    }
    check(log)
    await log.close()
    check(closedAfter(t, Log.openSync(dir, { value: codecs.utf8 })))
  })
}

test('what is compressed takes less', (t) => {
  const bytes = (compression: 'none' | 'zstd'): number => {
    const log = freshLog(t, { compression })
    log.appendBatch(Array.from({ length: 5000 }, (_, i) => ({ value: `{"name":"value","number":${i % 10}}` })))
    log.syncSync()
    return log.stats().bytes
  }
  t.true(bytes('zstd') < bytes('none') / 3)
})
