// What other write-ahead logs of this kind have been seen to do wrong, each done here once more, and shown to be right.
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { type VarveError, Wal, type WalOptions } from 'varve'
import { firstLine, program, run, start } from '../support/child.ts'
import { crashed, edit, flip, holds } from '../support/damage.ts'
import { closedAfter, contents, freshDir, freshWal, segments, texts } from '../support/directory.ts'
import { runWithFailingSync } from '../support/failing-sync.ts'
import { until } from '../support/following.ts'
import { thread } from '../support/thread.ts'

const small = { segmentSize: 65_536 }

const READING = 'return (await import(args.program))[args.how](Wal, args)'

/** Records of one size, that say which they are. */
const fill = (log: Wal, count: number, what = 'record'): string[] => {
  const records = Array.from({ length: count }, (_, i) => `${what} ${log.nextIndex + i}`.padEnd(120, '.'))
  for (const record of records) log.append(record)
  return records
}

const open = (t: ExecutionContext, dir: string, options?: WalOptions): Wal => closedAfter(t, Wal.openSync(dir, options))

test('defect 1: what was truncated never comes back, whatever is appended and however often the log is reopened', async (t) => {
  for (const [count, kept, added] of [[100, 11, 10], [100, 11, 0], [100, 50, 1], [3000, 700, 200]] as const) {
    const dir = freshDir(t)
    let log = open(t, dir, small)
    const old = fill(log, count)
    await log.sync()
    log.truncateAfter(kept - 1)
    const expected = [...old.slice(0, kept), ...fill(log, added, 'new   ')]
    await log.appendAsync('last', { durability: 'os' })
    expected.push('last')
    t.deepEqual(texts(log), expected)
    // As a kill leaves it, and after a close.
    await holds(t, crashed(t, dir), expected)
    await log.close()
    await holds(t, dir, expected)
    for (let cycle = 0; cycle < 3; cycle++) {
      log = open(t, dir)
      expected.push(...fill(log, 1, `again ${cycle}`))
      await log.close()
    }
    await holds(t, dir, expected)
  }
})

test('defect 2: what lies behind damage never attaches itself to what is appended later', async (t) => {
  const dir = freshDir(t)
  const log = open(t, dir)
  const records = fill(log, 100)
  await log.appendAsync('the system has it', { durability: 'os' })

  // Never known to be durable, so a crash may have left it like that: all behind it is cut.
  const copy = crashed(t, dir)
  flip(segments(copy)[0]!, records[50]!)
  const expected = records.slice(0, 50)
  for (let cycle = 0; cycle < 4; cycle++) {
    const again = open(t, copy)
    t.deepEqual(texts(again), expected)
    t.is(again.nextIndex, 50 + cycle)
    expected.push(...fill(again, 1, 'record'))
    await again.close()
  }
  await holds(t, copy, expected)

  // Durable: it is refused, and who reads on behind it gets new indexes for new records.
  await log.close()
  flip(segments(dir)[0]!, records[50]!)
  t.throws(() => Wal.openSync(dir, { verify: true }), { code: 'VARVE_CORRUPT' })
  for (let cycle = 0; cycle < 2; cycle++) {
    const skipping = open(t, dir, { verify: true, onDamage: 'skip' })
    t.is(skipping.append('next'), 101 + cycle)
    t.is(skipping.get(50), undefined)
    t.is(skipping.get(99)!.toString(), records[99]!)
    t.is(texts(skipping).length, 101 + cycle)
    await skipping.close()
  }
})

test('defect 3: opening with a smaller segment size changes no file that is there', async (t) => {
  const dir = freshDir(t)
  const large = open(t, dir, { segmentSize: 4 << 20 })
  const records = fill(large, 20_000)
  await large.close()
  const before = new Map(segments(dir).map((path) => [path, statSync(path).size]))
  const data = new Map(segments(dir).slice(0, -1).map((path) => [path, readFileSync(path)]))
  t.true(Math.max(...before.values()) > 65_536)
  const log = open(t, dir, small)
  t.deepEqual(texts(log), records)
  log.rotate()
  records.push(...fill(log, 2000))
  await log.close()
  for (const [path, size] of before) t.is(statSync(path).size, size)
  for (const [path, bytes] of data) t.true(readFileSync(path).equals(bytes))
  t.is(statSync(segments(dir).at(-1)!).size, 65_536)
  await holds(t, dir, records)
})

test('defect 4: whatever a power loss leaves of a segment just begun, or of one header, the log opens with all that was durable', async (t) => {
  const dir = freshDir(t)
  const log = open(t, dir, small)
  const durable = fill(log, 100)
  await log.sync()
  const more = [...durable, ...fill(log, 20)]
  log.rotate()
  const all = [...more, ...fill(log, 20)]
  await log.appendAsync('last', { durability: 'os' })
  const zero = (from: number, to: number) => (path: string) => edit(path, (bytes) => void bytes.fill(0, from, Math.min(to, bytes.length)))
  const losses: Record<string, (path: string) => void> = {
    'all of the new file': zero(0, 1 << 20),
    'its first page': zero(0, 4096),
    'both its headers': zero(0, 1024),
    'all but its headers': zero(1024, 1 << 20),
    'its length': (path) => truncateSync(path, 0),
    'a part of its length': (path) => truncateSync(path, 1000),
    'its name': (path) => rmSync(path),
  }
  for (const [what, lose] of Object.entries(losses)) {
    const copy = crashed(t, dir)
    lose(segments(copy)[1]!)
    t.true((await Wal.check(copy)).ok, what)
    for (let cycle = 0; cycle < 2; cycle++) {
      const again = open(t, copy)
      t.deepEqual(texts(again).slice(0, 120), more, what)
      t.is(again.append('goes on'), 120 + cycle, what)
      await again.close()
    }
    t.deepEqual(texts(open(t, copy, { verify: true })), [...more, 'goes on', 'goes on'], what)
  }
  // The rotation is not durable: its footer may be lost, and the new segment there; or that alone.
  const torn = crashed(t, dir)
  edit(segments(torn)[0]!, (bytes) => void bytes.fill(0, bytes.length - 512))
  t.deepEqual(texts(open(t, torn)).slice(0, 120), more)
  // A header is there twice, so a lost sector costs nothing.
  for (const at of [0, 512]) {
    const scratched = crashed(t, dir)
    for (const path of segments(scratched)) zero(at, at + 512)(path)
    t.deepEqual(texts(open(t, scratched)), [...all, 'last'])
  }
})

test('defect 5: a full disk is an error and not a signal', async (t) => {
  // No store can meet a hole: what is open for writing is allocated to its end.
  const log = freshWal(t, { segmentSize: 1 << 20 })
  fill(log, 5000)
  for (const path of segments(log.dir)) t.true(statSync(path).blocks * 512 >= statSync(path).size, path)
  const dir = freshDir(t)
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', dir], { stdio: 'pipe' })
  } catch {
    t.log('no small file system could be mounted here, so only the allocation was looked at')
    return
  }
  t.teardown(() => execFileSync('umount', ['--lazy', dir]))
  writeFileSync(`${dir}/ballast`, Buffer.alloc(4 << 20))
  const end = await run('fill', [dir, `${dir}/ballast`])
  t.deepEqual({ signal: end.signal, code: end.code }, { signal: null, code: 0 }, end.stderr)
  t.is((JSON.parse(end.stdout) as { first: { code: string } }).first.code, 'VARVE_NO_SPACE')
})

test('defect 6: reads against truncation, retention and close of other threads give records or errors, and what was handed out stays', async (t) => {
  const dir = freshDir(t)
  const log = open(t, dir, { ...small, retention: { maxSegments: 4 } })
  const workers = Array.from({ length: 3 }, () => thread(t))
  fill(log, 2000)
  const reading = workers.map((worker, n) => worker.run<{ read: number; errors: string[] }>(READING, { program: program('reads').href, how: 'reads', dir, n }))
  let done = false
  const all = Promise.all(reading).finally(() => (done = true))
  for (let round = 0; !done; round++) {
    fill(log, 300)
    if (round % 3 === 0) log.truncateBefore(log.nextIndex - 900)
    if (round % 3 === 1) await log.enforceRetention()
    const busy = round % 3 === 2 ? await log.truncateAfterAsync(log.nextIndex - 250).catch((error: VarveError) => error.code) : undefined
    t.true(busy === undefined || busy === 'VARVE_BUSY')
    await log.sync()
  }
  for (const { read, errors } of await all) {
    t.true(read > 0)
    t.deepEqual(errors.filter((code) => code !== 'VARVE_OUT_OF_RANGE'), [])
  }
})

test('defect 7: retention keeps what the predicate keeps, and the least number whatever the age, and does not count what is gone already', async (t) => {
  const inTens = (log: Wal, count: number): void => {
    for (let i = 0; i < count; i++) {
      fill(log, 10)
      if (i < count - 1) log.rotate()
    }
  }
  const alive = (log: Wal): number => log.segments().filter(({ pendingDeletion }) => !pendingDeletion).length

  const asked: number[] = []
  const guarded = freshWal(t, { ...small, retention: { maxSegments: 1, mayDelete: ({ id }) => asked.push(id) < 0 } })
  inTens(guarded, 10)
  await guarded.enforceRetention()
  t.is(alive(guarded), 10)
  t.is(guarded.firstIndex, 0)
  t.true(asked.includes(1))

  const aged = freshWal(t, { ...small, retention: { maxAgeMs: 1, minSegments: 5 } })
  inTens(aged, 10)
  const sealed = Math.max(...aged.segments().map(({ modifiedAt }) => modifiedAt))
  await until(() => Date.now() > sealed + 2)
  for (let i = 0; i < 3; i++) await aged.enforceRetention()
  t.is(alive(aged), 5)
  t.is(aged.firstIndex, 50)

  const pinned = freshWal(t, { ...small, retention: { maxSegments: 8 } })
  const first = pinned.segments()[0]!.id
  const pin = pinned.pin(first)
  inTens(pinned, 12)
  for (let i = 0; i < 5; i++) {
    await pinned.enforceRetention()
    await pinned.sync()
    t.is(alive(pinned), 8, `call ${i}`)
    t.is(pinned.firstIndex, 40)
    await until(() => pinned.stats().pinned.segments === 1)
  }
  pin[Symbol.dispose]()
  await until(() => pinned.segments().length === 8)
  t.is(pinned.firstIndex, 40)
})

test('defect 8: an index that does not follow is refused, and the others are the same after a reopen', async (t) => {
  const dir = freshDir(t)
  const log = open(t, dir, { firstIndex: 10 })
  t.is(log.append('ten', { expectedIndex: 10 }), 10)
  for (const expectedIndex of [20, 30, 0, 10]) t.throws(() => log.append('no', { expectedIndex }), { code: 'VARVE_CONFLICT' })
  t.is(log.append('eleven', { expectedIndex: 11 }), 11)
  log.reset(20)
  t.is(log.append('twenty', { expectedIndex: 20 }), 20)
  await log.close()
  const again = open(t, dir)
  t.deepEqual([...again.records()].map(({ index, data }) => `${index} ${data}`), ['20 twenty'])
  t.is(again.get(11), undefined)
})

test('defect 9: truncating to nothing leaves nothing, of however many segments', async (t) => {
  for (const empty of [(log: Wal) => log.truncateAfter(-1), (log: Wal) => log.reset(0)]) {
    const dir = freshDir(t)
    const log = open(t, dir, small)
    fill(log, 3000)
    t.true(segments(dir).length >= 7)
    empty(log)
    t.deepEqual([log.firstIndex, log.nextIndex, texts(log).length], [0, 0, 0])
    await log.sync()
    await until(() => segments(dir).length === 1)
    t.is(log.append('first'), 0)
    await log.close()
    await holds(t, dir, ['first'])
    t.is(segments(dir).length, 1)
  }
})

test('defect 10: truncation into a segment sealed long ago is atomic, and writing goes on; where it is refused nothing has happened', async (t) => {
  const dir = freshDir(t)
  const sealing = open(t, dir, small)
  const records = fill(sealing, 3000)
  await sealing.close()
  for (const name of readdirSync(dir)) if (name.endsWith('.idx')) rmSync(join(dir, name))
  const log = open(t, dir, { ...small, commitGate: true })
  log.commit(2999)
  using reader = log.reader({ from: 2990 })
  t.true(reader.advance())
  const before = log.segments()
  t.throws(() => log.truncateAfter(600), { code: 'VARVE_BUSY' })
  t.deepEqual(log.segments().map(({ id }) => id), before.map(({ id }) => id))
  t.is(log.append('still well'), 3000)
  reader.close()
  log.truncateAfter(600)
  const expected = [...records.slice(0, 601), ...fill(log, 1000, 'new')]
  t.is(log.committedIndex, 600)
  log.commit(1600)
  t.deepEqual(texts(log), expected)
  await log.close()
  await holds(t, dir, expected)
})

test('defect 11: every read checks, in the active segment too, and in those sealed by this process', async (t) => {
  const log = freshWal(t, small)
  const records = fill(log, 1000)
  await log.sync()
  const [sealed, active] = [segments(log.dir)[0]!, segments(log.dir).at(-1)!]
  for (const [path, index] of [[sealed, 100], [active, 999]] as const) {
    flip(path, records[index]!, 30)
    const where = { code: 'VARVE_CORRUPT' }
    const error = t.throws(() => log.get(index), where) as VarveError
    t.is(error.path, path)
    await t.throwsAsync(log.getAsync(index), where)
    t.throws(() => log.getAt(log.positionOf(index)!), where)
    t.throws(() => [...log.records({ from: index })], where)
    using reader = log.reader({ from: index })
    t.throws(() => reader.advance(), where)
    await t.throwsAsync(log.recordsAsync({ from: index }).next(), where)
    await t.throwsAsync(log.tail({ from: index }).next(), where)
    t.is(log.get(index - 1)!.toString(), records[index - 1]!)
  }
})

test('defect 12: a reader may be asked before its first record and after its last, and goes on over rotations', async (t) => {
  const log = freshWal(t, small)
  using reader = log.reader()
  const tail = log.tail()
  t.is(typeof reader.index, 'number')
  t.is(reader.data().length, 0)
  for (let round = 0; round < 20; round++) {
    t.false(reader.advance())
    t.is(typeof reader.index, 'number')
    const waiting = tail.next()
    log.rotate()
    const index = log.append(`${round}`)
    t.true(reader.advance())
    t.is(reader.index, index)
    t.is((await waiting).value!.index, index)
  }
  await tail.return!()
})

test('defect 13: after a sync has failed none reports success, and what was reported as failed is judged again by the next open', async (t) => {
  const dir = freshDir(t)
  // One fails; the next ones would succeed.
  const met = await runWithFailingSync<Record<string, unknown> & { acknowledged: number }>(t, '20', dir)
  if (met === undefined) return
  for (const call of ['failure', 'append', 'syncSync', 'async', 'sync', 'rotate', 'close']) t.deepEqual(met[call], { code: 'VARVE_SYNC_FAILED', cause: 'EIO' }, call)
  const log = open(t, dir)
  t.true(log.nextIndex > met.acknowledged)
  t.is(await log.sync(), log.nextIndex)
})

test('defect 14: after a recovery all counts are those of what is there', async (t) => {
  const log = freshWal(t)
  const records = fill(log, 50)
  await log.appendAsync('x', { durability: 'os' })
  const dir = crashed(t, log.dir)
  edit(segments(dir)[0]!, (bytes) => void bytes.fill(0, bytes.indexOf(records[9]!), bytes.indexOf(records[9]!) + 8))
  t.like(await Wal.stat(dir), { entries: 9, nextIndex: 9 })
  const again = open(t, dir)
  const counted = (): number[] => [again.stats().entries, again.nextIndex, texts(again).length, again.segments().reduce((sum, { entries }) => sum + entries, 0)]
  t.deepEqual(counted(), [9, 9, 9, 9])
  again.append('ten')
  t.deepEqual(counted(), [10, 10, 10, 10])
  await again.close()
  t.like(await Wal.stat(dir), { entries: 10, nextIndex: 10 })
  t.like(await Wal.check(dir), { ok: true, entries: 10 })
})

test('defect 15: an index file that is cut, of another segment, or stale is never believed', async (t) => {
  const dir = freshDir(t)
  const log = open(t, dir, small)
  const old = fill(log, 2000)
  await log.close()
  const index = segments(dir)[1]!.replace('.seg', '.idx')
  const whole = readFileSync(index)
  const other = readFileSync(segments(dir)[0]!.replace('.seg', '.idx'))
  const cuts = [0, 1, 16, 63, 64, 72, whole.length - 4, whole.length - 1].map((length) => whole.subarray(0, length))
  for (const bytes of [...cuts, other, Buffer.concat([whole, whole]), Buffer.alloc(whole.length)]) {
    writeFileSync(index, bytes)
    await holds(t, dir, old)
  }
  // Stale: of the segment as it was before the truncation.
  const again = open(t, dir, small)
  again.truncateAfter(700)
  const expected = [...old.slice(0, 701), ...fill(again, 1000, 'new')]
  await again.close()
  writeFileSync(index, whole)
  await holds(t, dir, expected)
})

test('defect 16: positions are right in every thread while segments are sealed, truncated and let go of', async (t) => {
  const dir = freshDir(t)
  const log = open(t, dir, small)
  fill(log, 1000)
  const workers = [thread(t), thread(t)]
  let done = false
  const reading = Promise.all(workers.map((worker) => worker.run<number>(READING, { program: program('reads').href, how: 'positions', dir }))).finally(() => (done = true))
  while (!done) {
    fill(log, 400)
    log.truncateAfter(log.nextIndex - 150)
    if (log.nextIndex - log.firstIndex > 5000) log.truncateBefore(log.nextIndex - 1000)
    await log.sync()
  }
  for (const found of await reading) t.true(found > 1000)
})

test('defect 17: a sealed segment takes no more of the disk than what is in it, and neither does its copy', async (t) => {
  const dir = freshDir(t)
  const log = Wal.openSync(dir, { segmentSize: 16 << 20 })
  for (let i = 0; i < 8; i++) {
    log.append(Buffer.alloc(1000, i))
    log.rotate()
  }
  const copy = join(freshDir(t), 'backup')
  t.true((await log.backup(copy)).bytes < 8 * 16_384)
  await log.close()
  for (const path of [...segments(dir).slice(0, -1), ...segments(copy).slice(0, -1)]) t.true(statSync(path).blocks * 512 <= 16_384, `${path}: ${statSync(path).blocks * 512}`)
  t.is(texts(open(t, copy)).length, 8)
})

test('defect 18: magic, version, names and the lock are checked, every condition has a code, and a cause is kept', async (t) => {
  const written = (): string => {
    using log = Wal.openSync(freshDir(t))
    log.append('x')
    return log.dir
  }
  const headers = (path: string, change: (bytes: Buffer, at: number) => void): void => edit(path, (bytes) => [0, 512].forEach((at) => change(bytes, at)))
  const magic = written()
  headers(segments(magic)[0]!, (bytes, at) => void bytes.write('WALFSSEG', at))
  t.throws(() => Wal.openSync(magic), { code: 'VARVE_CORRUPT' })
  const version = written()
  headers(segments(version)[0]!, (bytes, at) => void bytes.writeUInt16LE(2, at + 8))
  t.throws(() => Wal.openSync(version), { code: 'VARVE_CORRUPT' }, 'a version whose checksum does not fit')

  const dir = written()
  const strange = ['000000002.seg', '2.seg', 'x.seg', '0000000000000002.seg.bak', '0000000000000002.wal']
  for (const name of strange) writeFileSync(join(dir, name), 'not ours')
  const log = open(t, dir)
  t.is(log.segments().length, 1)
  await log.close()
  for (const name of strange) t.is(readFileSync(join(dir, name), 'utf8'), 'not ours')
  const holder = start('holder', [dir])
  t.teardown(() => holder.kill('SIGKILL'))
  t.is(await firstLine(holder), 'open')
  t.is((t.throws(() => Wal.openSync(dir), { code: 'VARVE_LOCKED' }) as VarveError).pid, holder.pid)
  const missing = t.throws(() => Wal.openSync(join(dir, 'none'), { create: false }), { code: 'VARVE_IO' }) as VarveError
  t.is((missing.cause as NodeJS.ErrnoException).code, 'ENOENT')
})

test('defect 19: no byte of a header changes once it is written', async (t) => {
  const dir = freshDir(t)
  const log = open(t, dir, { segmentSize: 1 << 20 })
  const headers = new Map<string, Buffer>()
  const look = (): void => {
    for (const path of segments(dir)) {
      const now = readFileSync(path).subarray(0, 1024)
      const known = headers.get(path) ?? now
      headers.set(path, known)
      if (!known.equals(now)) t.fail(path)
    }
  }
  look()
  for (let i = 0; i < 10_000; i++) {
    log.append(Buffer.alloc(300, i))
    if (i % 500 === 0) {
      await log.sync()
      look()
    }
  }
  log.truncateAfter(9000)
  log.truncateBefore(5)
  look()
  t.true(headers.size >= 3)
  await log.close()
  look()
  await open(t, dir).close()
  look()
})

test('defect 20: a record that does not fit changes nothing, and asking is never a panic', async (t) => {
  const dir = freshDir(t)
  const log = open(t, dir, small)
  await log.sync()
  const before = [contents(dir), log.segments(), log.nextIndex]
  for (const records of [[Buffer.alloc(65_536)], ['a', Buffer.alloc(65_536)]]) t.throws(() => log.appendBatch(records), { code: 'VARVE_TOO_LARGE' })
  t.throws(() => log.append(Buffer.alloc(62_000), { expectedIndex: 0 }), { code: 'VARVE_TOO_LARGE' })
  await log.sync()
  t.deepEqual([contents(dir), log.segments(), log.nextIndex], before)
  t.is(log.append('first'), 0)
  await log.close()
  for (const ask of [() => log.segments(), () => log.stats(), () => log.firstIndex, () => log.positionOf(0), () => log.pin(1)]) t.throws(ask, { code: 'VARVE_CLOSED' })
  await holds(t, dir, ['first'])
})

test('defect 21: a rotation syncs nothing and waits for nothing', async (t) => {
  const log = freshWal(t, { segmentSize: 1 << 20 })
  fill(log, 10)
  await log.sync()
  const { syncs } = log.stats()
  for (let i = 0; i < 50; i++) {
    fill(log, 10)
    log.rotate()
  }
  t.like(log.stats(), { syncs, rotations: 50, durableIndex: 10 })
  t.is(await log.sync(), 510)
  t.true(log.stats().syncs <= syncs + 2)
})
