// Behaviour that others of this kind have a test for, and that no other test here is about: see docs/parity/walfs.md.
import { existsSync, readFileSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import test, { type ExecutionContext } from 'ava'
import { type VarveError, Wal, type WalOptions } from 'varve'
import { flip } from '../support/damage.ts'
import { closedAfter, freshDir, freshWal, texts } from '../support/directory.ts'
import { until } from '../support/following.ts'

const small = { segmentSize: 65_536 }
/** Of each frame. */
const HEADER = 16
/** At the end of each file. */
const FOOTER = 128

const open = (t: ExecutionContext, dir: string, options?: WalOptions): Wal => closedAfter(t, Wal.openSync(dir, options))

/** `count` records of one size, that say which they are. */
const fill = (log: Wal, count: number): void => {
  for (let i = 0; i < count; i++) log.append(`record ${log.nextIndex}.`.padEnd(150))
}

test('a new log has one empty segment that says what it is, and grows by what is appended', async (t) => {
  const before = Date.now()
  const log = freshWal(t, { ...small, firstIndex: 7, marker: 3 })
  const [segment, ...others] = log.segments()
  t.deepEqual(others, [])
  t.like(segment, { id: 1, firstIndex: 7, nextIndex: 7, entries: 0, capacity: 65_536, sealed: false, marker: 3, references: 0, pendingDeletion: false })
  t.true(segment!.createdAt >= before - 1 && segment!.createdAt <= Date.now() + 1)
  t.is(readFileSync(segment!.path).toString('latin1', 0, 8), 'VARVESEG')
  let { bytes } = segment!
  for (const length of [0, 1, 8, 9, 1000]) {
    log.append(Buffer.alloc(length))
    await log.sync()
    const now = log.segments()[0]!
    t.is(now.bytes - bytes, HEADER + Math.ceil(length / 8) * 8)
    bytes = now.bytes
  }
})

test('a segment is filled to its last byte and not beyond, by records or by a batch, and what does not fit begins the next one', async (t) => {
  for (const [over, how] of [[0, 'record'], [8, 'record'], [0, 'batch'], [8, 'batch']] as const) {
    const dir = freshDir(t)
    const log = open(t, dir, small)
    fill(log, 100)
    await log.sync()
    const { bytes, capacity } = log.segments()[0]!
    const room = capacity - FOOTER - bytes
    const last = Buffer.alloc(room - HEADER + over - (how === 'batch' ? 2 * HEADER : 0), 7)
    const records = how === 'batch' ? ['', '', last] : [last]
    t.is(log.appendBatch(records), 100)
    const expected = [...texts(log, 0).slice(0, 100), ...records.map(String), 'next']
    const begun = log.segments()
    t.is(begun.length, over === 0 ? 1 : 2)
    t.is(log.append('next'), 100 + records.length)
    await log.sync()
    t.is(log.segments().length, 2)
    const [full, next] = log.segments()
    t.is(full!.bytes, over === 0 ? capacity - FOOTER : bytes + (records.length - 1) * HEADER)
    t.is(next!.firstIndex, full!.nextIndex)
    t.is(full!.nextIndex, over === 0 ? 100 + records.length : 100 + records.length - 1)
    t.deepEqual(texts(log), expected)
    await log.close()
    const again = open(t, dir, { verify: true })
    t.deepEqual(texts(again), expected)
    expected.forEach((text, index) => t.is(again.get(index)!.toString(), text))
  }
})

test('records lie at multiples of 8, one behind the other whatever their lengths, with zeros between', async (t) => {
  const log = freshWal(t)
  const lengths = Array.from({ length: 200 }, (_, i) => (i * 37) % 129)
  // Full of other bytes before, so that what pads them is not what happened to lie there.
  for (let i = 0; i < 3; i++) log.append(Buffer.alloc(100_000, 255))
  await log.sync()
  const first = log.nextIndex
  for (const length of lengths.slice(0, 100)) log.append(Buffer.alloc(length, 255))
  log.appendBatch(lengths.slice(100).map((length) => Buffer.alloc(length, 255)))
  await log.sync()
  const files = new Map(log.segments().map(({ id, path }) => [id, readFileSync(path)]))
  const positions = lengths.map((_, i) => log.positionOf(first + i)!)
  for (const [i, { segment, offset }] of positions.entries()) {
    const end = offset + HEADER + lengths[i]!
    const padded = Math.ceil(end / 8) * 8
    t.is(offset % 8, 0)
    const next = positions[i + 1]
    if (next?.segment === segment) t.is(next.offset, padded)
    const bytes = files.get(segment)!
    t.true(bytes.subarray(offset + HEADER, end).every((byte) => byte === 255))
    t.true(bytes.subarray(end, padded).every((byte) => byte === 0))
  }
})

test('each segment says its first index, whatever began it, sealed or not, and after a reopen', async (t) => {
  const dir = freshDir(t)
  const log = open(t, dir, { ...small, firstIndex: 40 })
  log.append('forty')
  log.rotate()
  t.is(log.appendBatch(['41', '42']), 41)
  t.is(log.appendBatch(Array.from({ length: 30 }, () => Buffer.alloc(5000))), 43)
  log.rotate()
  const firsts = (of: Wal): number[] => of.segments().map(({ firstIndex }) => firstIndex)
  const before = firsts(log)
  t.deepEqual(before.slice(0, 2), [40, 41])
  t.is(before.at(-1), 73)
  for (const segment of log.segments()) t.is(readFileSync(segment.path).readBigUInt64LE(24), BigInt(segment.firstIndex))
  await log.close()
  const again = open(t, dir)
  t.deepEqual(firsts(again), before)
  t.is(again.append('next'), 73)
  t.deepEqual(firsts(again), before)
})

test('a sealed segment takes nothing more: no byte of its file changes', async (t) => {
  const log = freshWal(t, small)
  fill(log, 100)
  log.rotate()
  await log.sync()
  const [sealed] = log.segments()
  t.true(sealed!.sealed)
  const before = readFileSync(sealed!.path)
  fill(log, 2000)
  log.truncateAfter(1000)
  log.truncateBefore(50)
  fill(log, 10)
  await log.sync()
  t.true(readFileSync(sealed!.path).equals(before))
  t.deepEqual({ ...log.segments()[0]! }, sealed)
})

test('damage in a segment in the middle ends a scan there, with path and position; skipped, all other segments are read', async (t) => {
  const dir = freshDir(t)
  const log = open(t, dir, small)
  fill(log, 2000)
  await log.close()
  const whole = open(t, dir)
  const { path, firstIndex } = whole.segments()[2]!
  await whole.close()
  const damaged = firstIndex + 10
  flip(path, `record ${damaged}.`)
  const lazy = open(t, dir)
  const seen: number[] = []
  const error = t.throws(() => {
    for (const { index } of lazy.records()) seen.push(index)
  }, { code: 'VARVE_CORRUPT' }) as VarveError
  t.is(error.path, path)
  t.true(error.position! > 0)
  t.deepEqual(seen, Array.from({ length: damaged }, (_, i) => i))
  await lazy.close()
  const skipping = open(t, dir, { verify: true, onDamage: 'skip' })
  t.deepEqual(Array.from(skipping.records(), ({ index }) => index), Array.from({ length: 2000 }, (_, i) => i).filter((i) => i !== damaged))
})

test('the gate goes over segments: a commit in the second one shows all of the first, and the record committed', async (t) => {
  const dir = freshDir(t)
  const log = open(t, dir, { ...small, commitGate: true })
  for (let i = 0; i < 3; i++) {
    fill(log, 10)
    log.rotate()
  }
  const indexes = (of: Wal): number[] => Array.from(of.records(), ({ index }) => index)
  for (const committed of [4, 9, 10, 15, 19, 20, 29]) {
    log.commit(committed)
    t.is(log.committedIndex, committed)
    t.deepEqual(indexes(log), Array.from({ length: committed + 1 }, (_, i) => i))
  }
  await log.close()
  t.is(indexes(open(t, dir, { commitGate: true })).length, 30)
})

test('a reader lets go of the segments behind it: their files go while it goes on', async (t) => {
  const log = freshWal(t, small)
  fill(log, 2000)
  await log.sync()
  using reader = log.reader()
  const all = log.segments()
  const sidecars = all.slice(0, -1).map(({ path }) => path.replace('.seg', '.idx'))
  await until(() => sidecars.every((path) => existsSync(path)))
  for (const [i, { firstIndex }] of all.entries()) {
    while (reader.index < firstIndex) t.true(reader.advance())
    log.truncateBefore(firstIndex)
    await log.sync()
    await until(() => all.slice(0, i).every(({ path }) => !existsSync(path)))
    t.false(sidecars.slice(0, i).some((path) => existsSync(path)))
    t.true(log.segments().every(({ references, id }) => references === 0 || id >= all[i]!.id))
  }
  while (reader.advance()) { /* to the end */ }
  t.is(reader.index, 1999)
})

test('the id of a segment is never used again, whatever is truncated, reset and reopened', async (t) => {
  const dir = freshDir(t)
  const seen = new Map<number, number>()
  let log = open(t, dir, small)
  const look = (): void => {
    for (const { id, createdAt, pendingDeletion } of log.segments()) {
      if (pendingDeletion) continue
      t.is(seen.get(id) ?? createdAt, createdAt, `segment ${id}`)
      seen.set(id, createdAt)
    }
  }
  const changes = [
    () => log.truncateAfter(log.nextIndex - 500), () => log.truncateAfter(log.firstIndex - 1), () => log.reset(5), () => log.truncateBefore(log.nextIndex), () => log.rotate(),
  ]
  for (let round = 0; round < 20; round++) {
    fill(log, 600)
    look()
    changes[round % changes.length]!()
    look()
    if (round % 3 === 0) {
      await log.close()
      log = open(t, dir, small)
      look()
    }
  }
  t.true(seen.size > 20)
})

test('what a view held is let go of when nobody has it any more, once', async (t) => {
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as () => void
  const log = freshWal(t, small)
  fill(log, 2000)
  await log.sync()
  const [first] = log.segments()
  const held: { views: Buffer[] } = { views: [0, 1, 2].map((index) => log.get(index, { zeroCopy: true })!) }
  using _pin = log.pin(first!.id)
  const references = (): number => log.segments().find(({ id }) => id === first!.id)?.references ?? 0
  t.true(references() >= 1)
  log.truncateBefore(1500)
  await log.sync()
  t.is(held.views[2]!.toString().trimEnd(), 'record 2.')
  t.true(existsSync(first!.path))
  held.views.length = 0
  // A handle keeps the segment that was viewed last.
  t.is(log.get(1500, { zeroCopy: true })!.toString().trimEnd(), 'record 1500.')
  for (let tries = 0; references() > 1 && tries < 1000; tries++) {
    gc()
    await setImmediate()
  }
  // The pin alone is left, and stays.
  for (let i = 0; i < 5; i++) {
    gc()
    await setImmediate()
    t.is(references(), 1)
  }
  t.true(existsSync(first!.path))
})

test('what a truncation leaves may be one record, and the log goes on behind it', async (t) => {
  const dir = freshDir(t)
  const log = open(t, dir, { ...small, firstIndex: 3 })
  fill(log, 1000)
  log.truncateAfter(3)
  t.deepEqual([log.firstIndex, log.nextIndex, texts(log).length], [3, 4, 1])
  fill(log, 5)
  log.truncateAfter(3)
  t.is(log.append('other'), 4)
  await log.close()
  const again = open(t, dir, { verify: true })
  t.deepEqual(texts(again).map((text) => text.trim()), ['record 3.', 'other'])
})

test('a mark of 0 asks nobody, and whoever asks may open', (t) => {
  const dir = freshDir(t)
  Wal.openSync(dir).closeSync()
  const asked: number[] = []
  const validateMarker = (marker: number): boolean => asked.push(marker) < 0
  const log = open(t, dir, { validateMarker, marker: 5 })
  log.append('x')
  log.closeSync()
  t.deepEqual(asked, [])
})

test('where a backup goes, and what is repaired, is a path; nothing else is tried', async (t) => {
  const log = freshWal(t)
  const wrong = { instanceOf: TypeError, code: 'VARVE_INVALID_ARGUMENT' }
  for (const path of ['', undefined, null, 5, 'a\0b'] as string[]) {
    await t.throwsAsync(log.backup(path), wrong)
    await t.throwsAsync(Wal.recover(path), wrong)
    await t.throwsAsync(Wal.salvage(log.dir, path), wrong)
    await t.throwsAsync(Wal.salvage(path, `${log.dir}/x`), wrong)
  }
})
