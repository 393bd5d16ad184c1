// What klevdb has been seen to do wrong, each done here once more, and shown to be right. The numbers are those of docs/parity/klevdb.md.
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { codecs, isVarveError, Log, type LogOptions, type RemoveResult, type Rule } from 'varve'
import { run } from '../support/child.ts'
import { crashed, edit } from '../support/damage.ts'
import { closedAfter, contents, freshDir, lines, segments } from '../support/directory.ts'
import { runWithFailingSync } from '../support/failing-sync.ts'
import { Remote, until } from '../support/following.ts'
import { written } from '../support/io.ts'
import { smallDisk } from '../support/small-disk.ts'
import { thread } from '../support/thread.ts'
import { fill, goesOn, has, indexed, messageAt, offsetsOf, range } from './held.ts'

const open = (t: ExecutionContext, dir = freshDir(t), options: LogOptions = indexed): Log => closedAfter(t, Log.openSync(dir, options))

/** As it is, and as it is after a close and an open. */
async function nowAndReopened(t: ExecutionContext, log: Log, look: (log: Log) => void | Promise<void>): Promise<Log> {
  await look(log)
  await log.close()
  const again = open(t, log.dir)
  await look(again)
  return again
}

test('defect B4.1: opened as by default after a kill, a log has no offset twice, reads on over the place, and finds by key', async (t) => {
  const dir = freshDir(t)
  let acknowledged = 0
  for (const batch of [1, 30, 1, 200]) {
    const writer = new Remote(t, dir, indexed, 'remote-log')
    await writer.call('open')
    acknowledged = await writer.call<number>('fill', 600, batch)
    // What is buffered is handed over at the end of the turn, which is behind the answer.
    await writer.call('state')
    const before = segments(dir).length
    const ended = writer.call('fill', 10_000_000, batch).catch(() => {})
    // In the middle of it.
    await until(() => segments(dir).length > before + 2)
    await writer.kill()
    await ended
    const log = open(t, dir, {})
    t.true(log.nextOffset >= acknowledged)
    const expected = range(0, log.nextOffset).map((offset) => `${offset} key ${offset % 5} value ${offset}`)
    t.deepEqual(lines(log), expected)
    t.is(log.offsetByKey('key 3'), range(0, expected.length).filter((offset) => offset % 5 === 3).at(-1))
    t.is(log.append(`value ${log.nextOffset}`, `key ${log.nextOffset % 5}`), expected.length)
    t.is(log.consume(acknowledged - 1).messages[0]!.offset, acknowledged - 1)
    await log.close()
    t.like(await Log.check(dir), { ok: true, entries: expected.length + 1 })
  }
})

interface Met {
  events: string[]
  first: string
  held: number
  durable: number
  batch: string
  save: string
  afterBatch: number
  consumed: boolean
  resumed: number
  after: number
}

test('defect B4.2: on a full disk a message is refused before it has an offset, and whatever is acknowledged when there is room can be read', async (t) => {
  const dir = smallDisk(t, 8)
  if (dir === undefined) return t.pass()
  writeFileSync(`${dir}/ballast`, Buffer.alloc(4 << 20))
  const end = await run('fill-log', [dir, `${dir}/ballast`])
  t.deepEqual({ signal: end.signal, code: end.code }, { signal: null, code: 0 }, end.stderr)
  const met = JSON.parse(end.stdout) as Met
  t.like(met, { first: 'VARVE_NO_SPACE', batch: 'VARVE_NO_SPACE', consumed: true, events: [], durable: met.held, afterBatch: met.held, resumed: met.held })
  t.is(met.after, met.held + 101)
  t.like(await Log.check(`${dir}/log`), { ok: true, entries: met.after })
  const log = open(t, `${dir}/log`, { verify: true })
  t.deepEqual(Array.from(log.messages(), ({ offset, value }) => [offset, value!.toString().trim()]), range(0, met.after).map((offset) => [offset, `value ${offset}.`]))
  t.is(log.offsetByTime(met.held)?.offset, met.held)
})

test('defect B4.3: when the last messages are deleted, the one before is the last, and times, ages and keys are found', async (t) => {
  const log = open(t)
  while (log.segments().length < 3) fill(log, 1)
  fill(log, 30)
  const head = log.segments().at(-1)!.firstIndex
  const next = log.nextOffset
  await log.delete(range(head, next))
  const again = await nowAndReopened(t, log, async (log) => {
    t.is(log.nextOffset, next)
    t.is(log.get('last')!.offset, head - 1)
    has(t, log, range(0, head))
    t.is(log.getByTime(head), undefined)
    t.is(log.getByTime(head - 1)!.offset, head - 1)
    t.deepEqual(await log.find({ olderThan: 40 }), range(0, 40))
  })
  t.is((await again.trim({ olderThan: 40 })).entries, 40)
  has(t, again, range(40, head))
  t.is((await again.trim({ olderThan: 1e6 })).entries, head - 40)
  t.is(again.get('last'), undefined)
  t.is(again.getByTime(0), undefined)
  t.deepEqual(await again.find({ olderThan: 1e6 }), [])
  t.is(again.append('goes on'), next)
})

test('defect B4.4: a delete removes all that is there of its set, whatever of it is gone, lies before the log, or is appended meanwhile', async (t) => {
  const log = open(t)
  fill(log, 3000)
  const even = range(0, 3000).filter((offset) => offset % 2 === 0)
  t.deepEqual((await log.delete([0, 10, 20])).offsets, [0, 10, 20])
  // The lowest is gone; then the lowest lies before the log, and some behind its end.
  const rest = even.filter((offset) => offset > 20 || offset % 10 !== 0)
  t.deepEqual((await log.delete(even.slice(0, 100))).offsets, rest.filter((offset) => offset < 200))
  t.is(log.startOffset, 1)
  t.deepEqual((await log.delete([0, ...even.slice(100, 200), 5_000_000])).offsets, even.slice(100, 200))
  // Messages come in each pause, to the segments that are still to be seen to as well.
  let pauses = 0
  const { offsets } = await log.delete(even.slice(200), { pause: async () => (pauses++, fill(log, 50)) })
  t.deepEqual(offsets, even.slice(200))
  t.true(pauses > 2)
  const left = range(0, log.nextOffset).filter((offset) => offset % 2 === 1 || offset >= 3000)
  await nowAndReopened(t, log, (log) => has(t, log, left))
  t.is(left.length, 1500 + 50 * pauses)
})

test('defect B4.5: of equal times over several segments the first is found, and a clock that went back is no damage', async (t) => {
  const log = open(t)
  const times: number[] = []
  const add = (count: number, time: (i: number) => number): void => {
    for (let i = 0; i < count; i++) log.append('x'.repeat(100), null, { time: times[times.push(time(i)) - 1]! })
  }
  add(100, (i) => i)
  add(2000, () => 500)
  add(600, (i) => 10_000 + i)
  // Back, further than ever, over more than one segment.
  add(1500, (i) => i - 5000)
  add(10, () => 20_000)
  t.true(log.segments().length > 5)
  const again = await nowAndReopened(t, log, (log) => {
    for (const time of [-6000, -5000, -1, 0, 99, 99.5, 499, 500, 500.5, 10_000, 10_599, 10_600, 20_000, 20_001]) {
      const offset = times.findIndex((one) => one >= time)
      t.is(log.getByTime(time)?.offset, offset < 0 ? undefined : offset, `${time}`)
    }
  })
  t.is(again.append('later', null, { time: 3 }), times.length)
  t.is(again.get(times.length)!.time, 3)
  await again.close()
  t.like(await Log.check(log.dir), { ok: true, damage: [], entries: times.length + 1 })
})

test('defect B4.6: consume with a wrong max is an error that says so, a huge one is none, and before the start is out of range', async (t) => {
  const log = open(t)
  fill(log, 100)
  await log.trim({ beforeOffset: 10 })
  for (const max of [0, -1, -1e9, 1.5, NaN, Infinity, 2 ** 53]) {
    for (const options of [{ max }, { maxBytes: max }, { max, key: 'key 1' }]) {
      t.throws(() => log.consume(10, options), { code: 'VARVE_INVALID_ARGUMENT', message: /max/ }, `${max}`)
    }
    await t.throwsAsync(log.consumeAsync(10, { max }), { code: 'VARVE_INVALID_ARGUMENT' })
    await t.throwsAsync(log.consumeBlocking(10, { max }), { code: 'VARVE_INVALID_ARGUMENT' })
  }
  for (const max of [1000, 2 ** 31, 2 ** 32, 2 ** 32 + 1, 2 ** 53 - 1]) {
    for (const options of [{ max }, { max, maxBytes: 2 ** 53 - 1 }, { maxBytes: 1000 * max }].filter(({ maxBytes = 1 }) => maxBytes < 2 ** 53)) {
      t.is(log.consume(10, options).messages.length, 90)
      t.is((await log.consumeAsync(10, options)).messages.length, 90)
    }
  }
  for (const from of [0, 9, 101]) t.throws(() => log.consume(from), { code: 'VARVE_OUT_OF_RANGE', message: new RegExp(`${from} .*10 to 100`) })
})

test('defect B4.8: a backup that is added to is the log as it is now: what was removed does not stay, nor come back', async (t) => {
  const log = open(t)
  fill(log, 2000)
  const to = join(freshDir(t), 'copy')
  await log.backup(to)
  await log.trim({ beforeOffset: 900 })
  await log.delete(range(1000, 1200))
  fill(log, 500, 20)
  await log.backup(to)
  const expected = [...range(900, 1000), ...range(1200, 2500)]
  await goesOn(t, to, expected, 2500)

  // Beside a thread that appends without a pause: whole, and nothing twice.
  const writer = thread(t)
  const other = join(freshDir(t), 'copy')
  const appended = writer.run<number>(`
    state.log = Log.openSync(args.dir)
    const value = (n) => ('value ' + n + '.').padEnd(80)
    while (!Atomics.load(args.stop, 0)) {
      const n = state.log.nextOffset
      if (n < 200_000) state.log.appendBatch(Array.from({ length: 7 }, (_, i) => ({ value: value(n + i), key: 'key ' + (n + i) % 7, time: n + i })))
      await new Promise(setImmediate)
    }
    return state.log.nextOffset`, { dir: log.dir, stop: stopped })
  for (let i = 0; i < 5; i++) {
    const { position } = await log.backup(other)
    const { ok, entries } = await Log.check(other)
    t.true(ok)
    const copy = open(t, other, {})
    t.true(copy.nextOffset >= position)
    t.is(entries, copy.nextOffset - 1100)
    t.deepEqual(offsetsOf(t, copy.messages()), [...expected, ...range(2500, copy.nextOffset)])
    await copy.close()
  }
  Atomics.store(stopped, 0, 1)
  t.is(await appended, log.nextOffset)
  await writer.run('await state.log.close()')
})

const stopped = new Int32Array(new SharedArrayBuffer(4))

test('defect B4.9: a batch is one unit: whole or absent wherever it is torn, of a few writes, and none of it where one of it is refused', async (t) => {
  const log = open(t)
  fill(log, 50)
  await log.sync()
  const from = log.segments().at(-1)!.bytes
  const before = written('calls')
  await log.appendBatchAsync(range(50, 350).map(messageAt), { durability: 'os' })
  // Those of the tests beside this one among them; one or two a message would be 300 and more.
  if (before !== undefined) t.true(written('calls')! - before < 150, `${written('calls')! - before}`)
  const to = log.segments().at(-1)!.bytes
  t.true(to - from > 300 * 80)
  for (let at = 1; at <= 12; at++) {
    const cut = crashed(t, log.dir)
    edit(segments(cut).at(-1)!, (bytes) => void bytes.fill(0, from + Math.floor(((to - from - 8) * at) / 12)))
    await goesOn(t, cut, range(0, 50), 50, `cut ${at}`)
    const flipped = crashed(t, log.dir)
    edit(segments(flipped).at(-1)!, (bytes) => (bytes[from + Math.floor(((to - from - 100) * at) / 12)]! ^= 16))
    await goesOn(t, flipped, range(0, 50), 50, `flip ${at}`)
  }
  await goesOn(t, crashed(t, log.dir), range(0, 350), 350)

  const picky = closedAfter(t, Log.openSync(freshDir(t), { value: { name: 'picky', encode: (text: string) => {
    if (text === 'bad') throw new Error('mine')
    return text
  }, decode: (bytes) => bytes.toString() } }))
  const batch = ['a', 'b', 'bad', 'c'].map((value) => ({ value }))
  t.throws(() => picky.appendBatch(batch), { message: 'mine' })
  t.throws(() => picky.appendBatch([{ value: 'a' }, { value: 'x'.repeat(40 << 20) }]), { code: 'VARVE_TOO_LARGE' })
  t.throws(() => picky.appendBatch([{ value: 'a' }, { value: 5 as never }]), { code: 'VARVE_INVALID_ARGUMENT' })
  t.is(picky.nextOffset, 0)
  t.is(picky.appendBatch([{ value: 'a' }, { value: 'b' }]), 0)
  t.is(picky.append('c'), 2)
  t.deepEqual(Array.from(picky.messages(), ({ offset, value }) => `${offset} ${value}`), ['0 a', '1 b', '2 c'])
})

/** A log of 200 segments, closed, each message of it with a key of its own. */
async function ofManySegments(t: ExecutionContext): Promise<Log> {
  const log = open(t)
  while (log.segments().length < 200) {
    const from = log.nextOffset
    log.appendBatch(Array.from({ length: 100 }, (_, i) => ({ key: `key ${from + i}`, value: 'x'.repeat(500), time: from + i })))
  }
  await log.close()
  return open(t, log.dir, {})
}

test('defect B4.10: one index of keys over all segments: old and missing keys are found without a look at each, in memory that does not grow with the log', async (t) => {
  const log = await ofManySegments(t)
  const tables = readdirSync(log.dir).filter((name) => name.endsWith('.key'))
  t.true(tables.length > 0 && tables.length <= 16, `${tables.length}`)
  for (let i = 0; i < log.nextOffset; i += 97) t.is(log.offsetByKey(`key ${i}`), i)
  for (let i = 0; i < 1000; i++) t.is(log.offsetByKey(`missing ${i}`), undefined)
  t.true(log.stats().indexMemoryBytes < 16 << 20, `${log.stats().indexMemoryBytes}`)
})

test('defect B4.11: a time is looked up among the segments, and what a rule means is found in one pass, by offsets alone', async (t) => {
  const log = await ofManySegments(t)
  const count = log.nextOffset
  for (let i = 0; i < count; i += 97) t.is(log.offsetByTime(i - 0.5)?.offset, i)
  t.is(log.offsetByTime(count), undefined)
  t.deepEqual(await log.find({ updatesBefore: 1e9 }), [])
  t.deepEqual(await log.find({ olderThan: 1234 }), range(0, 1234))
  const again = range(0, count).filter((offset) => offset % 50 === 0)
  log.appendBatch(again.map((offset) => ({ key: `key ${offset}`, value: 'again', time: count })))
  t.deepEqual(await log.find({ updatesBefore: count }), again)
})

test('defect B4.12: a delete writes each segment that it concerns once, whatever number of messages goes, and a trim writes none', async (t) => {
  const log = open(t)
  fill(log, 6000)
  await log.sync()
  const [first, second, third] = log.segments()
  const files = (): Map<string, string> => new Map(segments(log.dir).map((path) => [path, `${statSync(path).ino}`]))
  const changed = (before: Map<string, string>): string[] => [...before].filter(([path, ino]) => files().get(path) !== ino).map(([path]) => path)
  let before = files()
  let steps = 0
  const gone = range(second!.firstIndex, third!.nextIndex).filter((offset) => offset % 2 === 0)
  const result: RemoveResult & { offsets: number[] } = await log.delete(gone, { onProgress: () => void steps++ })
  t.deepEqual(changed(before), [second!.path, third!.path])
  t.deepEqual(result.offsets, gone)
  t.is(steps, 2)
  before = files()
  const bytes = contents(log.dir)
  await log.trim({ beforeOffset: first!.nextIndex - 5 })
  await log.sync()
  t.deepEqual(changed(before), [])
  t.true(readFileSync(first!.path).equals(bytes.get('0000000000000001.seg')!))
  has(t, log, [...range(first!.nextIndex - 5, first!.nextIndex), ...range(second!.firstIndex, 6000).filter((offset) => !gone.includes(offset))])
})

test('defect B4.13: a failed sync stays failed, a reader writes nothing and stands beside a writer, temporary files go, and limits have names', async (t) => {
  const failing = freshDir(t)
  // One fails; the next ones would succeed.
  const met = await runWithFailingSync<Record<string, unknown>>(t, '20', failing, 'sync-fails-log')
  for (const call of ['append', 'batch', 'save', 'syncSync', 'async', 'sync', 'close']) if (met !== undefined) t.deepEqual(met[call], { code: 'VARVE_SYNC_FAILED', cause: 'EIO' }, call)

  const log = open(t)
  fill(log, 1000)
  await log.close()
  for (const name of readdirSync(log.dir)) if (/\.(idx|dig|key)$/.test(name) && name.startsWith('0000000000000001')) edit(join(log.dir, name), (bytes) => void bytes.fill(0))
  const before = contents(log.dir)
  const reader = closedAfter(t, Log.openSync(log.dir, { readOnly: true }))
  has(t, reader, range(0, 1000))
  t.deepEqual(contents(log.dir), before)
  const writer = open(t, log.dir)
  fill(writer, 10)
  await writer.sync()
  t.is(await reader.waitFor(1009), 1010)
  await writer.close()
  await reader.close()

  writeFileSync(join(log.dir, 'next-0123456789abcdef.tmp'), 'left by one that died')
  await open(t, log.dir).close()
  t.deepEqual(readdirSync(log.dir).filter((name) => name.endsWith('.tmp')), [])
  const again = open(t, log.dir)
  const error = t.throws(() => again.append(Buffer.alloc(65_536)), { code: 'VARVE_TOO_LARGE' })
  t.true((error as { limit?: number }).limit! > 60_000)
  t.is(again.nextOffset, 1010)
})

test('defect B4.14: one find, one trim, one delete, of one type each; no offset is a magic number, every error has a code, and sizes are asked with the types of the log', async (t) => {
  const log = closedAfter(t, Log.openSync(freshDir(t), { key: codecs.utf8, value: codecs.json<{ n: number }>() }))
  for (let n = 0; n < 100; n++) log.append(n % 10 === 0 ? null : { n }, `key ${n % 50}`, { time: n })
  const rules: Rule[] = [{ olderThan: 5 }, { beforeOffset: 7 }, { keepMessages: 90 }, { keepBytes: 1e6 }, { updatesBefore: 20 }, { deletesBefore: 40 }]
  for (const rule of rules) {
    const found = await log.find(rule)
    t.true(found.every((offset) => Number.isInteger(offset)))
    const result = await log.trim(rule)
    t.deepEqual(Object.keys(result).sort(), ['bytes', 'entries', 'segments'])
    t.is(result.entries, found.length, JSON.stringify(rule))
  }
  for (const offset of [-1, -2, -3]) {
    for (const call of [() => log.get(offset), () => log.consume(offset), () => log.messages({ from: offset }), () => log.reader({ from: offset })]) {
      t.true(isVarveError(t.throws(call), 'VARVE_INVALID_ARGUMENT'), `${offset}: ${call}`)
    }
    await t.throwsAsync(log.delete([offset]), { code: 'VARVE_INVALID_ARGUMENT' })
  }
  t.true(log.sizeOf({ value: { n: 1 }, key: 'a' }) < log.sizeOf({ value: { n: 1_000_000 }, key: 'a' }))
  for (const call of [() => log.getByKey('a'), () => log.getByTime(0), () => log.get(0), () => log.get(100)]) t.true(isVarveError(t.throws(call)))
})
