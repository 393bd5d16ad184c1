// What the storage of streambus has been seen to do wrong, each done here once more with a log of partitions, and shown to be right. The numbers are those of
// docs/parity/streambus.md.
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { PartitionedLog, type PartitionedLogOptions } from 'varve'
import { edit, flip } from '../support/damage.ts'
import { closedAfter, freshDir, segments } from '../support/directory.ts'
import { written } from '../support/io.ts'
import { thread } from '../support/thread.ts'
import { fill, has, indexed, messageAt, offsetsOf, range } from '../log/held.ts'

const options: PartitionedLogOptions = { ...indexed, partitions: 2 }
const open = async (t: ExecutionContext, dir = freshDir(t), more: PartitionedLogOptions = {}): Promise<PartitionedLog> =>
  closedAfter(t, await PartitionedLog.open(dir, { ...options, ...more }))

/** As the end of the process at this moment would leave it. */
function crashed(t: ExecutionContext, dir: string): string {
  const to = freshDir(t)
  for (const entry of readdirSync(dir, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name)
    if (entry.isDirectory()) mkdirSync(path.replace(dir, to), { recursive: true })
  }
  for (const entry of readdirSync(dir, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name)
    try {
      if (entry.isFile() && entry.name !== 'LOCK') copyFileSync(path, path.replace(dir, to))
    } catch (error) {
      // What is prepared ahead comes and goes in the background.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }
  return to
}

/** Opens, adds and closes, again and again: partition 1 has the messages of `offsets`, the other one 20, and all stays so. */
async function goesOn(t: ExecutionContext, dir: string, offsets: readonly number[], next: number, what?: string): Promise<void> {
  const expected = [...offsets]
  for (let cycle = 0; cycle < 3; cycle++) {
    const log = await open(t, dir)
    has(t, log.logs[1]!, expected, what)
    t.is(log.logs[1]!.nextOffset, next, what)
    t.is(log.logs[0]!.stats().messages, 20, what)
    t.is(log.append(messageAt(next).value, messageAt(next).key, { partition: 1, time: next }).offset, next)
    expected.push(next++)
    await log.sync()
    has(t, log.logs[1]!, expected, what)
    await log.close()
  }
  t.like(await PartitionedLog.check(dir), { ok: true, entries: expected.length + 20 }, what)
}

const fillBoth = (log: PartitionedLog, count: number): void => {
  for (let i = 0; i < 20; i++) log.append('other', null, { partition: 0 })
  fill(log.logs[1]!, count)
}

test('defect C4.1: to remove messages, by hand or by retention, leaves the file that is written to, and what is appended then is there after a reopen', async (t) => {
  const ways: [(log: PartitionedLog) => Promise<unknown>, PartitionedLogOptions][] = [
    [(log) => log.logs[1]!.trim({ beforeOffset: 3 }), {}],
    [(log) => log.logs[1]!.delete([0, 1, 2]), {}],
    [(log) => log.enforceRetention(), { retention: { maxMessages: 20 } }],
  ]
  for (const [remove, rules] of ways) {
    const log = await open(t, freshDir(t), rules)
    fillBoth(log, 23)
    await remove(log)
    t.is(log.logs[1]!.startOffset, 3)
    fill(log.logs[1]!, 1)
    await log.sync()
    await log.close()
    await goesOn(t, log.dir, range(3, 24), 24)
  }
  // All of it goes: the offsets go on.
  const log = await open(t)
  fillBoth(log, 10)
  await log.logs[1]!.trim({ keepMessages: 0 })
  await log.close()
  await goesOn(t, log.dir, [], 10)
})

test('defect C4.2: a log whose end is torn opens, without what was torn and with all else', async (t) => {
  const log = await open(t)
  fillBoth(log, 30)
  await log.sync()
  const from = log.logs[1]!.segments().at(-1)!.bytes
  await log.appendAsync(messageAt(30).value, messageAt(30).key, { partition: 1, time: 30, durability: 'os' })
  const to = log.logs[1]!.segments().at(-1)!.bytes
  for (const [what, tear] of Object.entries({
    'cut by 5 bytes': (path: string) => truncateSync(path, to - 5),
    'cut after 5 bytes': (path: string) => truncateSync(path, from + 5),
    'zeros in its last 16 bytes': (path: string) => edit(path, (bytes) => void bytes.fill(0, to - 16)),
  })) {
    const copy = crashed(t, log.dir)
    tear(segments(join(copy, '0001'))[0]!)
    const again = await open(t, copy)
    t.is(again.stats()[1]!.recovery.torn.length, 1, what)
    t.is(again.stats()[0]!.recovery.torn.length, 0, what)
    await again.close()
    await goesOn(t, copy, range(0, 30), 30, what)
  }
  await goesOn(t, crashed(t, log.dir), range(0, 31), 31)
})

test('defect C4.3: a read of what is old moves nothing that a write goes to', async (t) => {
  const dir = freshDir(t)
  const made = await open(t, dir)
  fillBoth(made, 1500)
  await made.close()
  const expected = range(0, 1500)
  for (let cycle = 0; cycle < 3; cycle++) {
    const log = await open(t, dir)
    const one = log.logs[1]!
    t.is(one.get(5)!.value!.toString(), messageAt(5).value)
    using reader = one.reader({ from: 7 })
    t.true(reader.advance())
    for (const message of one.messages({ from: 700 })) if (message.offset === 800) break
    fill(one, 10)
    expected.push(...range(expected.length, expected.length + 10))
    await log.sync()
    t.is((await one.getAsync(9))!.offset, 9)
    fill(one, 10)
    expected.push(...range(expected.length, expected.length + 10))
    has(t, one, expected)
    await log.close()
  }
  await goesOn(t, dir, expected, expected.length)
})

test('defect C4.4: reads of many threads at once disturb neither each other nor the writer', async (t) => {
  const log = await open(t)
  fillBoth(log, 3000)
  await log.sync()
  const done = new Int32Array(new SharedArrayBuffer(4))
  const reading = [0, 1, 2].map((seed) => thread(t).run<number>(`
    const log = await PartitionedLog.open(args.dir)
    let [read, at] = [0, args.seed]
    while (!Atomics.load(args.done, 0) || read < 3000) {
      at = (at * 7919 + 13) % 3000
      const message = read % 2 === 0 ? log.logs[1].get(at) : await log.logs[1].getAsync(at)
      if (message.offset !== at || !message.value.toString().startsWith('value ' + at + '.')) throw new Error(at + ': ' + message.value)
      if (++read % 500 > 0) continue
      for (const { offset, value } of log.logs[1].messages({ from: at, to: 3000 })) {
        if (!value.toString().startsWith('value ' + offset + '.')) throw new Error(offset + ': ' + value)
      }
    }
    await log.close()
    return read`, { dir: log.dir, done, seed: seed * 1000 }))
  for (let round = 0; round < 100; round++) {
    fill(log.logs[1]!, 30)
    if (round % 10 === 0) await log.sync()
    await new Promise(setImmediate)
  }
  Atomics.store(done, 0, 1)
  for (const read of await Promise.all(reading)) t.true(read >= 3000)
  has(t, log.logs[1]!, range(0, 6000))
})

test('defect C4.5: what is not yet handed to the system is read like all else, and nothing is passed over', async (t) => {
  const log = await open(t)
  const one = log.logs[1]!
  for (let round = 0; round < 40; round++) {
    // Many segments in one turn.
    fill(one, 100)
    if (round === 0) t.true(log.stats()[1]!.pendingBytes > 0)
    t.is(one.consume(100 * round, { max: 1000 }).messages.length, 100)
    t.is(one.get(100 * round)!.offset, 100 * round)
    t.is(one.get('last')!.offset, 100 * round + 99)
  }
  t.true(one.segments().length > 5)
  t.deepEqual(offsetsOf(t, one.messages()), range(0, 4000))
  has(t, one, range(0, 4000))
})

test('defect C4.6: an index that is short, stale or gone is made anew, whole', async (t) => {
  const log = await open(t)
  fillBoth(log, 3000)
  await log.close()
  const names = (dir: string): string[] => readdirSync(join(dir, '0001')).filter((name) => /\.(idx|dig|key)$/.test(name)).map((name) => join(dir, '0001', name))
  t.true(names(log.dir).length >= 5)
  for (const [what, harm] of Object.entries({
    gone: (path: string) => rmSync(path),
    short: (path: string) => truncateSync(path, 8),
    'short of its last entry': (path: string) => writeFileSync(path, readFileSync(path).subarray(0, -4)),
    'of others': (path: string) => writeFileSync(path, readFileSync(names(log.dir).find((name) => name !== path && name.slice(-4) === path.slice(-4)) ?? path)),
  })) {
    const copy = crashed(t, log.dir)
    for (const path of names(copy)) harm(path)
    await goesOn(t, copy, range(0, 3000), 3000, what)
  }
})

test('defect C4.7: a recovery looks at every checksum that is not known to be durable, and a read at every one', async (t) => {
  const log = await open(t)
  fillBoth(log, 30)
  await log.sync()
  for (let i = 30; i < 40; i++) await log.appendAsync(messageAt(i).value, messageAt(i).key, { partition: 1, time: i, durability: 'os' })
  const unsynced = crashed(t, log.dir)
  flip(segments(join(unsynced, '0001'))[0]!, messageAt(35).value.trim())
  await goesOn(t, unsynced, range(0, 35), 35)

  const closed = closedAfter(t, await PartitionedLog.open(freshDir(t), { partitions: 2 }))
  fillBoth(closed, 3000)
  await closed.close()
  flip(segments(join(closed.dir, '0001'))[0]!, messageAt(20).value.trim())
  t.false((await PartitionedLog.check(closed.dir)).ok)
  await t.throwsAsync(PartitionedLog.open(closed.dir, { verify: true }), { code: 'VARVE_CORRUPT' })
  const again = closedAfter(t, await PartitionedLog.open(closed.dir))
  t.throws(() => again.logs[1]!.get(20), { code: 'VARVE_CORRUPT' })
  t.throws(() => again.consume(1, 15), { code: 'VARVE_CORRUPT' })
  t.is(again.logs[1]!.get(21)!.offset, 21)
})

test('defect C4.8: a sync writes what is new, and no index: what it costs does not grow with the log', async (t) => {
  const log = await open(t)
  const cost: number[] = []
  for (let round = 0; round < 400; round++) {
    fill(log.logs[1]!, 1)
    const before = written('bytes')
    log.logs[1]!.syncSync()
    if (before !== undefined) cost.push(written('bytes')! - before)
  }
  const files = readdirSync(join(log.dir, '0001'))
  t.deepEqual(files.filter((name) => /\.(idx|dig|key)$/.test(name)), [])
  const median = (of: number[]): number => [...of].sort((a, b) => a - b)[of.length >> 1]!
  if (cost.length === 0) return
  t.true(median(cost.slice(300)) <= 2 * median(cost.slice(0, 100)), `${median(cost.slice(0, 100))}, then ${median(cost.slice(300))}`)
  t.true(median(cost) < 2000, `${median(cost)}`)
})

test('defect C4.9: no length, time or byte of a message makes it another message', async (t) => {
  const log = await open(t, freshDir(t), { segmentSize: 16 << 20 })
  const marks = [[0xff, 0xff, 0xff, 0xff, 2], [0xff, 0xff, 0xff, 0xff, 3], [0, 0x10, 0, 1], [0, 0x10, 0, 0], [0, 0, 0, 0], [0x7f, 0xff, 0xff, 0xff]].map((bytes) => Buffer.from(bytes))
  const parts = [null, Buffer.alloc(0), ...marks, Buffer.alloc((1 << 20) + 1, 255)]
  const times = [0, -1, 0.001, 4294967.296, 1_048_577, -8.64e15, 8.64e15]
  const messages = parts.flatMap((key, i) => parts.map((value, j) => ({ key, value, time: times[(i * 3 + j) % times.length]!, headers: (i + j) % 3 === 0 ? { h: marks[j % 6]! } : {} })))
  for (const { value, ...facts } of messages) log.append(value, facts.key, { partition: 1, time: facts.time, headers: facts.headers })
  for (let i = 0; i < messages.length; i += 9) log.logs[1]!.appendBatch(messages.slice(i, i + 9))
  await log.close()
  const again = await open(t, log.dir, { segmentSize: 16 << 20 })
  const seen = [...again.logs[1]!.messages()]
  t.is(seen.length, 2 * messages.length)
  for (const [offset, { key, value, time, headers }] of seen.entries()) {
    const expected = messages[offset % messages.length]!
    const same = (one: Buffer | null, other: Buffer | null): boolean => (one === null || other === null ? one === other : one.equals(other))
    if (!same(key, expected.key) || !same(value, expected.value) || time !== expected.time || Object.keys(headers).length !== Object.keys(expected.headers).length) t.fail(`${offset}`)
  }
  t.like(await PartitionedLog.check(log.dir), { ok: true, entries: 2 * messages.length })
})
