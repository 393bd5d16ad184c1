// Where calls of klevdb have been seen to do another thing than they say: what the same calls do here. The numbers are those of docs/parity/klevdb.md.
import { existsSync, readdirSync, readlinkSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { inspect } from 'node:util'
import test, { type ExecutionContext } from 'ava'
import { codecs, Log, type LogOptions } from 'varve'
import { closedAfter, contents, freshDir, freshLog, lineOf, lines } from '../support/directory.ts'
import { isPending, Remote } from '../support/following.ts'
import { thread } from '../support/thread.ts'
import { fill, has, indexed, range } from './held.ts'

const filled = (t: ExecutionContext, count: number, options?: LogOptions): Log => {
  const log = freshLog(t, options)
  for (let i = 0; i < count; i++) log.append(`value ${i}`, `key ${i % 5}`, { time: i })
  return log
}

test('defect B2.1: to open for reading makes no file, neither a lock nor an index that is missing', async (t) => {
  const empty = freshDir(t)
  await t.throwsAsync(Log.open(empty, { readOnly: true }), { code: 'VARVE_IO', message: /no log yet/ })
  t.deepEqual(readdirSync(empty), [])
  const log = closedAfter(t, Log.openSync(freshDir(t), indexed))
  fill(log, 2000)
  await log.close()
  for (const name of readdirSync(log.dir)) if (/LOCK|\.(idx|dig|key)$/.test(name)) rmSync(join(log.dir, name))
  const before = readdirSync(log.dir)
  const bytes = contents(log.dir)
  const reader = closedAfter(t, Log.openSync(log.dir, { readOnly: true }))
  has(t, reader, range(0, 2000))
  reader.gc()
  await reader.close()
  t.deepEqual(readdirSync(log.dir), before)
  t.deepEqual(contents(log.dir), bytes)
})

test('defect B2.2: a reader opens beside a live writer, in the process and in another', async (t) => {
  const dir = freshDir(t)
  const writer = new Remote(t, dir, {}, 'remote-log')
  await writer.call('open')
  await writer.call('fill', 100)
  await writer.call('state')
  const reader = closedAfter(t, Log.openSync(dir, { readOnly: true }))
  t.is(lines(reader).length, 100)
  await writer.call('fill', 100)
  t.is(await reader.waitFor(199), 200)
  t.is(lineOf(reader.get(150)!), '150 key 0 value 150')
  const own = filled(t, 10)
  await own.sync()
  const beside = closedAfter(t, Log.openSync(own.dir, { readOnly: true }))
  t.deepEqual(lines(beside), lines(own))
})

test('defect B2.3: an append leaves what the caller handed in as it was, and whatever he does with it afterwards changes nothing', async (t) => {
  const log = freshLog(t)
  const value = Buffer.from('value')
  const messages = [{ value }, Object.freeze({ value: null, key: 'k' }), { value: 'x', time: new Date(5), headers: { h: Buffer.from('h') } }]
  const before = inspect(messages, { depth: 5 })
  log.appendBatch(messages)
  const later = log.appendBatchAsync(Object.freeze([...messages]))
  log.append(value, value, { time: 7 })
  t.is(inspect(messages, { depth: 5 }), before)
  value.fill(0)
  messages.length = 0
  await later
  t.deepEqual(lines(log), ['0 - value', '1 k -', '2 - x', '3 - value', '4 k -', '5 - x', '6 value value'])
})

test('defect B2.4: a batch of which one message is refused is not there, and no offset is given twice', async (t) => {
  const log = freshLog(t)
  const worse: unknown[] = [{ value: 5 }, { value: 'b', time: NaN }, null, { value: 'b', headers: { h: 5 } }, { value: 'x'.repeat(40 << 20) }]
  const bad = worse.map((last) => [{ value: 'a' }, { value: 'b' }, last])
  for (const [round, batch] of bad.entries()) {
    t.throws(() => log.appendBatch(batch as []))
    await t.throwsAsync(log.appendBatchAsync(batch as []))
    t.is(log.nextOffset, 2 * round)
    t.is(log.appendBatch([{ value: 'c' }, { value: 'd' }]), 2 * round)
  }
  await log.close()
  const again = closedAfter(t, Log.openSync(log.dir))
  t.deepEqual(lines(again), bad.flatMap((_, round) => [`${2 * round} - c`, `${2 * round + 1} - d`]))
})

/** A log that was cut at 40, and has holes. */
async function cut(t: ExecutionContext): Promise<Log> {
  const log = filled(t, 100)
  await log.trim({ beforeOffset: 40 })
  await log.delete([60, 61, 99])
  return log
}

test('defect B2.5: to consume from before the start is out of range, by key too, and a negative offset is a wrong argument', async (t) => {
  const log = await cut(t)
  const code = { code: 'VARVE_OUT_OF_RANGE' }
  for (const offset of [0, 39, 101]) {
    const calls = [
      () => log.consume(offset), () => log.consume(offset, { key: 'key 1' }), () => log.messages({ from: offset }), () => log.reader({ from: offset }),
      () => log.subscribe({ from: offset }),
    ]
    for (const call of calls) t.throws(call, code, String(call))
    await t.throwsAsync(log.consumeAsync(offset), code)
    await t.throwsAsync(log.consumeBlocking(offset), code)
  }
  for (const offset of [-1, -3, -(2 ** 40)]) t.throws(() => log.consume(offset), { code: 'VARVE_INVALID_ARGUMENT' })
  t.is(log.consume(60).messages[0]!.offset, 62)
  t.deepEqual(log.consume(99), { messages: [], nextOffset: 100 })
})

test('defect B2.7: get outside of the log is the same error whether it began at 0 or was cut, and a hole is nothing', async (t) => {
  const log = await cut(t)
  const whole = filled(t, 0)
  for (const offset of [0, 1]) t.throws(() => whole.get(offset), { code: 'VARVE_OUT_OF_RANGE' })
  for (const offset of [0, 39, 100, 101]) t.throws(() => log.get(offset), { code: 'VARVE_OUT_OF_RANGE' })
  for (const offset of [60, 61, 99]) t.is(log.get(offset), undefined)
})

test('defect B2.8: an empty value deletes nothing: only null does, in what is found and in what is compacted', async (t) => {
  const log = freshLog(t, { indexes: { key: true } })
  const parts = ['', Buffer.alloc(0), null, ''] as const
  parts.forEach((value, i) => log.append(value, `${i}`, { time: i }))
  log.append('', '', { time: 4 })
  t.deepEqual(await log.find({ deletesBefore: 100 }), [2])
  await log.compact({ before: 100 })
  t.deepEqual(lines(log), ['0 0 ', '1 1 ', '3 3 ', '4  '])
  await log.close()
  const again = closedAfter(t, Log.openSync(log.dir))
  for (const offset of [0, 1, 3, 4]) t.is(again.get(offset)!.value!.length, 0)
  t.is(again.getByKey('')!.offset, 4)
  t.is(again.getByKey(null), undefined)
})

const FDS = '/proc/self/fd'

test('defect B2.9: after a close nothing is read and no file is opened again; a second close is none', async (t) => {
  const log = filled(t, 100)
  await log.close()
  const before = readdirSync(log.dir)
  const files = (): string[] => (existsSync(FDS) ? readdirSync(FDS) : []).flatMap((fd) => {
    try {
      return [readlinkSync(`${FDS}/${fd}`)]
    } catch {
      // That of the listing itself.
      return []
    }
  }).filter((path) => path.startsWith(log.dir))
  for (const call of [() => log.consume(0), () => log.get(0), () => log.messages(), () => log.append('x')]) t.throws(call, { code: 'VARVE_CLOSED' })
  await t.throwsAsync(log.consumeBlocking(0), { code: 'VARVE_CLOSED' })
  t.deepEqual(files(), [])
  t.deepEqual(readdirSync(log.dir), before)
  await log.close()
  log.closeSync()
  t.is(closedAfter(t, Log.openSync(log.dir)).nextOffset, 100)
})

test('defect B2.10: who waits is told that the log was closed', async (t) => {
  const log = filled(t, 3)
  const waiting = [log.consumeBlocking(3), log.consumeBlocking('end'), log.consumeBlocking(0, { key: 'none' }), log.waitFor(9)]
  for (const promise of waiting) t.true(await isPending(promise))
  const told = waiting.map((promise) => t.throwsAsync(promise, { code: 'VARVE_CLOSED' }))
  await log.close()
  await Promise.all(told)
})

test('defect B2.11: to wait at the end is to wait for what comes', async (t) => {
  const log = filled(t, 3)
  const end = log.consumeBlocking('end')
  t.true(await isPending(end))
  log.append('comes')
  t.deepEqual((await end).messages.map(lineOf), ['3 - comes'])
})

test('defect B2.12: to wait beyond the end is refused at once', async (t) => {
  const log = filled(t, 3)
  const beyond = await t.throwsAsync(log.consumeBlocking(4), { code: 'VARVE_OUT_OF_RANGE' })
  t.is((beyond as { index?: number }).index, 4)
})

test('defect B2.13: who waits is woken by an append through whatever handle, of another thread too, and who waits for a key by that key alone', async (t) => {
  const log = filled(t, 1)
  const other = closedAfter(t, Log.openSync(log.dir))
  const keyed = log.consumeBlocking('end', { key: 'mine' })
  let waiting = log.consumeBlocking('end')
  other.append('through another handle', 'other')
  t.is((await waiting).messages.length, 1)
  t.true(await isPending(keyed))
  waiting = log.consumeBlocking('end')
  const worker = thread(t)
  await worker.run('state.log = Log.openSync(args); state.log.append("of a thread", "mine")', log.dir)
  t.deepEqual((await waiting).messages.map(lineOf), ['2 mine of a thread'])
  t.deepEqual((await keyed).messages.map(lineOf), ['2 mine of a thread'])
  await worker.run('await state.log.close()')
})

test('defect B2.14: an index that the log was not made with is refused at the open, by name and with the way to have it', async (t) => {
  for (const [made, asked] of [[{}, { key: true }], [{}, { time: true }], [{ key: true, time: true }, { key: false }], [{ key: true }, { time: true }]] as const) {
    const log = filled(t, 10, { indexes: made })
    await log.close()
    const name = Object.keys(asked)[0]!
    await t.throwsAsync(Log.open(log.dir, { indexes: asked }), { code: 'VARVE_INVALID_ARGUMENT', message: new RegExp(`${name}.*migrate`) })
    t.is(lines(closedAfter(t, Log.openSync(log.dir))).length, 10)
  }
})

test('defect B2.15: check looks at every segment, and a repair of what somebody has open is refused', async (t) => {
  const log = closedAfter(t, Log.openSync(freshDir(t), indexed))
  fill(log, 3000)
  await log.sync()
  const { segments, entries } = await Log.check(log.dir)
  t.is(segments, log.segments().length)
  t.is(entries, 3000)
  for (const work of [() => Log.recover(log.dir), () => Log.migrate(log.dir, { compression: 'lz4' })]) await t.throwsAsync(work, { code: 'VARVE_LOCKED' })
  has(t, log, range(0, 3000))
})

test('defect B2.16: codecs: bytes behind a number are an error, and an empty string is a value', (t) => {
  const dir = freshDir(t)
  const raw = Log.openSync(dir, { value: { name: 'varint', encode: (bytes: Buffer) => bytes, decode: (bytes) => bytes } })
  for (const bytes of [[0xd7, 0x04], [0xd7, 0x04, 0x00], [0xd7], []]) raw.append(Buffer.from(bytes))
  raw.closeSync()
  const log = closedAfter(t, Log.openSync(dir, { value: codecs.varint }))
  const [good, ...bad] = [...log.messages()]
  t.is(good!.value, -300)
  for (const message of bad) t.throws(() => message.value, { code: 'VARVE_TYPE_MISMATCH' })
  const text = closedAfter(t, Log.openSync(freshDir(t), { key: codecs.utf8, value: codecs.utf8 }))
  text.append('', '')
  text.append(null)
  t.deepEqual(Array.from(text.messages(), ({ key, value }) => [key, value]), [['', ''], [null, null]])
  const json = closedAfter(t, Log.openSync(freshDir(t), { value: codecs.json<unknown>() }))
  for (const value of ['', 0, false, [], null]) json.append(value)
  t.deepEqual(Array.from(json.messages(), ({ value }) => value), ['', 0, false, [], null])
})
