import { existsSync } from 'node:fs'
import test, { type ExecutionContext } from 'ava'
import { type SegmentInfo, Wal } from 'varve'
import { closedAfter, freshDir, freshWal, segments as files } from '../support/directory.ts'
import { soon } from '../support/soon.ts'
import { thread } from '../support/thread.ts'

/** A log of five segments of 100 records. */
function fiveSegments(t: ExecutionContext): Wal {
  const log = freshWal(t)
  for (let i = 0; i < 500; i++) {
    if (i % 100 === 0 && i > 0) log.rotate()
    log.append(`record ${i}`)
  }
  return log
}

const byId = (log: Wal, id: number): SegmentInfo | undefined => log.segments().find((segment) => segment.id === id)

test('a pinned segment keeps its file, whatever is removed, until the pin is disposed of', async (t) => {
  const log = fiveSegments(t)
  const [first, second] = log.segments()
  const pin = log.pin(first!.id)
  t.is(byId(log, first!.id)!.references, 1)
  t.false(byId(log, first!.id)!.pendingDeletion)
  log.truncateBefore(350)
  await log.sync()
  t.true(existsSync(first!.path))
  t.true(await soon(() => !existsSync(second!.path) && log.segments().length === 3))
  const held = log.segments()
  t.is(held[0]!.id, first!.id)
  t.true(held[0]!.pendingDeletion)
  t.is(held[0]!.references, 1)
  t.deepEqual(held.slice(1).map(({ pendingDeletion }) => pendingDeletion), [false, false])
  const { pinned, segments } = log.stats()
  t.is(segments, 2)
  t.deepEqual({ segments: pinned.segments, references: pinned.references }, { segments: 1, references: 1 })
  t.true(pinned.bytes > 0)
  // It is kept, but no part of the log.
  t.is(log.get(50), undefined)
  t.throws(() => log.records({ from: 50 }), { code: 'VARVE_OUT_OF_RANGE' })
  pin[Symbol.dispose]()
  await log.sync()
  t.true(await soon(() => !existsSync(first!.path)))
  t.true(await soon(() => log.stats().pinned.segments === 0))
  t.deepEqual(log.stats().pinned, { segments: 0, bytes: 0, references: 0 })
  t.is(byId(log, first!.id), undefined)
  pin[Symbol.dispose]()
})

test('`using` lets go of a pin; several pins of one segment count each', (t) => {
  const log = fiveSegments(t)
  const { id } = log.segments()[2]!
  {
    using _one = log.pin(id)
    using _two = log.pin(id)
    t.is(byId(log, id)!.references, 2)
  }
  t.is(byId(log, id)!.references, 0)
  // Disposed of twice, it lets go once.
  const [one, two] = [log.pin(id), log.pin(id)]
  one[Symbol.dispose]()
  one[Symbol.dispose]()
  t.is(byId(log, id)!.references, 1)
  two[Symbol.dispose]()
})

test('the active segment may be pinned, and one that waits to be removed', async (t) => {
  const log = fiveSegments(t)
  const active = log.segments().at(-1)!
  using _pin = log.pin(active.id)
  log.append('x')
  log.reset(0)
  await log.sync()
  t.true(existsSync(active.path))
  {
    using _again = log.pin(active.id)
    t.is(byId(log, active.id)!.references, 2)
  }
  t.true(existsSync(active.path))
})

test('pin of a segment that is not there is VARVE_OUT_OF_RANGE', async (t) => {
  const log = fiveSegments(t)
  const gone = log.segments()[0]!.id
  log.truncateBefore(250)
  await log.sync()
  t.true(await soon(() => log.segments()[0]!.id !== gone))
  for (const id of [0, gone, 99, 2 ** 32 + 3, Number.MAX_SAFE_INTEGER]) t.throws(() => log.pin(id), { code: 'VARVE_OUT_OF_RANGE' })
})

test('a pin outlives what truncateAfter cuts', async (t) => {
  const log = fiveSegments(t)
  const last = log.segments()[3]!
  const pin = log.pin(last.id)
  log.truncateAfter(50)
  log.append('other')
  await log.sync()
  t.true(existsSync(last.path))
  t.is(byId(log, last.id)!.pendingDeletion, true)
  t.is(log.get(51)?.toString(), 'other')
  pin[Symbol.dispose]()
  await log.sync()
  t.true(await soon(() => !existsSync(last.path)))
})

test('a slow reader pins the segment that it stands in, visibly, until it is closed', async (t) => {
  const log = fiveSegments(t)
  const first = log.segments()[0]!
  const reader = log.reader()
  reader.advance()
  t.is(byId(log, first.id)!.references, 1)
  log.truncateBefore(400)
  await log.sync()
  t.true(existsSync(first.path))
  t.is(byId(log, first.id)!.pendingDeletion, true)
  t.true(await soon(() => log.stats().pinned.segments === 1))
  t.is(log.stats().pinned.references, 1)
  reader.close()
  await log.sync()
  t.true(await soon(() => !existsSync(first.path)))
  t.true(await soon(() => log.stats().pinned.segments === 0))
  t.deepEqual(log.stats().pinned, { segments: 0, bytes: 0, references: 0 })
})

test('an iterator that is left lets go of its segment', async (t) => {
  const log = fiveSegments(t)
  const first = log.segments()[0]!
  for (const { index } of log.records()) {
    if (index === 5) break
  }
  t.is(byId(log, first.id)!.references, 0)
  const ahead = log.recordsAsync({ from: 450 })
  await ahead.next()
  t.is(log.segments().reduce((sum, { references }) => sum + references, 0), 1)
  await ahead.return!()
  t.is(log.segments().reduce((sum, { references }) => sum + references, 0), 0)
})

test('pins of another thread count, and end with it', async (t) => {
  const log = fiveSegments(t)
  const first = log.segments()[0]!
  const other = thread(t)
  await other.run('state.log = Wal.openSync(args.dir); state.pin = state.log.pin(args.id)', { dir: log.dir, id: first.id })
  t.is(byId(log, first.id)!.references, 1)
  log.truncateBefore(200)
  await log.sync()
  t.true(existsSync(first.path))
  await other.end()
  await log.sync()
  t.true(await soon(() => !existsSync(first.path)))
})

test('a pin may be disposed of after its log is closed; the file goes with the close, or at the latest with the next open', async (t) => {
  const dir = freshDir(t)
  const log = closedAfter(t, Wal.openSync(dir))
  log.append('x')
  log.rotate()
  log.append('y')
  const first = log.segments()[0]!
  const pin = log.pin(first.id)
  log.truncateBefore(1)
  await log.close()
  pin[Symbol.dispose]()
  const again = closedAfter(t, Wal.openSync(dir))
  await again.sync()
  t.is(again.firstIndex, 1)
  t.true(await soon(() => files(dir).length === 1))
  t.true(await soon(() => !existsSync(first.path)))
})
