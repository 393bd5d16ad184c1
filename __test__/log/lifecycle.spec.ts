import { existsSync } from 'node:fs'
import { relative } from 'node:path'
import test from 'ava'
import { Log, Wal } from 'varve'
import { closedAfter, freshDir, freshLog, lines, segments } from '../support/directory.ts'
import { thread } from '../support/thread.ts'

test('a log is made by open alone, and has no subclasses', (t) => {
  const Made = Log as unknown as new (...args: unknown[]) => object
  t.throws(() => new Made(), { instanceOf: TypeError })
  t.throws(() => new (class extends Made {})(), { instanceOf: TypeError })
})

test('close may be called twice, in any mixture; dir remains', async (t) => {
  const dir = freshDir(t)
  const log = await Log.open(relative(process.cwd(), dir))
  t.is(log.dir, dir)
  log.append('x')
  await Promise.all([log.close(), log.close()])
  log.closeSync()
  log[Symbol.dispose]()
  await log[Symbol.asyncDispose]()
  t.is(log.dir, dir)
  {
    await using again = await Log.open(dir)
    t.is(again.nextOffset, 1)
    using third = Log.openSync(dir)
    t.is(third.append('y'), 1)
  }
  t.is(closedAfter(t, Log.openSync(dir)).nextOffset, 2)
})

test('after close every call is VARVE_CLOSED', async (t) => {
  const log = freshLog(t)
  log.append('x')
  const cursor = log.cursor('c')
  const messages = log.messages()
  const later = log.messagesAsync()
  const reader = log.reader()
  await log.close()
  const closed = { code: 'VARVE_CLOSED' }
  const calls: (() => unknown)[] = [
    () => log.append('x'), () => log.append('x', 'k', { time: 1 }), () => log.appendBatch([{ value: 'x' }]), () => log.appendBatch([]), () => log.get(0), () => log.get('last'),
    () => log.getByKey('k'), () => log.offsetByKey('k'), () => log.getByTime(1), () => log.offsetByTime(1), () => log.consume(0), () => log.consume('end'), () => log.messages(),
    () => log.messagesAsync(), () => log.subscribe(), () => log.reader(), () => log.cursor('c'), () => log.cursors(), () => log.advanceHighWaterMark(1), () => log.sizeOf({ value: 'x' }),
    () => log.segments(), () => log.pin(1), () => log.stats(), () => log.syncSync(), () => log.startOffset, () => log.nextOffset, () => log.highWaterMark, () => log.durableOffset,
    () => cursor.save(1), () => cursor.offset, () => cursor.delete(), () => messages.next(), () => reader.advance(), () => reader.seek(0),
  ]
  for (const call of calls) t.throws(call, closed, String(call))
  const promises: (() => Promise<unknown>)[] = [
    () => log.appendAsync('x'), () => log.appendBatchAsync([{ value: 'x' }]), () => log.getAsync(0), () => log.getByKeyAsync('k'), () => log.getByTimeAsync(1), () => log.consumeAsync(0),
    () => log.consumeBlocking(0), () => log.waitFor(3), () => log.sync(), () => cursor.saveAsync(1), () => later.next(),
  ]
  for (const call of promises) await t.throwsAsync(call(), closed, String(call))
})

test('an option that differs from the core\'s is refused, naming both values; one not given takes the core\'s', (t) => {
  const dir = freshDir(t)
  closedAfter(t, Log.openSync(dir, { segmentSize: 131_072, indexes: { time: true } }))
  const error = t.throws(() => Log.openSync(dir, { segmentSize: 65_536 }), { code: 'VARVE_INVALID_ARGUMENT' })
  t.regex(error!.message, /65536.*131072|131072.*65536/)
  t.throws(() => Log.openSync(dir, { indexes: { time: false } }), { code: 'VARVE_INVALID_ARGUMENT', message: /time/ })
  t.throws(() => Log.openSync(dir, { indexes: { key: true } }), { code: 'VARVE_INVALID_ARGUMENT', message: /key/ })
  closedAfter(t, Log.openSync(dir))
  closedAfter(t, Log.openSync(dir, { segmentSize: 131_072, indexes: { time: true, key: false } }))
})

test('indexes are kept in the log, and not changed by opening', async (t) => {
  const dir = freshDir(t)
  await (await Log.open(dir, { indexes: { time: true } })).close()
  await t.throwsAsync(Log.open(dir, { indexes: { time: false } }), { code: 'VARVE_INVALID_ARGUMENT', message: /migrate/ })
  const log = closedAfter(t, await Log.open(dir))
  log.append('x', null, { time: 5 })
  t.is(log.getByTime(1)!.offset, 0)
})

test('a log of records is no log of messages, and the other way round', async (t) => {
  const [records, messages] = [freshDir(t), freshDir(t)]
  const wal = Wal.openSync(records)
  wal.append('x')
  await wal.close()
  const log = Log.openSync(messages)
  log.append('x')
  await log.close()
  t.throws(() => Log.openSync(records), { code: 'VARVE_UNSUPPORTED', message: /another engine/ })
  t.throws(() => Wal.openSync(messages), { code: 'VARVE_UNSUPPORTED', message: /another engine/ })
})

test('an aborted open rejects with an AbortError; create: false makes nothing', async (t) => {
  const dir = `${freshDir(t)}/new`
  await t.throwsAsync(Log.open(dir, { signal: AbortSignal.abort() }), { name: 'AbortError', code: 'ABORT_ERR' })
  t.throws(() => Log.openSync(dir, { create: false }), { code: 'VARVE_IO' })
  t.false(existsSync(dir))
})

test('many cycles of open, append one, close make no more than one segment', async (t) => {
  const dir = freshDir(t)
  for (let i = 0; i < 300; i++) {
    const log = i % 2 === 0 ? Log.openSync(dir) : await Log.open(dir)
    t.is(log.append(`value ${i}`, 'k'), i)
    await log.close()
  }
  t.is(segments(dir).length, 1)
  t.is(lines(closedAfter(t, Log.openSync(dir))).length, 300)
})

test('segments, pins, stats and sizes', async (t) => {
  const log = freshLog(t, { segmentSize: 65_536 })
  const rotated: number[] = []
  log.on('rotate', ({ id }) => rotated.push(id))
  for (let i = 0; i < 3000; i++) log.append(`value ${i}`.padEnd(100))
  await log.sync()
  const infos = log.segments()
  t.true(infos.length > 4)
  t.deepEqual(infos.map(({ sealed }) => sealed), infos.map((_, i) => i < infos.length - 1))
  {
    using _pin = log.pin(infos[0]!.id)
    t.is(log.segments()[0]!.references, 1)
  }
  t.is(log.segments()[0]!.references, 0)
  t.throws(() => log.pin(9999), { code: 'VARVE_OUT_OF_RANGE' })
  const stats = log.stats()
  t.is(stats.messages, 3000)
  t.is(stats.nextOffset, 3000)
  t.is(stats.startOffset, 0)
  t.is(stats.durableOffset, 3000)
  t.is(stats.highWaterMark, 0)
  t.is(stats.segments, infos.length)
  t.is(stats.version, 1)
  t.is(stats.pendingBytes, 0)
  t.is(stats.failed, undefined)
  t.deepEqual(stats.recovery.torn, [])
  t.true(stats.bytes > 300_000)
  const before = log.sizeOf({ value: '' })
  t.is(log.sizeOf({ value: 'x'.repeat(80) }), before + 80)
  t.true(log.sizeOf({ value: '', key: 'k'.repeat(80), headers: { h: 'x'.repeat(8) } }) >= before + 88)
  t.is(log.nextOffset, 3000)
  t.deepEqual(rotated, infos.slice(0, -1).map(({ id }) => id))
})

test('a worker that opens the same directory shares it', async (t) => {
  const dir = freshDir(t)
  const log = closedAfter(t, Log.openSync(dir))
  const other = thread(t)
  // Of this process: it shares the log.
  t.is(await other.run('const log = Log.openSync(args.dir); log.append("x"); const { nextOffset } = log; await log.close(); return nextOffset', { dir }), 1)
  t.is(log.nextOffset, 1)
})
