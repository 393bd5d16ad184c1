import { existsSync } from 'node:fs'
import test, { type ExecutionContext } from 'ava'
import { codecs, isVarveError, Log, type LogOptions, type MessageInput } from 'varve'
import { contentsButSlots, freshDir, freshLog } from '../support/directory.ts'
import { resizable } from '../support/memory.ts'

const code = 'VARVE_INVALID_ARGUMENT'
type Kind = typeof TypeError | typeof RangeError

const refused = (t: ExecutionContext, call: () => unknown, kind: Kind, what: unknown): Error => {
  const error = t.throws(call, { instanceOf: kind, code }, String(what))!
  t.true(isVarveError(error, code))
  return error
}

const notBytes = [5, 5n, true, {}, [], [1, 2], Symbol('s'), () => 'x', new Date(), new Uint16Array(2), new Int8Array(2), new Float64Array(1), new DataView(new ArrayBuffer(1)),
  new ArrayBuffer(4), new SharedArrayBuffer(4), new Uint8ClampedArray(3), Object.create(Uint8Array.prototype), new String('x'), { length: 3 }]

test('a value is bytes, a string or null; a key may also be left out; all else is a TypeError, and nothing is written', async (t) => {
  const log = freshLog(t)
  for (const other of [...notBytes, undefined]) {
    const value = other as string
    refused(t, () => log.append(value), TypeError, typeof value)
    refused(t, () => log.append(value, 'k', { time: 5 }), TypeError, typeof value)
    refused(t, () => log.appendBatch([{ value: 'x' }, { value }]), TypeError, typeof value)
    await t.throwsAsync(log.appendAsync(value), { instanceOf: TypeError, code })
    refused(t, () => log.sizeOf({ value }), TypeError, typeof value)
  }
  for (const other of notBytes) {
    const key = other as string
    refused(t, () => log.append('x', key), TypeError, typeof key)
    refused(t, () => log.append('x', key, { time: 5 }), TypeError, typeof key)
    refused(t, () => log.appendBatch([{ value: 'x', key }]), TypeError, typeof key)
    await t.throwsAsync(log.appendAsync('x', key), { instanceOf: TypeError, code })
    refused(t, () => log.messages({ key }), TypeError, typeof key)
    refused(t, () => log.subscribe({ key }), TypeError, typeof key)
    refused(t, () => log.consume(0, { key }), TypeError, typeof key)
    await t.throwsAsync(log.consumeAsync(0, { key }), { instanceOf: TypeError, code })
  }
  t.is(log.nextOffset, 0)
})

test('a batch is an array of objects', (t) => {
  const log = freshLog(t)
  for (const messages of [undefined, null, 'abc', 5, {}, new Set([{ value: 'a' }]), { length: 1, 0: { value: 'a' } }, Buffer.from('abc')]) {
    refused(t, () => log.appendBatch(messages as unknown as MessageInput[]), TypeError, messages)
  }
  for (const message of [undefined, null, 'abc', 5, [], {}, () => 'x']) {
    refused(t, () => log.appendBatch([{ value: 'a' }, message as unknown as MessageInput]), TypeError, message)
  }
  t.is(log.nextOffset, 0)
})

test('a detached or shrunk buffer is no empty value or key', (t) => {
  const log = freshLog(t)
  const detached = new Uint8Array(100)
  structuredClone(detached.buffer, { transfer: [detached.buffer] })
  const memory = resizable(16, 32)
  const outside = new Uint8Array(memory, 8, 8)
  memory.resize(4)
  for (const bytes of [detached, outside]) {
    refused(t, () => log.append(bytes), TypeError, 'value')
    refused(t, () => log.append('x', bytes), TypeError, 'key')
    refused(t, () => log.append('x', null, { headers: { h: bytes } }), TypeError, 'header')
    refused(t, () => log.appendBatch([{ value: bytes }]), TypeError, 'value')
    refused(t, () => log.appendBatch([{ value: 'x', key: bytes }]), TypeError, 'key')
    refused(t, () => log.messages({ key: bytes }), TypeError, 'key')
  }
  t.is(log.nextOffset, 0)
})

const notOffsets: [unknown, Kind][] = [
  [NaN, RangeError], [-1, RangeError], [-0, RangeError], [0.5, RangeError], [2 ** 53, RangeError], [Infinity, RangeError], [-Infinity, RangeError], [1e300, RangeError],
  ['0', TypeError], [null, TypeError], [0n, TypeError], [{}, TypeError], [[0], TypeError], [true, TypeError], [new Number(0), TypeError],
]

test('an offset is a safe integer from 0, or an end where there may be one', async (t) => {
  const log = freshLog(t)
  log.append('zero')
  const cursor = log.cursor('c')
  for (const [bad, kind] of notOffsets) {
    const offset = bad as number
    refused(t, () => log.get(offset), kind, offset)
    refused(t, () => log.consume(offset), kind, offset)
    refused(t, () => log.consume(0, { to: offset }), kind, offset)
    refused(t, () => log.messages({ from: offset }), kind, offset)
    refused(t, () => log.messages({ to: offset }), kind, offset)
    refused(t, () => log.messagesAsync({ from: offset }), kind, offset)
    refused(t, () => log.subscribe({ from: offset }), kind, offset)
    refused(t, () => log.reader({ from: offset }), kind, offset)
    refused(t, () => log.reader().seek(offset), kind, offset)
    refused(t, () => log.advanceHighWaterMark(offset), kind, offset)
    refused(t, () => cursor.save(offset), kind, offset)
    refused(t, () => log.cursor('d', { from: offset }), kind, offset)
    refused(t, () => log.append('x', null, { expectedOffset: offset }), kind, offset)
    refused(t, () => log.append('x', null, { leaderEpoch: offset }), kind, offset)
    for (const producer of [{ id: offset, epoch: 0, sequence: 0 }, { id: 0, epoch: offset, sequence: 0 }, { id: 0, epoch: 0, sequence: offset }]) {
      refused(t, () => log.append('x', null, { producer }), kind, offset)
    }
    refused(t, () => log.pin(offset), kind, offset)
    for (const promise of [log.getAsync(offset), log.consumeAsync(offset), log.consumeBlocking(offset), log.waitFor(offset), cursor.saveAsync(offset)]) {
      await t.throwsAsync(promise, { instanceOf: kind, code })
    }
  }
  for (const max of [0, -1, 0.5, NaN]) {
    refused(t, () => log.consume(0, { max }), RangeError, max)
    refused(t, () => log.consume(0, { maxBytes: max }), RangeError, max)
  }
  for (const end of ['first', 'last', 'End', '']) refused(t, () => log.consume(end as 'end'), TypeError, end)
  for (const end of ['start', 'end', 'First', '']) refused(t, () => log.get(end as 'first'), TypeError, end)
  for (const end of ['start', 'end']) refused(t, () => log.messages({ from: end as unknown as number }), TypeError, end)
  refused(t, () => log.append('x', null, { producer: { id: 1, epoch: 2 ** 32, sequence: 0 } }), RangeError, 'epoch')
  refused(t, () => log.append('x', null, { producer: {} as { id: number; epoch: number; sequence: number } }), TypeError, 'producer')
  t.is(log.nextOffset, 1)
})

test('2^32 is not 0', (t) => {
  const log = freshLog(t)
  log.append('zero')
  t.throws(() => log.get(2 ** 32), { code: 'VARVE_OUT_OF_RANGE' })
  t.throws(() => log.consume(2 ** 32), { code: 'VARVE_OUT_OF_RANGE' })
  t.throws(() => log.append('x', null, { expectedOffset: 2 ** 32 }), { code: 'VARVE_CONFLICT' })
})

test('a time is a number or a Date that holds one', (t) => {
  const log = freshLog(t, { indexes: { time: true } })
  const bad: [unknown, Kind][] = [[NaN, RangeError], [Infinity, RangeError], [8.64e15 + 1, RangeError], [-1e300, RangeError], [new Date(NaN), RangeError],
    ['2001-01-01', TypeError], [null, TypeError], [5n, TypeError], [{}, TypeError]]
  for (const [given, kind] of bad) {
    const time = given as number
    refused(t, () => log.append('x', null, { time }), kind, time)
    refused(t, () => log.appendBatch([{ value: 'x', time }]), kind, time)
    refused(t, () => log.getByTime(time), kind, time)
    refused(t, () => log.offsetByTime(time), kind, time)
  }
  refused(t, () => log.getByTime(undefined as unknown as number), TypeError, undefined)
  t.is(log.nextOffset, 0)
})

test('headers are a plain object of bytes and strings', (t) => {
  const log = freshLog(t)
  for (const headers of [null, 5, 'x', [], new Map([['a', 'b']]), { a: 5 }, { a: undefined }, { a: null }, { a: ['b'] }]) {
    refused(t, () => log.append('x', null, { headers: headers as unknown as Record<string, string> }), TypeError, headers)
    refused(t, () => log.appendBatch([{ value: 'x', headers: headers as unknown as Record<string, string> }]), TypeError, headers)
  }
  t.is(log.nextOffset, 0)
})

test('an unknown option is refused, with a hint, and one that is undefined is absent', async (t) => {
  const log = freshLog(t)
  const calls: ((options: object) => unknown)[] = [
    (options) => log.append('x', null, options), (options) => log.appendBatch([{ value: 'x' }], options), (options) => log.consume(0, options), (options) => log.messages(options),
    (options) => log.messagesAsync(options), (options) => log.subscribe(options), (options) => log.reader(options), (options) => log.cursor('c', options),
  ]
  for (const call of calls) {
    for (const options of [{ unheard: 1 }, { 'from ': 1 }, null, 5, 'x', [], new Date()]) refused(t, () => call(options as object), TypeError, call)
    t.notThrows(() => call({ signal: undefined, unheard: undefined }))
  }
  t.regex(refused(t, () => log.append('x', null, { expectedOffsets: 5 } as object), TypeError, 'x').message, /did you mean expectedOffset\?/)
  refused(t, () => log.append('x', null, { durability: 'disk' } as object), TypeError, 'durability')
  refused(t, () => log.appendBatch([{ value: 'x' }], { time: 5 } as object), TypeError, 'time')
  await t.throwsAsync(log.appendAsync('x', null, { durability: 'buffered' as 'os' }), { instanceOf: TypeError, code })
  await t.throwsAsync(log.waitFor(0, { signals: 1 } as object), { instanceOf: TypeError, code })
  await t.throwsAsync(log.consumeBlocking(0, { zeroCopy: true } as object), { instanceOf: TypeError, code })
  for (const zeroCopy of [true, false]) t.notThrows(() => [log.consume(0, { zeroCopy }), [...log.messages({ zeroCopy })], log.reader({ zeroCopy }).close()])
  refused(t, () => log.consume(0, { zeroCopy: 1 as unknown as boolean }), TypeError, 'zeroCopy')
})

const badOptions: [object, Kind][] = [
  [{ unheard: 1 }, TypeError], [{ segmentSize: 1 }, RangeError], [{ segmentSize: 2 ** 31 }, RangeError], [{ segmentSize: '64' }, TypeError], [{ create: 1 }, TypeError],
  [{ readOnly: 'yes' }, TypeError], [{ verify: 0 }, TypeError], [{ onDamage: 'ignore' }, TypeError], [{ durability: 'never' }, TypeError], [{ durability: { syncEveryMs: 0 } }, RangeError],
  [{ lockTimeout: -1 }, RangeError], [{ commitGate: 1 }, TypeError], [{ indexes: true }, TypeError], [{ indexes: { key: 1 } }, TypeError], [{ indexes: { keys: true } }, TypeError],
  [{ compression: 'brotli' }, TypeError], [{ compression: { codec: 'lz4' } }, TypeError], [{ compression: { codec: 'zstd', level: 23 } }, RangeError],
  [{ compression: { codec: 'zstd', level: 1.5 } }, RangeError], [{ compression: { codec: 'gzip', level: 10 } }, RangeError], [{ compression: { codec: 'gzip', dictionary: 'auto' } }, TypeError],
  [{ compression: { codec: 'zstd', dictionary: 'on' } }, TypeError], [{ compression: { codec: 'zstd', levels: 1 } }, TypeError], [{ compression: 5 }, TypeError],
  [{ key: 'utf8' }, TypeError], [{ value: {} }, TypeError], [{ value: { name: '', encode: () => '', decode: () => 1 } }, TypeError], [{ codec: codecs.utf8 }, TypeError],
  [{ signal: 'x' }, TypeError], [{ firstIndex: 5 }, TypeError],
]

test('an option of open that is wrong is refused, before anything has happened', async (t) => {
  const dir = `${freshDir(t)}/new`
  for (const [options, kind] of badOptions) {
    refused(t, () => Log.openSync(dir, options as LogOptions), kind, JSON.stringify(options))
    await t.throwsAsync(Log.open(dir, options as LogOptions), { instanceOf: kind, code })
  }
  refused(t, () => Log.openSync(dir, { signal: new AbortController().signal }), TypeError, 'signal')
  for (const bad of [undefined, null, 5, '', 'a\0b', Buffer.from('x')]) refused(t, () => Log.openSync(bad as string), TypeError, bad)
  t.false(existsSync(dir))
})

test('limits are errors that name the limit, before anything is written', async (t) => {
  const dir = freshDir(t)
  const log = await Log.open(dir, { segmentSize: 65_536 })
  log.append('x')
  await log.sync()
  const before = contentsButSlots(dir)
  const large = Buffer.alloc(65_536)
  const limit = (call: () => unknown): number | undefined => (t.throws(call, { code: 'VARVE_TOO_LARGE' }) as { limit?: number }).limit
  t.true(limit(() => log.append(large))! <= 65_536)
  t.true(limit(() => log.append('x', large))! <= 65_536)
  t.true(limit(() => log.append('x', null, { headers: { large } }))! <= 65_536)
  t.is(limit(() => log.appendBatch(Array.from({ length: 600 }, () => ({ value: Buffer.alloc(60_000) })))), 32 << 20)
  await t.throwsAsync(log.appendAsync(large), { code: 'VARVE_TOO_LARGE' })
  t.is(log.nextOffset, 1)
  t.deepEqual(contentsButSlots(dir), before)
  t.is(log.append('goes on'), 1)
  await log.close()
})

test('an Object.prototype that someone has added to changes nothing', (t) => {
  const log = freshLog(t)
  const polluted = Object.prototype as { expectedOffset?: unknown; max?: unknown }
  polluted.expectedOffset = 7
  polluted.max = 1
  try {
    log.append('a', null, {})
    log.appendBatch([{ value: 'b' }], { compression: 'none' })
    t.is(log.consume(0, {}).messages.length, 2)
  } finally {
    delete polluted.expectedOffset
    delete polluted.max
  }
})
