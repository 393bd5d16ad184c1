import { setImmediate } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { codecs, Log, type LogOptions, type Message } from 'varve'
import { run } from '../support/child.ts'
import { flip } from '../support/damage.ts'
import { closedAfter, contents, freshDir, freshLog, segments } from '../support/directory.ts'
import { soon } from '../support/soon.ts'

/** Whether this run may lend memory of files at all: the whole suite runs without, too. */
const lends = process.env['VARVE_NO_EXTERNAL'] !== '1'
const PAGE = 4096
const LEAST = 8192
const zeroCopy = { zeroCopy: true } as const

const sizeOf = (i: number): number => [LEAST, 20_000, 100, LEAST - 1, 70_000, LEAST + 1, 0][i % 7]!
const text = (i: number): string => `value ${i} `.padEnd(sizeOf(i), `${i % 10}`).slice(0, sizeOf(i))

/** A synced log of several segments, with values below and above what is worth a view. */
async function filled(t: ExecutionContext, options: LogOptions = {}, count = 350): Promise<Log> {
  const log = freshLog(t, { segmentSize: 1 << 20, ...options })
  for (let i = 0; i < count; i++) log.append(text(i), i % 3 === 0 ? null : `key ${i}`, { time: i, headers: { i: `${i}` } })
  await log.sync()
  return log
}

/** Whether `data` lies in memory of a file: its buffer begins as a segment does. */
const isView = (data: Buffer): boolean => Buffer.from(data.buffer).toString('latin1', 0, 8) === 'VARVESEG'

function check(t: ExecutionContext, { offset, key, value, time, headers }: Message, what: string): void {
  if (value!.toString() !== text(offset) || (key?.toString() ?? null) !== (offset % 3 === 0 ? null : `key ${offset}`) || time !== offset || headers['i']?.toString() !== `${offset}`) {
    t.fail(`${what}: ${offset}`)
  }
}

/** All that ways of reading give with `zeroCopy`. */
async function read(log: Log, from = 0): Promise<Record<string, Message[]>> {
  const consumed: Message[] = []
  for (let at = from; at < log.nextOffset;) {
    const { messages, nextOffset } = log.consume(at, { zeroCopy: true, max: 50 })
    consumed.push(...messages)
    at = nextOffset
  }
  const subscribed: Message[] = []
  for await (const message of log.messagesAsync({ from, zeroCopy: true })) subscribed.push(message)
  return { messages: [...log.messages({ from, zeroCopy: true })], consumed, subscribed }
}

test('every way of reading gives the same with zeroCopy as without', async (t) => {
  const log = await filled(t)
  for (let i = 350; i < 360; i++) log.append(text(i), i % 3 === 0 ? null : `key ${i}`, { time: i, headers: { i: `${i}` } })
  for (const [way, messages] of Object.entries(await read(log))) {
    t.is(messages.length, 360, way)
    messages.forEach((message, i) => {
      if (message.offset !== i) t.fail(`${way}: ${i}`)
      check(t, message, way)
    })
  }
  using reader = log.reader(zeroCopy)
  let next = 0
  while (reader.advance()) {
    const { offset, buffer, start, end, keyStart, keyEnd } = reader
    if (offset !== next || buffer.toString('utf8', start, end) !== text(next) || reader.value()!.toString() !== text(next)) t.fail(`reader: ${next}`)
    const key = keyStart < 0 ? null : buffer.toString('utf8', keyStart, keyEnd)
    if (key !== (next % 3 === 0 ? null : `key ${next}`) || (reader.key()?.toString() ?? null) !== key) t.fail(`reader: ${next}`)
    next++
  }
  t.is(next, 360)
  t.is([...log.messages({ key: 'key 4', zeroCopy: true })][0]!.value!.toString(), text(4))
})

test('values of 8 KiB and more, appended alone, are views of whole pages below the written length; all else is copied', async (t) => {
  const log = await filled(t)
  const infos = log.segments()
  let views = 0
  for (const { offset, value, key, headers } of log.messages(zeroCopy)) {
    t.true(Buffer.isBuffer(value))
    if (!isView(value!)) continue
    views++
    t.true(value!.length >= LEAST)
    if (key !== null) t.true(key.buffer === value!.buffer)
    t.true(headers['i']!.buffer === value!.buffer)
    t.is(value!.buffer.byteLength % PAGE, 0)
    t.true(value!.buffer.byteLength <= infos.find(({ firstIndex, nextIndex }) => offset >= firstIndex && offset < nextIndex)!.bytes)
  }
  const large = Array.from({ length: 350 }, (_, i) => sizeOf(i)).filter((size) => size >= LEAST).length
  t.is(views > large - 10 && views <= large, lends)
  for (const message of log.messages()) t.false(isView(message.value!))
  for await (const message of log.messagesAsync(zeroCopy)) t.false(isView(message.value!))
})

test('compressed messages, and those in groups of a batch, are copies', async (t) => {
  const log = freshLog(t)
  log.append('x'.repeat(50_000), null, { compression: 'lz4' })
  log.appendBatch(Array.from({ length: 6 }, (_, i) => ({ value: `${i}`.repeat(10_000) })))
  // Too large for a group.
  log.appendBatch(Array.from({ length: 2 }, (_, i) => ({ value: `${i}`.repeat(50_000) })))
  for (let i = 0; i < 5; i++) log.append('y'.repeat(50_000))
  await log.sync()
  const messages = [...log.messages(zeroCopy)]
  t.deepEqual(messages.slice(0, 9).map(({ value }) => isView(value!)), [...Array.from({ length: 7 }, () => false), lends, lends])
  t.is(messages[0]!.value!.toString(), 'x'.repeat(50_000))
  t.is(messages[5]!.value!.toString(), '4'.repeat(10_000))
  t.is(messages[8]!.value!.toString(), '1'.repeat(50_000))
  t.is(isView(messages[9]!.value!), lends)
})

test('views stay what they are after compaction, retention and close, and hold their segments visibly', async (t) => {
  const log = await filled(t)
  const held = [...log.messages(zeroCopy)]
  for (const { value } of held) value!.toString()
  const verify = (what: string): void => held.forEach((message) => check(t, message, what))
  t.true(log.segments().some(({ references }) => references > 0) === lends)
  // Segments are written anew under the same names, and the old files stay as long as they are seen.
  await log.delete(held.filter(({ offset }) => offset % 2 === 0).map(({ offset }) => offset))
  await log.sync()
  verify('after delete')
  t.is(log.segments().some(({ pendingDeletion }) => pendingDeletion), lends)
  const left = [...log.messages(zeroCopy)]
  t.deepEqual(left.map(({ offset }) => offset), held.map(({ offset }) => offset).filter((offset) => offset % 2 === 1))
  for (const message of left) check(t, message, 'rewritten')
  await log.trim({ beforeOffset: 350 })
  await log.sync()
  verify('after trim')
  await log.close()
  verify('after close')
})

test('writing to a view changes no file and no checksum, and nothing that is read later without zeroCopy', async (t) => {
  const log = await filled(t)
  const before = contents(log.dir)
  for (const { value } of [...log.messages(zeroCopy), ...log.consume(0, zeroCopy).messages]) value!.fill(0x58)
  for (const message of log.messages()) check(t, message, 'messages')
  for (let i = 0; i < 350; i++) check(t, log.get(i)!, 'get')
  t.is([...log.messages(zeroCopy)].length, 350)
  await log.sync()
  t.deepEqual(contents(log.dir), before)
  t.true((await Log.check(log.dir)).ok)
})

test('appends go on into a segment that is being viewed and written to', async (t) => {
  const log = freshLog(t, { segmentSize: 4 << 20 })
  for (let i = 0; i < 300; i++) {
    log.append(text(i % 7 === 0 ? i : 7 * i))
    if (i % 20 !== 19) continue
    await log.sync()
    for (const { value } of log.consume(i - 10, { zeroCopy: true }).messages) value!.fill(0x58)
  }
  let next = 0
  for (const { value } of log.messages()) {
    if (value!.toString() !== text(next % 7 === 0 ? next : 7 * next)) t.fail(`${next}`)
    next++
  }
  t.is(next, 300)
})

test('a codec decodes views as it decodes bytes', async (t) => {
  const log = closedAfter(t, Log.openSync(freshDir(t), { key: codecs.utf8, value: codecs.json<{ n: number; text: string }>() }))
  for (let i = 0; i < 100; i++) log.append({ n: i, text: text(i) }, `key ${i}`)
  await log.sync()
  let next = 0
  for (const { key, value } of log.messages(zeroCopy)) {
    t.deepEqual(value, { n: next, text: text(next) })
    t.is(key, `key ${next++}`)
  }
  using reader = log.reader({ from: 4, zeroCopy: true })
  reader.advance()
  t.deepEqual(reader.value(), { n: 4, text: text(4) })
  t.is(reader.key(), 'key 4')
})

test('damage in a file is found through zeroCopy, too: VARVE_CORRUPT, and not a view of it', async (t) => {
  const log = await filled(t)
  await log.close()
  flip(segments(log.dir)[1]!, 'value ', 1)
  const damaged = closedAfter(t, Log.openSync(log.dir))
  const seen: Message[] = []
  const error = t.throws(() => {
    for (const message of damaged.messages(zeroCopy)) seen.push(message)
  }, { code: 'VARVE_CORRUPT' })
  t.is((error as Error & { index?: number }).index, seen.length)
  for (const message of seen) check(t, message, 'before the damage')
})

test('zeroCopy readers are overtaken like all others, and behind the commit gate nothing is seen', async (t) => {
  const log = await filled(t, { commitGate: true })
  t.deepEqual([...log.messages(zeroCopy)], [])
  log.advanceHighWaterMark(10)
  t.is([...log.messages(zeroCopy)].length, 10)
  const messages = log.messages(zeroCopy)
  messages.next()
  await log.trim({ beforeOffset: 5 })
  t.throws(() => messages.next(), { code: 'VARVE_OUT_OF_RANGE' })
})

test('a view outlives its log and the garbage collector, and its memory goes with it', async (t) => {
  const ended = await run('views-log', [freshDir(t)], { env: { ...process.env, NODE_OPTIONS: '' } })
  t.is(ended.code, 0, ended.stderr)
  t.deepEqual(JSON.parse(ended.stdout), { intact: true, held: lends, left: 0, gone: true })
})

test('VARVE_NO_EXTERNAL=1 forces copies, of the same contents', async (t) => {
  const log = await filled(t)
  await log.close()
  for (const value of ['1', '0']) {
    const ended = await run('views-log', [freshDir(t)], { env: { ...process.env, VARVE_NO_EXTERNAL: value, NODE_OPTIONS: '' } })
    t.is(ended.code, 0, ended.stderr)
    t.deepEqual(JSON.parse(ended.stdout), { intact: true, held: value === '0', left: 0, gone: true })
  }
})

test('views that nobody holds any more let go of their segments with the handle', async (t) => {
  const log = await filled(t)
  for (const _ of log.messages(zeroCopy)) { /* nothing is kept */ }
  await setImmediate()
  await log.close()
  const again = closedAfter(t, Log.openSync(log.dir))
  await again.trim({ beforeOffset: 350 })
  await again.sync()
  t.true(await soon(() => again.segments().every(({ pendingDeletion }) => !pendingDeletion)))
})
