import { existsSync, statSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { type SegmentInfo, Wal, type WalOptions, type WalRetention } from 'varve'
import { runCommand } from '../support/child.ts'
import { closedAfter, freshDir, segments as files, texts } from '../support/directory.ts'
import { soon } from '../support/soon.ts'
import { thread } from '../support/thread.ts'

const nothing = { segments: 0, entries: 0, bytes: 0 }

/** A log of `count` segments, of 10 records each but for the last, which is empty; made without retention, then opened with it. */
async function logOf(t: ExecutionContext, count: number, retention: WalRetention, options: WalOptions = {}): Promise<Wal> {
  const dir = freshDir(t)
  const made = Wal.openSync(dir)
  for (let i = 0; i < count - 1; i++) {
    made.appendBatch(Array.from({ length: 10 }, (_, j) => `record ${i * 10 + j}`.padEnd(1000)))
    made.rotate()
  }
  await made.close()
  return closedAfter(t, Wal.openSync(dir, { ...options, retention }))
}

test('maxSegments: the oldest go until so many are left, and the result says what went', async (t) => {
  const log = await logOf(t, 8, { maxSegments: 3 })
  const before = log.segments()
  const removed = await log.enforceRetention()
  t.deepEqual(removed, { segments: 5, entries: 50, bytes: before.slice(0, 5).reduce((sum, { bytes }) => sum + bytes, 0) })
  t.is(log.firstIndex, 50)
  t.is(log.segments().length, 3)
  t.true(await soon(() => files(log.dir).length === 3))
  t.is(texts(log).length, 20)
  t.deepEqual(await log.enforceRetention(), nothing)
  await log.close()
  t.is(closedAfter(t, Wal.openSync(log.dir)).firstIndex, 50)
})

test('maxBytes: the oldest go until the rest is that small; the active one stays, however large', async (t) => {
  const log = await logOf(t, 8, { maxBytes: 35_000 })
  await log.enforceRetention()
  const left = log.segments().reduce((sum, { bytes }) => sum + bytes, 0)
  t.true(left <= 35_000 && left > 20_000, String(left))
  await log.close()
  const small = closedAfter(t, Wal.openSync(log.dir, { retention: { maxBytes: 0 } }))
  small.append(Buffer.alloc(100_000))
  await small.enforceRetention()
  t.is(small.segments().length, 1)
  t.is(small.get(70)?.length, 100_000)
})

test('maxAgeMs: a segment goes so long after it was sealed, also when that was in an earlier life', async (t) => {
  const young = await logOf(t, 5, { maxAgeMs: 3_600_000 })
  t.deepEqual(await young.enforceRetention(), nothing)
  t.is(young.segments().length, 5)
  const old = await logOf(t, 5, { maxAgeMs: 0 })
  t.is((await old.enforceRetention()).segments, 4)
  t.is(old.segments().length, 1)
  // The active one never goes, whatever its age.
  old.append('x')
  t.deepEqual(await old.enforceRetention(), nothing)
  t.is(old.get(40)?.toString(), 'x')
})

test('minSegments are kept whatever the rules say', async (t) => {
  const log = await logOf(t, 8, { maxAgeMs: 0, maxBytes: 0, minSegments: 4 })
  t.is((await log.enforceRetention()).segments, 4)
  t.is(log.segments().length, 4)
  const many = await logOf(t, 3, { maxAgeMs: 0, minSegments: 100 })
  t.deepEqual(await many.enforceRetention(), nothing)
  const zero = await logOf(t, 3, { maxAgeMs: 0, minSegments: 0 })
  await zero.enforceRetention()
  t.is(zero.segments().length, 1)
})

test('of several rules the one that removes most counts', async (t) => {
  const log = await logOf(t, 8, { maxSegments: 6, maxBytes: 25_000, maxAgeMs: 3_600_000 })
  await log.enforceRetention()
  t.true(log.segments().length < 6)
})

test('no retention, or one without rules, removes nothing', async (t) => {
  const none = await logOf(t, 5, {})
  t.deepEqual(await none.enforceRetention(), nothing)
  const plain = closedAfter(t, Wal.openSync(freshDir(t)))
  plain.append('x')
  plain.rotate()
  t.deepEqual(await plain.enforceRetention(), nothing)
  t.is(plain.nextIndex - plain.firstIndex, 1)
})

test('it runs by itself when a segment rotates', async (t) => {
  const log = closedAfter(t, Wal.openSync(freshDir(t), { retention: { maxSegments: 3 } }))
  for (let i = 0; i < 20; i++) {
    log.append(`${i}`)
    log.rotate()
  }
  t.true(await soon(() => log.segments().length <= 3 && files(log.dir).length <= 3))
  t.is(log.get(19)?.toString(), '19')
  t.is(log.firstIndex, 18)
})

test('it runs by itself with intervalMs, in the background', async (t) => {
  const log = await logOf(t, 6, { maxSegments: 2, intervalMs: 5 })
  t.true(await soon(() => log.segments().length === 2 && files(log.dir).length === 2))
  t.is(log.firstIndex, 40)
})

test('without intervalMs and a rotation it does not run', async (t) => {
  const log = await logOf(t, 6, { maxSegments: 2 })
  log.append('x')
  for (let i = 0; i < 20; i++) {
    await log.sync()
    await setImmediate()
  }
  t.is(log.segments().length, 6)
})

test('mayDelete is asked for each, oldest first, with what it is; the first false keeps it and all behind it, for now', async (t) => {
  const asked: SegmentInfo[] = []
  let until = 20
  const mayDelete = (segment: SegmentInfo): boolean => {
    asked.push(segment)
    return segment.nextIndex <= until
  }
  const log = await logOf(t, 8, { maxSegments: 2, mayDelete })
  const before = log.segments()
  t.is((await log.enforceRetention()).segments, 2)
  t.deepEqual(asked.map(({ id }) => id), before.slice(0, 3).map(({ id }) => id))
  t.deepEqual({ ...asked[0]! }, { ...before[0]! })
  t.is(log.firstIndex, 20)
  t.deepEqual(await log.enforceRetention(), nothing)
  until = 1000
  t.is((await log.enforceRetention()).segments, 4)
  t.is(log.segments().length, 2)
})

test('mayDelete that throws keeps things as they are, and is an error event; without a listener nothing is thrown', async (t) => {
  let broken = true
  const mayDelete = (): boolean => {
    if (broken) throw new Error('mine')
    return true
  }
  const log = await logOf(t, 5, { maxSegments: 2, mayDelete })
  t.deepEqual(await log.enforceRetention(), nothing)
  const errors: Error[] = []
  log.on('error', (error) => errors.push(error))
  t.deepEqual(await log.enforceRetention(), nothing)
  t.deepEqual(errors.map(({ message }) => message), ['mine'])
  t.is(log.segments().length, 5)
  t.is(log.stats().failed, undefined)
  broken = false
  t.is((await log.enforceRetention()).segments, 3)
})

test('mayDelete may call the log from within, and is never called within another call', async (t) => {
  let within = true
  const log: Wal = await logOf(t, 5, {
    maxSegments: 2,
    mayDelete: (segment) => {
      t.false(within)
      t.is(log.get(segment.firstIndex)?.toString().trim(), `record ${segment.firstIndex}`)
      log.append('from within')
      return true
    },
  })
  const removing = log.enforceRetention()
  within = false
  t.is((await removing).segments, 3)
  t.is(log.nextIndex, 43)
})

test('of several handles, and threads, any may keep: retention goes as far as all of them allow', async (t) => {
  const log = await logOf(t, 8, { maxSegments: 2, mayDelete: () => true })
  const second = closedAfter(t, Wal.openSync(log.dir, { retention: { maxSegments: 2, mayDelete: ({ nextIndex }) => nextIndex <= 40 } }))
  const other = thread(t)
  await other.run('state.until = 10; state.log = Wal.openSync(args, { retention: { maxSegments: 2, mayDelete: (segment) => segment.nextIndex <= state.until } })', log.dir)
  t.is((await log.enforceRetention()).segments, 1)
  await other.run('state.until = 30')
  t.is((await second.enforceRetention()).segments, 2)
  t.deepEqual(await other.run('return await state.log.enforceRetention()'), nothing)
  await other.run('await state.log.close()')
  t.is((await log.enforceRetention()).segments, 1)
  await second.close()
  t.is((await log.enforceRetention()).segments, 2)
  t.is(log.segments().length, 2)
})

test('mayDelete without rules objects to those of the core: an option not given takes the core’s', async (t) => {
  const log = await logOf(t, 6, { maxSegments: 2 })
  const other = closedAfter(t, Wal.openSync(log.dir, { retention: { mayDelete: () => false } }))
  t.deepEqual(await log.enforceRetention(), nothing)
  await other.close()
  t.is((await log.enforceRetention()).segments, 4)
})

test('other rules than the core’s are VARVE_INVALID_ARGUMENT naming both values', async (t) => {
  const log = await logOf(t, 3, { maxSegments: 5, maxBytes: 1000 })
  const error = t.throws(() => Wal.openSync(log.dir, { retention: { maxSegments: 7, maxBytes: 1000 } }), { code: 'VARVE_INVALID_ARGUMENT' })
  t.regex(error!.message, /maxSegments/)
  t.regex(error!.message, /\b5\b/)
  t.regex(error!.message, /\b7\b/)
  closedAfter(t, Wal.openSync(log.dir, { retention: { maxSegments: 5, maxBytes: 1000 } }))
  closedAfter(t, Wal.openSync(log.dir))
})

test('a thread that ends with the question open keeps nothing up', async (t) => {
  const log = await logOf(t, 5, { maxSegments: 2 })
  const other = thread(t)
  const asked = new Int32Array(new SharedArrayBuffer(4))
  const mayDelete = 'mayDelete: () => { args.asked[0] = 1; for (;;) {} }'
  await other.run(`state.log = Wal.openSync(args.dir, { retention: { maxSegments: 2, ${mayDelete} } })`, { dir: log.dir, asked })
  const removing = log.enforceRetention()
  t.true(await soon(() => asked[0] === 1))
  await other.end()
  t.deepEqual(await removing, nothing)
  t.is((await log.enforceRetention()).segments, 3)
})

test('a handle that is closed with the question open keeps nothing up; one that waits for the answer is told', async (t) => {
  const log = await logOf(t, 5, { maxSegments: 2 })
  const other = Wal.openSync(log.dir, { retention: { maxSegments: 2, mayDelete: () => true } })
  const removing = log.enforceRetention()
  await other.close()
  const removed = await removing
  t.true([0, 3].includes(removed.segments))
  await log.enforceRetention()
  t.is(log.segments().length, 2)
  const own = await logOf(t, 5, { maxSegments: 2, mayDelete: () => true })
  const waiting = own.enforceRetention()
  await own.close()
  await waiting.then(({ segments }) => t.true([0, 3].includes(segments)), (error: { code: string }) => t.is(error.code, 'VARVE_CLOSED'))
})

test('mayDelete that closes the log: enforceRetention settles', async (t) => {
  const log: Wal = await logOf(t, 5, { maxSegments: 2, mayDelete: () => (void log.close(), true) })
  await log.enforceRetention().then(({ segments }) => t.is(segments, 0), (error: { code: string }) => t.is(error.code, 'VARVE_CLOSED'))
  await log.close()
  t.is(closedAfter(t, Wal.openSync(log.dir)).firstIndex, 0)
})

test('a slow reader does not hold retention up: it is overtaken, and pins its segment, visibly, until it is closed', async (t) => {
  const log = await logOf(t, 8, { maxSegments: 2 })
  const [first] = log.segments()
  const reader = log.reader()
  reader.advance()
  const slow = log.records()
  slow.next()
  t.is(log.segments()[0]!.references, 2)
  t.is((await log.enforceRetention()).segments, 6)
  t.is(log.firstIndex, 60)
  t.throws(() => reader.advance(), { code: 'VARVE_OUT_OF_RANGE' })
  t.throws(() => slow.next(), { code: 'VARVE_OUT_OF_RANGE' })
  slow.return!()
  const [held] = log.segments()
  t.deepEqual({ id: held!.id, references: held!.references, pendingDeletion: held!.pendingDeletion }, { id: first!.id, references: 1, pendingDeletion: true })
  const { pinned } = log.stats()
  t.is(pinned.segments, 1)
  t.is(pinned.references, 1)
  t.true(pinned.bytes >= 10_000)
  t.true(existsSync(first!.path))
  reader.close()
  await log.sync()
  t.true(await soon(() => !existsSync(first!.path)))
  t.is(log.segments().length, 2)
})

test('a reader of another thread pins, too', async (t) => {
  const log = await logOf(t, 8, { maxSegments: 2 })
  const [first] = log.segments()
  const other = thread(t)
  await other.run('state.log = Wal.openSync(args); state.reader = state.log.reader(); state.reader.advance()', log.dir)
  await log.enforceRetention()
  t.true(existsSync(first!.path))
  await t.throwsAsync(other.run('state.reader.advance()'), { code: 'VARVE_OUT_OF_RANGE' })
  await other.run('state.reader.close()')
  await log.sync()
  t.true(await soon(() => !existsSync(first!.path)))
})

test('disk space comes back', async (t) => {
  const log = closedAfter(t, Wal.openSync(freshDir(t), { segmentSize: 1 << 20, retention: { maxBytes: 3 << 20 } }))
  for (let i = 0; i < 20_000; i++) log.append(Buffer.alloc(1000, i))
  await log.sync()
  await log.enforceRetention()
  const used = files(log.dir).reduce((sum, path) => sum + statSync(path).blocks * 512, 0)
  t.true(used < 6 << 20, String(used))
})

test('retention of a log that is written to in several threads: readers see what is left, in order, or are told', async (t) => {
  const log = closedAfter(t, Wal.openSync(freshDir(t), { segmentSize: 65_536, retention: { maxSegments: 3, mayDelete: () => true } }))
  const workers = [thread(t), thread(t)]
  const work = workers.map((worker) => worker.run<number>(`
    const log = Wal.openSync(args, { retention: { maxSegments: 3, mayDelete: () => true } })
    let seen = 0
    for (let round = 0; round < 60; round++) {
      for (let i = 0; i < 50; i++) log.append(Buffer.alloc(300))
      let last
      try {
        for (const { index } of log.records()) {
          if (last !== undefined && index !== last + 1) throw new Error('hop from ' + last + ' to ' + index)
          last = index
          seen++
        }
      } catch (error) {
        if (error.code !== 'VARVE_OUT_OF_RANGE') throw error
      }
      if (round % 7 === 0) await log.enforceRetention()
      await new Promise(setImmediate)
    }
    await log.close()
    return seen`, log.dir))
  for (const seen of await Promise.all(work)) t.true(seen > 0)
  t.is(log.nextIndex, 6000)
  await log.enforceRetention()
  t.true(log.stats().segments <= 3)
  await log.sync()
  t.true(await soon(() => files(log.dir).length <= 3))
})

test('on a closed log it is VARVE_CLOSED', async (t) => {
  const log = await logOf(t, 3, { maxSegments: 2 })
  await log.close()
  await t.throwsAsync(log.enforceRetention(), { code: 'VARVE_CLOSED' })
})

test('retention in the background, asked for by mayDelete, keeps no process alive', async (t) => {
  const body = `import { Wal } from 'varve'
    const log = Wal.openSync(process.argv[1], { retention: { maxSegments: 1, intervalMs: 1, mayDelete: () => false } })
    log.on('rotate', () => {})
    log.append('x'); log.rotate(); log.append('y')
    console.log('idle')`
  const ended = await runCommand(process.execPath, ['--input-type=module', '-e', body, freshDir(t)])
  t.is(ended.code, 0, ended.stderr)
  t.is(ended.stdout, 'idle\n')
})
