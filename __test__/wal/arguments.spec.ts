import { existsSync } from 'node:fs'
import test, { type ExecutionContext } from 'ava'
import { isVarveError, Wal, type WalOptions } from 'varve'
import { resizable } from '../support/memory.ts'
import { contents, contentsButSlots, freshDir, freshWal } from '../support/directory.ts'

const code = 'VARVE_INVALID_ARGUMENT'

const getWith = (log: Wal, options: object): unknown => (log as unknown as { get(index: number, options: object): unknown }).get(0, options)

const refused = (t: ExecutionContext, call: () => unknown, kind: typeof TypeError | typeof RangeError, what: unknown): Error => {
  const error = t.throws(call, { instanceOf: kind, code }, String(what))!
  t.true(isVarveError(error, code))
  return error
}

test('a record is bytes or a string; all else is a TypeError, and nothing is written', (t) => {
  const log = freshWal(t)
  const other = [undefined, null, 5, 5n, true, {}, [], [1, 2], Symbol('s'), () => 'x', new Date(), new Uint16Array(2), new Int8Array(2),
    new Float64Array(1), new DataView(new ArrayBuffer(1)), new ArrayBuffer(4), new SharedArrayBuffer(4), new Uint8ClampedArray(3),
    Object.create(Uint8Array.prototype), new String('x'), { length: 3 }]
  for (const data of other) {
    refused(t, () => log.append(data as string), TypeError, typeof data)
    refused(t, () => log.appendBatch([data as string]), TypeError, typeof data)
  }
  t.is(log.nextIndex, 0)
})

test('a batch is an array', (t) => {
  const log = freshWal(t)
  for (const records of [undefined, null, 'abc', 5, {}, new Set(['a']), { length: 1, 0: 'a' }, Buffer.from('abc')]) {
    refused(t, () => log.appendBatch(records as unknown as string[]), TypeError, records)
  }
})

test('a detached or shrunk buffer is no empty record', async (t) => {
  const log = freshWal(t)
  const detached = new Uint8Array(100)
  structuredClone(detached.buffer, { transfer: [detached.buffer] })
  const memory = resizable(16, 32)
  const outside = new Uint8Array(memory, 8, 8)
  memory.resize(4)
  const ends = new Uint32Array(4)
  structuredClone(ends.buffer, { transfer: [ends.buffer] })
  for (const data of [detached, outside]) {
    refused(t, () => log.append(data), TypeError, 'append')
    refused(t, () => log.appendBatch(['a', data]), TypeError, 'appendBatch')
    refused(t, () => log.appendPacked(data, Uint32Array.of(0)), TypeError, 'appendPacked')
    await t.throwsAsync(log.appendAsync(data), { instanceOf: TypeError, code })
  }
  refused(t, () => log.appendPacked(Buffer.from('abcd'), ends), TypeError, 'ends')
  t.is(log.nextIndex, 0)
})

const notIndexes: [unknown, typeof TypeError | typeof RangeError][] = [
  [NaN, RangeError], [-1, RangeError], [-0, RangeError], [0.5, RangeError], [2 ** 53, RangeError], [Infinity, RangeError], [-Infinity, RangeError], [1e300, RangeError],
  ['0', TypeError], [null, TypeError], [0n, TypeError], [{}, TypeError], [[0], TypeError], [true, TypeError], [new Number(0), TypeError],
]

test('an index is a safe integer from 0', async (t) => {
  const log = freshWal(t)
  log.append('zero')
  for (const [index, kind] of notIndexes) {
    refused(t, () => log.get(index as number), kind, index)
    refused(t, () => log.append('x', { expectedIndex: index as number }), kind, index)
    refused(t, () => log.appendBatch(['x'], { expectedIndex: index as number }), kind, index)
    refused(t, () => log.reader({ from: index as number }), kind, index)
    refused(t, () => log.reader().seek(index as number), kind, index)
    refused(t, () => log.records({ from: index as number }), kind, index)
    refused(t, () => log.records({ to: index as number }), kind, index)
    await t.throwsAsync(log.getAsync(index as number), { instanceOf: kind, code })
  }
  refused(t, () => log.get(undefined as unknown as number), TypeError, undefined)
  refused(t, () => log.reader().seek(undefined as unknown as number), TypeError, undefined)
  t.is(log.nextIndex, 1)
})

test('2^32 is not 0', (t) => {
  const log = freshWal(t)
  log.append('zero')
  t.is(log.get(2 ** 32), undefined)
  t.throws(() => log.append('x', { expectedIndex: 2 ** 32 + 1 }), { code: 'VARVE_CONFLICT' })
  t.throws(() => log.reader({ from: 2 ** 32 }), { code: 'VARVE_OUT_OF_RANGE' })
  t.throws(() => log.reader().seek(2 ** 32), { code: 'VARVE_OUT_OF_RANGE' })
})

test('the directory is a path', async (t) => {
  for (const dir of [undefined, null, 5, {}, [], Buffer.from('x'), new URL('file:///x'), '', 'a\0b']) {
    refused(t, () => Wal.openSync(dir as string), TypeError, dir)
    await t.throwsAsync(Wal.open(dir as string), { instanceOf: TypeError, code })
    await t.throwsAsync(Wal.check(dir as string), { instanceOf: TypeError, code })
    await t.throwsAsync(Wal.stat(dir as string), { instanceOf: TypeError, code })
  }
})

test('every option has a type and a range, and a wrong one leaves no directory behind', async (t) => {
  const dir = `${freshDir(t)}/none`
  const wrong: [Record<string, unknown>, typeof TypeError | typeof RangeError][] = [
    [{ create: 1 }, TypeError], [{ create: 'yes' }, TypeError], [{ verify: 0 }, TypeError], [{ onDamage: 'ignore' }, TypeError], [{ onDamage: null }, TypeError],
    [{ lockTimeout: -1 }, RangeError], [{ lockTimeout: NaN }, RangeError], [{ lockTimeout: 2 ** 31 }, RangeError], [{ lockTimeout: '5' }, TypeError],
    [{ segmentSize: 65_535 }, RangeError], [{ segmentSize: 2 ** 30 + 1 }, RangeError], [{ segmentSize: 2 ** 32 + 65_536 }, RangeError], [{ segmentSize: 1e5 + 0.5 }, RangeError], [{ segmentSize: '1MB' }, TypeError],
    [{ firstIndex: -1 }, RangeError], [{ firstIndex: 2 ** 53 }, RangeError], [{ firstIndex: null }, TypeError],
    [{ marker: 2 ** 32 }, RangeError], [{ marker: -1 }, RangeError], [{ marker: 'm' }, TypeError],
    [{ durability: 'fast' }, TypeError], [{ durability: null }, TypeError], [{ durability: 5 }, TypeError], [{ durability: [] }, TypeError],
    [{ durability: { syncEveryMs: 0 } }, RangeError], [{ durability: { syncEveryMs: 2 ** 31 } }, RangeError], [{ durability: { syncEveryBytes: -1 } }, RangeError],
    [{ durability: { syncEveryTurn: 1 } }, TypeError], [{ durability: { syncEvery: 1 } }, TypeError],
    [{ codec: 'json' }, TypeError], [{ codec: {} }, TypeError], [{ codec: { name: '', encode() {}, decode() {} } }, TypeError], [{ codec: { name: 'x'.repeat(300), encode() {}, decode() {} } }, TypeError],
    [{ codec: { name: 'x', encode() {} } }, TypeError], [{ codec: null }, TypeError],
    [{ signal: {} }, TypeError], [{ signal: null }, TypeError],
  ]
  for (const [options, kind] of wrong) {
    refused(t, () => Wal.openSync(dir, options), kind, JSON.stringify(options))
    await t.throwsAsync(Wal.open(dir, options), { instanceOf: kind, code })
  }
  refused(t, () => Wal.openSync(dir, { signal: new AbortController().signal }), TypeError, 'signal')
  t.throws(() => Wal.openSync(dir, { create: false }), { code: 'VARVE_IO' })
})

test('an unknown option is refused, with the one that was meant', async (t) => {
  const dir = freshDir(t)
  const meant: [Record<string, unknown>, RegExp][] = [
    [{ segmentsize: 65_536 }, /segmentsize.*segmentSize/], [{ durabilty: 'os' }, /durabilty.*durability/], [{ Create: true }, /Create.*create/], [{ nothingLikeIt: 1 }, /nothingLikeIt/],
  ]
  for (const [options, message] of meant) t.regex(refused(t, () => Wal.openSync(dir, options as WalOptions), TypeError, message).message, message)
  const log = freshWal(t)
  t.regex(refused(t, () => log.append('x', { expectedOffset: 1 } as object), TypeError, '').message, /expectedOffset/)
  refused(t, () => log.append('x', { durability: 'disk' } as object), TypeError, 'durability of a plain write')
  refused(t, () => log.records({ form: 1 } as object), TypeError, 'form')
  refused(t, () => getWith(log, { raw: true }), TypeError, 'raw')
  await t.throwsAsync(log.appendPackedAsync(Buffer.from('x'), Uint32Array.of(1), { expectedIndex: 0 } as object), { code })
  await t.throwsAsync(Wal.check(log.dir, { onprogress: () => {} } as object), { code })
  t.is(log.nextIndex, 0)
})

test('options are a plain object', (t) => {
  const dir = freshDir(t)
  for (const options of [null, 5, 'disk', [], () => {}, new Map(), new (class Options {})(), Object.create({ create: false })]) {
    refused(t, () => Wal.openSync(dir, options as WalOptions), TypeError, options)
  }
  const log = freshWal(t)
  for (const options of [null, 5, 'x', []]) refused(t, () => log.append('x', options as unknown as object), TypeError, options)
  Wal.openSync(dir, Object.assign(Object.create(null), { segmentSize: 65_536 }) as WalOptions).closeSync()
})

test('an option that is undefined is absent', (t) => {
  const absent = { create: undefined, durability: undefined, segmentSize: undefined, codec: undefined, signal: undefined, other: undefined }
  Wal.openSync(freshDir(t), absent as unknown as WalOptions).closeSync()
  t.pass()
})

test.serial('what is on Object.prototype is no option, and what a getter says twice is asked once', async (t) => {
  const polluted = Object.prototype as unknown as Record<string, unknown>
  const keys = { create: false, segmentSize: 5, firstIndex: 77, durability: 'wrong', codec: 'wrong', expectedIndex: 99, from: 5, to: 1, signal: 'x', onDamage: 'x', readOnly: true, marker: -1, path: 'x', range: true }
  const dir = `${freshDir(t)}/new`
  try {
    Object.assign(polluted, keys)
    const log = Wal.openSync(dir, {})
    t.is(log.append('a', {}), 0)
    t.is(await log.appendAsync('b', {}), 1)
    t.is([...log.records({})].length, 2)
    t.throws(() => log.append(5 as unknown as string), { instanceOf: TypeError })
    log.closeSync()
  } finally {
    for (const key of Object.keys(keys)) delete polluted[key]
  }
  let asked = 0
  const options = { get firstIndex() { return asked++ === 0 ? 3 : 4 } }
  const log = Wal.openSync(freshDir(t), options)
  t.is(log.firstIndex, 3)
  t.is(asked, 1)
  log.closeSync()
})

test('a getter that throws fails the call, and nothing has happened', (t) => {
  const log = freshWal(t)
  const thrower = { get expectedIndex(): number { throw new Error('mine') } }
  t.throws(() => log.append('x', thrower), { message: 'mine' })
  t.is(log.nextIndex, 0)
})

test('the options of this log’s ends, gate, marks and retention have a type and a range, and a wrong one leaves no directory behind', async (t) => {
  const dir = `${freshDir(t)}/none`
  const wrong: [Record<string, unknown>, typeof TypeError | typeof RangeError][] = [
    [{ readOnly: 1 }, TypeError], [{ readOnly: null }, TypeError], [{ commitGate: 'yes' }, TypeError], [{ commitGate: 0 }, TypeError], [{ commitGate: null }, TypeError],
    [{ validateMarker: true }, TypeError], [{ validateMarker: 7 }, TypeError], [{ validateMarker: null }, TypeError], [{ marker: 0.5 }, RangeError], [{ marker: NaN }, RangeError],
    [{ retention: null }, TypeError], [{ retention: 5 }, TypeError], [{ retention: [] }, TypeError], [{ retention: () => {} }, TypeError], [{ retention: { maxAge: 5 } }, TypeError],
    [{ retention: { maxAgeMs: -1 } }, RangeError], [{ retention: { maxAgeMs: '5' } }, TypeError], [{ retention: { maxAgeMs: NaN } }, RangeError], [{ retention: { maxAgeMs: null } }, TypeError],
    [{ retention: { minSegments: -1 } }, RangeError], [{ retention: { minSegments: 1.5 } }, RangeError], [{ retention: { minSegments: '1' } }, TypeError],
    [{ retention: { maxSegments: 0 } }, RangeError], [{ retention: { maxSegments: -3 } }, RangeError], [{ retention: { maxSegments: true } }, TypeError],
    [{ retention: { maxBytes: -1 } }, RangeError], [{ retention: { maxBytes: '1GB' } }, TypeError], [{ retention: { maxBytes: Infinity } }, RangeError],
    [{ retention: { mayDelete: true } }, TypeError], [{ retention: { mayDelete: null } }, TypeError],
    [{ retention: { intervalMs: -1 } }, RangeError], [{ retention: { intervalMs: 2 ** 31 } }, RangeError], [{ retention: { intervalMs: '5' } }, TypeError],
  ]
  for (const [options, kind] of wrong) {
    refused(t, () => Wal.openSync(dir, options), kind, JSON.stringify(options))
    await t.throwsAsync(Wal.open(dir, options), { instanceOf: kind, code }, JSON.stringify(options))
  }
  // One says more than is to be kept, the other less: they cannot both be.
  t.throws(() => Wal.openSync(dir, { retention: { minSegments: 5, maxSegments: 3 } }), { code, message: /maxSegments/ })
  t.regex(refused(t, () => Wal.openSync(dir, { retention: { maxAgesMs: 5 } } as object), TypeError, '').message, /maxAgesMs.*maxAgeMs/)
  t.throws(() => Wal.openSync(dir, { create: false }), { code: 'VARVE_IO' })
  Wal.openSync(dir, { retention: { maxAgeMs: undefined, mayDelete: undefined }, commitGate: undefined, validateMarker: undefined } as object).closeSync()
})

/** Members of a log whose one argument is an index or a number, by the least that it may be. */
const numbered: [string, (log: Wal, value: number) => unknown][] = [
  ['commit', (log, value) => log.commit(value)],
  ['truncateAfter', (log, value) => log.truncateAfter(value)],
  ['truncateBefore', (log, value) => log.truncateBefore(value)],
  ['reset', (log, value) => log.reset(value)],
  ['positionOf', (log, value) => log.positionOf(value)],
  ['pin', (log, value) => log.pin(value)],
  ['getAt, segment', (log, value) => log.getAt({ segment: value, offset: 0 })],
  ['getAt, offset', (log, value) => log.getAt({ segment: 1, offset: value })],
  ['recordsAsync, from', (log, value) => log.recordsAsync({ from: value })],
  ['recordsAsync, to', (log, value) => log.recordsAsync({ to: value })],
  ['tail', (log, value) => log.tail({ from: value })],
]

test('every number is a safe integer, or the call is a TypeError or a RangeError, and nothing has happened', async (t) => {
  const log = freshWal(t)
  log.append('zero')
  await log.sync()
  const before = contentsButSlots(log.dir)
  for (const [name, call] of numbered) {
    for (const [value, kind] of notIndexes) {
      // One before the first index is a place to truncate after.
      if (name === 'truncateAfter' && value === -1) continue
      refused(t, () => call(log, value as number), kind, `${name}(${String(value)})`)
    }
    if (!name.includes(',') && name !== 'tail') refused(t, () => call(log, undefined as unknown as number), TypeError, `${name}()`)
  }
  refused(t, () => log.truncateAfter(-2), RangeError, 'truncateAfter(-2)')
  for (const [value, kind] of notIndexes) {
    if (value !== -1) await t.throwsAsync(log.truncateAfterAsync(value as number), { instanceOf: kind, code }, String(value))
    await t.throwsAsync(log.truncateBeforeAsync(value as number), { instanceOf: kind, code }, String(value))
    await t.throwsAsync(log.waitFor(value as number), { instanceOf: kind, code }, String(value))
    await t.throwsAsync(log.backup(`${log.dir}-copy`, { afterSegment: value as number }), { instanceOf: kind, code }, String(value))
  }
  await log.sync()
  t.deepEqual(contentsButSlots(log.dir), before)
  t.is(log.nextIndex, 1)
  t.is(log.committedIndex, 0)
})

test('a position is an object of segment and offset', (t) => {
  const log = freshWal(t)
  log.append('x')
  for (const position of [undefined, null, 5, 'x', true, {}, [], { segment: 1 }, { offset: 0 }, { segment: '1', offset: 0 }, { segment: 1, offset: null }]) {
    refused(t, () => log.getAt(position as unknown as { segment: number; offset: number }), TypeError, JSON.stringify(position))
  }
})

test('options of reading are checked at the call, those of iterators too', async (t) => {
  const log = freshWal(t)
  log.append('x')
  const wrong: [object, RegExp][] = [[{ zeroCopy: 1 }, /zeroCopy/], [{ zeroCopy: null }, /zeroCopy/], [{ zerocopy: true }, /zerocopy.*zeroCopy/]]
  for (const [options, message] of wrong) {
    for (const call of [() => getWith(log, options), () => log.records(options), () => log.recordsAsync(options), () => log.reader(options), () => log.tail(options)]) {
      t.regex(refused(t, call, TypeError, JSON.stringify(options)).message, message)
    }
  }
  for (const options of [null, 5, 'x', []]) {
    for (const call of [() => getWith(log, options as unknown as object), () => log.recordsAsync(options as object), () => log.reader(options as object), () => log.tail(options as object)]) {
      refused(t, call, TypeError, JSON.stringify(options))
    }
    await t.throwsAsync(log.waitFor(0, options as object), { instanceOf: TypeError, code })
    await t.throwsAsync(log.backup(`${log.dir}-copy`, options as object), { instanceOf: TypeError, code })
  }
  for (const from of ['start', 'END', '0']) refused(t, () => log.tail({ from: from as 'end' }), TypeError, from)
  refused(t, () => log.records({ from: 'end' as unknown as number }), TypeError, 'records from end')
  refused(t, () => log.reader({ from: 'end' as unknown as number }), TypeError, 'reader from end')
  refused(t, () => log.tail({ to: 5 } as object), TypeError, 'tail to')
  refused(t, () => log.reader({ to: 5 } as object), TypeError, 'reader to')
  for (const signal of [null, 5, {}, new AbortController()]) {
    refused(t, () => log.tail({ signal: signal as AbortSignal }), TypeError, 'signal')
    refused(t, () => log.recordsAsync({ signal: signal as AbortSignal }), TypeError, 'signal')
    await t.throwsAsync(log.waitFor(0, { signal: signal as AbortSignal }), { instanceOf: TypeError, code })
    await t.throwsAsync(log.backup(`${log.dir}-copy`, { signal: signal as AbortSignal }), { instanceOf: TypeError, code })
  }
  for (const options of [{ active: 1 }, { onProgress: true }, { onprogress: () => {} }]) await t.throwsAsync(log.backup(`${log.dir}-copy`, options as object), { instanceOf: TypeError, code })
  t.false(existsSync(`${log.dir}-copy`))
})

test('a wrong call changes no byte of the directory', async (t) => {
  const log = freshWal(t)
  log.append('x')
  await log.sync()
  const before = contents(log.dir)
  t.throws(() => log.append(1 as unknown as string))
  t.throws(() => log.appendBatch(['x', 1 as unknown as string]))
  t.throws(() => log.appendPacked(Buffer.from('abc'), Uint32Array.of(9)))
  t.throws(() => log.append('x', { expectedIndex: 7 }))
  t.throws(() => Wal.openSync(log.dir, { codec: 5 } as object))
  await log.sync()
  t.deepEqual(contents(log.dir), before)
})

test('an AbortSignal stops open, check and nothing else', async (t) => {
  const dir = `${freshDir(t)}/none`
  const signal = AbortSignal.abort(new Error('why'))
  const expected = { name: 'AbortError', code: 'ABORT_ERR' }
  const error = await t.throwsAsync(Wal.open(dir, { signal }), expected)
  t.is((error.cause as Error).message, 'why')
  await t.throwsAsync(Wal.check(dir, { signal }), expected)
  t.throws(() => Wal.openSync(dir, { create: false }), { code: 'VARVE_IO' })
})
