// Behaviour that klevdb has a test for, and that no other test here is about: see docs/parity/klevdb.md.
import { copyFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { codecs, Log, type LogOptions } from 'varve'
import { closedAfter, contents, freshDir, freshLog, lineOf, lines, segments } from '../support/directory.ts'
import { thread } from '../support/thread.ts'
import { fill, has, indexed, range } from './held.ts'

/** A log of so many messages, at 700 a segment or so. */
function filled(t: ExecutionContext, count: number, options: LogOptions = indexed): Log {
  const log = freshLog(t, options)
  fill(log, count)
  return log
}

const reopened = async (t: ExecutionContext, log: Log): Promise<Log> => {
  await log.close()
  return closedAfter(t, Log.openSync(log.dir))
}

test('an empty log: one segment, offsets from 0, and every way of reading finds nothing; 1 is out of range', async (t) => {
  let log = freshLog(t, indexed)
  for (let opened = 0; opened < 2; opened++) {
    t.like(log.stats(), { messages: 0, segments: 1, startOffset: 0, nextOffset: 0, durableOffset: 0 })
    t.is(log.segments().length, 1)
    for (const from of ['start', 'end', 0] as const) {
      t.deepEqual(log.consume(from), { messages: [], nextOffset: 0 })
      t.deepEqual(log.consume(from, { key: 'k' }), { messages: [], nextOffset: 0 })
      t.deepEqual(await log.consumeAsync(from), { messages: [], nextOffset: 0 })
    }
    t.throws(() => log.consume(1), { code: 'VARVE_OUT_OF_RANGE' })
    for (const offset of [0, 1]) t.throws(() => log.get(offset), { code: 'VARVE_OUT_OF_RANGE' })
    for (const found of [log.get('first'), log.get('last'), log.getByKey('k'), log.getByKey(null), log.offsetByKey('k'), log.getByTime(0), log.offsetByTime(0)]) t.is(found, undefined)
    for (const rule of [{ olderThan: 1e9 }, { beforeOffset: 0 }, { keepMessages: 0 }, { keepBytes: 0 }, { updatesBefore: 1e9 }, { deletesBefore: 1e9 }]) {
      t.deepEqual(await log.find(rule), [])
      t.is((await log.trim(rule)).entries, 0)
    }
    t.is((await log.compact()).entries, 0)
    t.deepEqual((await log.delete([0, 1])).offsets, [])
    log = await reopened(t, log)
  }
  t.is(log.append('x'), 0)
})

test("from 'start', 'end' and any offset, in one segment and over several", async (t) => {
  for (const count of [10, 3000]) {
    let log = filled(t, count)
    t.is(log.segments().length > 3, count === 3000)
    for (let opened = 0; opened < 2; opened++) {
      for (const start of opened === 0 ? [0, 5] : [5]) {
        await log.trim({ beforeOffset: start })
        const { messages, nextOffset } = log.consume('start', { max: 3 })
        t.deepEqual([messages.map(({ offset }) => offset), nextOffset], [[start, start + 1, start + 2], start + 3])
        t.deepEqual(log.consume('end'), { messages: [], nextOffset: count })
        t.deepEqual((await log.consumeAsync('start', { max: 1 })).messages.map(({ offset }) => offset), [start])
        for (const from of [start, 7, count - 1]) t.is(log.consume(from, { max: 1 }).messages[0]!.offset, from)
      }
      log = await reopened(t, log)
    }
    has(t, log, range(5, count))
  }
})

test('by key: nothing where there is none, the message that was put, the newer one when it comes, in one segment and over several', async (t) => {
  for (const between of [1, 1500]) {
    let log = freshLog(t, indexed)
    t.is(log.getByKey('k'), undefined)
    t.is(log.append('first', 'k'), 0)
    for (const offset of [0, between + 1]) {
      t.is(log.offsetByKey('k'), offset)
      t.is(lineOf((await log.getByKeyAsync('k'))!), `${offset} k ${offset === 0 ? 'first' : 'second'}`)
      for (const missing of ['K', 'kk', '', null]) t.is(log.getByKey(missing), undefined, `${missing}`)
      t.is(log.offsetByKey(Buffer.from('k')), offset)
      if (offset > 0) break
      for (let i = 0; i < between; i++) log.append('x'.repeat(100), `other ${i % 9}`)
      t.is(log.append('second', 'k'), between + 1)
    }
    t.is(log.segments().length > 1, between > 1)
    log = await reopened(t, log)
    t.is(log.getByKey('k')!.value!.toString(), 'second')
    // From an offset on.
    t.deepEqual(lines(log, { key: 'k' }), ['0 k first', `${between + 1} k second`])
    t.deepEqual(log.consume(1, { key: 'k' }).messages.map(({ offset }) => offset), [between + 1])
    t.deepEqual(log.consume('end', { key: 'k' }), { messages: [], nextOffset: between + 2 })
    await log.delete([between + 1])
    t.is(log.offsetByKey('k'), 0)
  }
})

test('a lookup by key without its index is VARVE_NO_INDEX; to read the messages of a key needs none', async (t) => {
  const log = filled(t, 100, { indexes: { time: true } })
  t.throws(() => log.getByKey('key 1'), { code: 'VARVE_NO_INDEX', message: /indexes/ })
  t.throws(() => log.offsetByKey('key 1'), { code: 'VARVE_NO_INDEX' })
  await t.throwsAsync(log.getByKeyAsync(null), { code: 'VARVE_NO_INDEX' })
  t.is(log.consume(50, { key: 'key 1' }).messages[0]!.offset, 50)
})

test('open for reading, of one segment and of several: all reads, and no write, not even an empty one', async (t) => {
  for (const count of [10, 3000]) {
    const log = filled(t, count)
    await log.close()
    const before = contents(log.dir)
    const reader = closedAfter(t, Log.openSync(log.dir, { readOnly: true }))
    has(t, reader, range(0, count))
    t.like(reader.stats(), { messages: count, nextOffset: count })
    t.deepEqual(await reader.find({ keepMessages: count - 1 }), [0])
    const code = { code: 'VARVE_READONLY' }
    t.throws(() => reader.appendBatch([]), code)
    await t.throwsAsync(reader.appendBatchAsync([]), code)
    const calls = [() => reader.delete([]), () => reader.delete([1]), () => reader.trim({ beforeOffset: 0 }), () => reader.compact(), () => reader.enforceRetention()]
    for (const call of calls) await t.throwsAsync(call, code, String(call))
    await reader.close()
    t.deepEqual(contents(log.dir), before)
  }
})

test('a backup of one segment is the log', async (t) => {
  const log = filled(t, 10)
  const to = join(freshDir(t), 'copy')
  t.is((await log.backup(to)).position, 10)
  t.is(segments(to).length, 1)
  has(t, closedAfter(t, Log.openSync(to)), range(0, 10))
  t.like(await Log.stat(to), { messages: 10, segments: 1 })
})

test('delete: a part of an older segment, all of it, a part of the newest, its last message, all of it, and all there is', async (t) => {
  const cases: Record<string, (log: Log) => number[]> = {
    'a part of an older one': (log) => range(log.segments()[1]!.firstIndex + 3, log.segments()[1]!.firstIndex + 90),
    'all of an older one': (log) => range(log.segments()[1]!.firstIndex, log.segments()[1]!.nextIndex),
    'all of the first one': (log) => range(0, log.segments()[0]!.nextIndex),
    'a part of the newest': (log) => range(log.segments().at(-1)!.firstIndex + 1, log.nextOffset - 3),
    'its first': (log) => [log.segments().at(-1)!.firstIndex],
    'its last': (log) => [log.nextOffset - 1],
    'all of the newest': (log) => range(log.segments().at(-1)!.firstIndex, log.nextOffset),
    'all there is': (log) => range(0, log.nextOffset),
  }
  for (const [what, which] of Object.entries(cases)) {
    let log = filled(t, 2500)
    const gone = new Set(which(log))
    t.deepEqual((await log.delete(gone)).offsets, [...gone], what)
    const left = range(0, 2500).filter((offset) => !gone.has(offset))
    for (let opened = 0; opened < 2; opened++) {
      has(t, log, left, what)
      t.is(log.startOffset, left[0] ?? 2500, what)
      t.is(log.nextOffset, 2500, what)
      t.is(log.get('last')?.offset, left.at(-1), what)
      t.deepEqual((await log.delete(gone)).offsets, [], what)
      log = await reopened(t, log)
    }
    t.is(log.append('next'), 2500, what)
  }
  // The only message.
  let log = filled(t, 1)
  t.deepEqual((await log.delete([0])).offsets, [0])
  log = await reopened(t, log)
  t.deepEqual([log.startOffset, log.nextOffset, log.stats().messages], [1, 1, 0])
  t.is(log.append('next'), 1)
})

test('while a thread appends over many segments, another deletes and another lets go of memory: nothing is lost, and all that was meant is gone', async (t) => {
  const log = freshLog(t, indexed)
  const stop = new Int32Array(new SharedArrayBuffer(4))
  const writer = thread(t)
  const cleaner = thread(t)
  const appended = writer.run<number>(`
    const log = Log.openSync(args.dir)
    for (let n = 0; n < 8000; n++) {
      log.append(('value ' + n + '.').padEnd(80), 'key ' + n % 7, { time: n })
      if (n % 40 === 0) await new Promise(setImmediate)
    }
    await log.close()
    return 8000`, { dir: log.dir }).finally(() => Atomics.store(stop, 0, 1))
  const cleaned = cleaner.run<number>(`
    const log = Log.openSync(args.dir)
    let count = 0
    for (; !Atomics.load(args.stop, 0); count++) {
      log.gc()
      for (const { offset, value } of log.messages({ from: Math.max(log.startOffset, log.nextOffset - 50) })) {
        if (!value.toString().startsWith('value ' + offset + '.')) throw new Error(offset + ': ' + value)
      }
      await new Promise(setImmediate)
    }
    await log.close()
    return count`, { dir: log.dir, stop })
  const gone: number[] = []
  for (let from = 0; from < 8000; ) {
    const to = log.nextOffset
    const meant = range(from, to).filter((offset) => offset % 3 === 0)
    // Where all of the newest is meant, and where none is.
    gone.push(...(await log.delete(meant)).offsets)
    from = to
    await new Promise(setImmediate)
  }
  t.is(await appended, 8000)
  t.true((await cleaned) > 0)
  t.deepEqual(gone, range(0, 8000).filter((offset) => offset % 3 === 0))
  const left = range(0, 8000).filter((offset) => offset % 3 !== 0)
  has(t, log, left)
  has(t, await reopened(t, log), left)
})

test('trim to what is first removes nothing, to what comes next all; nothing where so much may stay, and half', async (t) => {
  for (const count of [100, 2000]) {
    const log = filled(t, count)
    const size = log.sizeOf({ value: 'x'.repeat(80), key: 'key 0', time: 1 })
    for (const rule of [{ beforeOffset: log.startOffset }, { keepMessages: count }, { keepBytes: 10 * count * size }, { olderThan: 0 }, { olderThan: -5 }]) {
      t.deepEqual(await log.trim(rule), { segments: 0, entries: 0, bytes: 0 })
    }
    t.is((await log.trim({ keepBytes: (count * size) / 2 })).entries, log.startOffset)
    t.true(Math.abs(log.startOffset - count / 2) <= count / 10, `${log.startOffset}`)
    await log.trim({ keepMessages: count / 4 })
    has(t, log, range(0.75 * count, count))
    await log.trim({ beforeOffset: 0.9 * count })
    t.is((await log.trim({ beforeOffset: log.nextOffset })).entries, 0.1 * count)
    const again = await reopened(t, log)
    has(t, again, [])
    t.is(again.append('next'), count)
  }
})

/** Keys and values, `-` for null, of one message a word. */
const compaction = (given: string, before: number): [string[], number] => [given.split(' '), before]

for (const [what, [given, before], expected] of [
  ['no key comes again', compaction('a=1 b=2 c=3', 100), 'a=1 b=2 c=3'],
  ['the first comes again', compaction('a=1 b=2 a=3', 100), 'b=2 a=3'],
  ['the last comes again at once', compaction('a=1 b=2 b=3', 100), 'a=1 b=3'],
  ['several come several times', compaction('a=1 b=2 a=3 b=4 a=5 c=6 b=7', 100), 'a=5 c=6 b=7'],
  ['what is not older stays', compaction('a=1 a=2 a=3 a=4', 2), 'a=3 a=4'],
  ['of none with a key is nothing older', compaction('a=1 a=2', 0), 'a=1 a=2'],
  ['messages without a key', compaction('-=1 a=2 -=3 a=4 -=5', 100), '-=1 -=3 a=4 -=5'],
  ['an empty key is a key', compaction('=1 -=2 =3', 100), '-=2 =3'],
  ['no deletes', compaction('a=1 b=2', 100), 'a=1 b=2'],
  ['a delete of what was there', compaction('a=1 b=2 a=-', 100), 'b=2'],
  ['deletes of one key, one after the other', compaction('a=- b=1 a=- a=-', 100), 'b=1'],
  ['a delete, and the key again', compaction('a=1 a=- a=2', 100), 'a=2'],
  ['a delete that is not older stays', compaction('a=1 b=2 a=-', 2), 'b=2 a=-'],
] as const) {
  test(`compact, ${what}: ${given.join(' ')} before ${before}`, async (t) => {
    for (const options of [{}, indexed]) {
      const log = freshLog(t, options)
      for (const [time, word] of given.entries()) {
        const [key, value] = word.split('=') as [string, string]
        log.append(value === '-' ? null : value, key === '-' ? null : key, { time })
      }
      await log.compact({ before })
      const left = (log: Log): string => Array.from(log.messages(), ({ key, value }) => `${key?.toString() ?? '-'}=${value?.toString() ?? '-'}`).join(' ')
      t.is(left(log), expected)
      const again = await reopened(t, log)
      t.is(left(again), expected)
      await again.compact({ before })
      t.is(left(again), expected)
      t.is(again.nextOffset, given.length)
    }
  })
}

type Json = string | number | boolean | { a: (number | null)[] }

test('keys and values as JSON, there, empty and null, in all their mixtures', async (t) => {
  const open = (dir: string): Log<Json, Json> => closedAfter(t, Log.openSync(dir, { key: codecs.json<Json>(), value: codecs.json<Json>(), indexes: { key: true } }))
  const parts: (Json | null)[] = [null, '', 'x', { a: [1, null] }, 0, false]
  const log = open(freshDir(t))
  const pairs = parts.flatMap((key) => parts.map((value) => [key, value] as const))
  for (const [key, value] of pairs) log.append(value, key)
  await log.close()
  const again = open(log.dir)
  t.deepEqual(Array.from(again.messages(), ({ key, value }) => [key, value]), pairs)
  parts.forEach((key, i) => t.is(again.offsetByKey(key), i * parts.length + parts.length - 1))
  t.is(again.getByKey({ a: [1] }), undefined)
})

test('a migration over what one that died left behind, and one that has nothing to do', async (t) => {
  const log = filled(t, 3000)
  await log.close()
  copyFileSync(segments(log.dir)[0]!, join(log.dir, 'next-00000000deadbeef.tmp'))
  writeFileSync(join(log.dir, '0000000000000001.seg.migrate'), 'of another')
  for (const compression of ['lz4', 'lz4', 'none'] as const) {
    await Log.migrate(log.dir, { compression })
    const again = closedAfter(t, Log.openSync(log.dir))
    has(t, again, range(0, 3000))
    await again.close()
    t.like(await Log.check(log.dir), { ok: true, entries: 3000 })
  }
  t.deepEqual(readdirSync(log.dir).filter((name) => name.endsWith('.tmp')), [])
})

test('a directory without a log: nothing is wrong with it, nothing to repair, and nothing is made in it', async (t) => {
  const dir = freshDir(t)
  t.like(await Log.check(dir), { ok: true, entries: 0, segments: 0, damage: [] })
  t.like(await Log.recover(dir), { ok: true, keptEntries: 0, setAside: [] })
  await t.throwsAsync(Log.stat(dir), { code: 'VARVE_IO' })
  t.deepEqual(readdirSync(dir), [])
  t.is(closedAfter(t, Log.openSync(dir)).append('x'), 0)
})
