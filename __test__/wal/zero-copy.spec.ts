import { closeSync, copyFileSync, mkdirSync, openSync, readdirSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { MessageChannel } from 'node:worker_threads'
import test, { type ExecutionContext } from 'ava'
import { codecs, Wal } from 'varve'
import { run } from '../support/child.ts'
import { closedAfter, contents, freshDir, freshWal } from '../support/directory.ts'
import { soon } from '../support/soon.ts'
import { thread } from '../support/thread.ts'

/** Whether this run may lend memory of files at all: the whole suite runs without, too. */
const lends = process.env['VARVE_NO_EXTERNAL'] !== '1'
const PAGE = 4096
const zeroCopy = { zeroCopy: true } as const

const text = (i: number): string => `record ${i} `.padEnd(200, `${i % 10}`)

/** A synced log of several segments. */
async function filled(t: ExecutionContext, count = 2000): Promise<Wal> {
  const log = freshWal(t, { segmentSize: 1 << 18 })
  for (let i = 0; i < count; i++) log.append(text(i))
  await log.sync()
  return log
}

/** Whether `data` lies in memory of a file: its buffer begins as a segment does. */
const isView = (data: Buffer): boolean => Buffer.from(data.buffer).toString('latin1', 0, 8) === 'VARVESEG'

test('records, recordsAsync, reader, tail and get give the same bytes with zeroCopy as without', async (t) => {
  const log = await filled(t)
  for (let i = 2000; i < 2100; i++) log.append(text(i))
  let next = 0
  for (const { index, data } of log.records(zeroCopy)) {
    if (index !== next || data.toString() !== text(next)) t.fail(`records: ${index}`)
    next++
  }
  t.is(next, 2100)
  next = 0
  for await (const { index, data } of log.recordsAsync(zeroCopy)) {
    if (index !== next || data.toString() !== text(next)) t.fail(`recordsAsync: ${index}`)
    next++
  }
  t.is(next, 2100)
  next = 0
  for await (const { index, data } of log.tail(zeroCopy)) {
    if (index !== next || data.toString() !== text(next)) t.fail(`tail: ${index}`)
    if (++next === 2100) break
  }
  next = 0
  using reader = log.reader(zeroCopy)
  while (reader.advance()) {
    const { index, buffer, start, end } = reader
    if (index !== next || buffer.toString('utf8', start, end) !== text(next) || reader.data().toString() !== text(next)) t.fail(`reader: ${index}`)
    next++
  }
  t.is(next, 2100)
  for (let i = 0; i < 2100; i++) if (log.get((i * 7919) % 2100, zeroCopy)?.toString() !== text((i * 7919) % 2100)) t.fail(`get: ${i}`)
  t.is(log.get(2100, zeroCopy), undefined)
  t.is(log.get(0, { zeroCopy: false })?.toString(), text(0))
})

test('a view is one of whole pages below the written length, where its ArrayBuffer ends; anything else is copied', async (t) => {
  const log = await filled(t)
  const segments = log.segments()
  let views = 0
  for (const { index, data } of log.records(zeroCopy)) {
    t.true(Buffer.isBuffer(data))
    if (!isView(data)) continue
    views++
    const { offset, segment } = log.positionOf(index)!
    t.is(data.buffer.byteLength % PAGE, 0)
    t.true(data.byteOffset > offset)
    t.true(data.buffer.byteLength <= segments.find(({ id }) => id === segment)!.bytes, `${index}`)
  }
  t.is(views > 1500, lends)
  // What has just been appended is not in a whole page yet.
  log.append('new')
  t.false(isView(log.get(2000, zeroCopy)!))
  t.is(log.get(2000, zeroCopy)!.toString(), 'new')
})

test('views of the same segment share memory; copies do not', async (t) => {
  const log = await filled(t)
  const [one, two] = [log.get(0, zeroCopy)!, log.get(1, zeroCopy)!]
  t.is(one.buffer === two.buffer && one.buffer.byteLength > 100_000, lends)
  if (lends) t.false(log.get(0)!.buffer === one.buffer)
})

test('views stay what they are after truncation, retention and close, and when their files are gone', async (t) => {
  const dir = freshDir(t)
  const log = closedAfter(t, Wal.openSync(dir, { segmentSize: 1 << 18, retention: { maxSegments: 1 } }))
  for (let i = 0; i < 1000; i++) log.append(text(i))
  await log.sync()
  const held = Array.from(log.records(zeroCopy), ({ data }) => data)
  const check = (what: string): void => held.forEach((data, i) => data.toString() === text(i) || t.fail(`${what}: ${i}`))
  check('at once')
  log.truncateAfter(700)
  for (let i = 0; i < 500; i++) log.append(`other ${i}`.padEnd(200))
  await log.sync()
  check('after truncateAfter')
  log.rotate()
  await log.enforceRetention()
  check('after retention')
  log.truncateBefore(log.nextIndex)
  log.reset(0)
  for (let i = 0; i < 500; i++) log.append(`third ${i}`.padEnd(200))
  await log.sync()
  check('after reset')
  await log.close()
  check('after close')
  rmSync(dir, { recursive: true })
  check('after rm')
  const again = closedAfter(t, Wal.openSync(dir))
  again.append('x')
  check('after all')
  t.is(held.length, 1000)
})

test('a view blocks no truncation, and holds its segment visibly', async (t) => {
  const log = await filled(t)
  const view = log.get(0, zeroCopy)!
  const [first] = log.segments()
  t.is(first!.references, lends ? 1 : 0)
  log.truncateAfter(-1)
  t.is(log.nextIndex, 0)
  await log.sync()
  t.is(log.segments()[0]!.pendingDeletion, lends)
  t.is(view.toString(), text(0))
})

test('writing to a view changes no file and no checksum, and nothing that is read later without zeroCopy', async (t) => {
  const log = await filled(t)
  const before = contents(log.dir)
  const views = Array.from(log.records(zeroCopy), ({ data }) => data)
  for (const view of views) view.fill(0x58)
  log.get(7, zeroCopy)!.fill(0x59)
  for (let i = 0; i < 2000; i++) if (log.get(i)?.toString() !== text(i)) t.fail(`get(${i})`)
  t.is((await log.getAsync(5))!.toString(), text(5))
  let next = 0
  for (const { data } of log.records()) if (data.toString() !== text(next++)) t.fail(`records: ${next}`)
  for await (const { index, data } of log.recordsAsync()) if (data.toString() !== text(index)) t.fail(`recordsAsync: ${index}`)
  using reader = log.reader()
  while (reader.advance()) if (reader.data().toString() !== text(reader.index)) t.fail(`reader: ${reader.index}`)
  // A second pass with zeroCopy verifies the file, not what was written over the view: it does not fail.
  t.is([...log.records(zeroCopy)].length, 2000)
  t.is(log.get(3, zeroCopy)!.length, text(3).length)
  await log.sync()
  t.deepEqual(contents(log.dir), before)
  const report = await Wal.check(log.dir)
  t.true(report.ok)
  t.deepEqual(report.damage, [])
  await log.close()
  const again = closedAfter(t, Wal.openSync(log.dir, { verify: true }))
  t.is(again.get(3)?.toString(), text(3))
})

test('writing to a view of one thread is not seen in another', async (t) => {
  const log = await filled(t)
  const other = thread(t)
  const read = 'return state.log.get(3, args).toString()'
  await other.run('state.log = Wal.openSync(args); state.view = state.log.get(3, { zeroCopy: true })', log.dir)
  log.get(3, zeroCopy)!.fill(0x58)
  t.is(await other.run(read, zeroCopy), text(3))
  t.is(await other.run('return state.view.toString()'), text(3))
  await other.run('state.view.fill(0x59)')
  t.is(await other.run(read, {}), text(3))
  t.is(log.get(3)!.toString(), text(3))
})

test('appends go on into a segment that is being viewed and written to', async (t) => {
  const log = freshWal(t, { segmentSize: 1 << 20 })
  const views: Buffer[] = []
  for (let i = 0; i < 3000; i++) {
    log.append(text(i))
    if (i % 50 === 49) {
      await log.sync()
      const view = log.get(i - 40, zeroCopy)!
      if (view.toString() !== text(i - 40)) t.fail(`${i - 40}`)
      view.fill(0x58)
      views.push(view)
    }
  }
  let next = 0
  for (const { data } of log.records()) if (data.toString() !== text(next++)) t.fail(`${next - 1}`)
  t.is(next, 3000)
  t.true(views.every((view) => view.every((byte) => byte === 0x58)))
})

test('what a view lies in cannot be transferred away: it is a DataCloneError, or a copy, and the view stays', async (t) => {
  const log = await filled(t)
  const view = log.get(0, zeroCopy)!
  const neighbour = log.get(1, zeroCopy)!
  const { port1, port2 } = new MessageChannel()
  const ways: [string, () => unknown][] = [
    ['structuredClone', () => structuredClone(view, { transfer: [view.buffer] })],
    ['postMessage', () => port1.postMessage(view, [view.buffer])],
    ['of the buffer', () => structuredClone(view.buffer, { transfer: [view.buffer] })],
  ]
  for (const [name, way] of ways) {
    try {
      way()
      // Older versions of Node copy what they were asked to leave where it is.
      t.true(view.byteLength > 0, name)
    } catch (error) {
      t.is((error as Error).name, 'DataCloneError', name)
    }
    t.is(view.toString(), text(0), name)
    t.is(neighbour.toString(), text(1), name)
  }
  port1.close()
  port2.close()
})

test('sent to another thread, a view arrives as a copy', async (t) => {
  const log = await filled(t)
  const view = log.get(0, zeroCopy)!
  const other = thread(t)
  const came = await other.run<string>('const text = Buffer.from(args).toString(); args.fill(0x58); return text', view)
  t.is(came, text(0))
  t.is(view.toString(), text(0))
})

test('records that truncation or an overtaking has to do with: zeroCopy readers are told like all others', async (t) => {
  const log = await filled(t)
  using reader = log.reader(zeroCopy)
  const records = log.records(zeroCopy)
  for (let i = 0; i < 5; i++) {
    reader.advance()
    records.next()
  }
  t.throws(() => log.truncateAfter(3), { code: 'VARVE_BUSY' })
  log.truncateAfter(5)
  log.append('other')
  t.true(reader.advance())
  t.is(reader.data().toString(), text(5))
  t.true(reader.advance())
  t.is(reader.data().toString(), 'other')
  t.false(reader.advance())
  t.is(records.next().value.data.toString(), text(5))
  log.truncateBefore(7)
  t.throws(() => records.next(), { code: 'VARVE_OUT_OF_RANGE' })
  t.false(reader.advance())
})

test('behind the commit gate nothing is seen with zeroCopy, either; get is not held', async (t) => {
  const log = closedAfter(t, Wal.openSync(freshDir(t), { commitGate: true }))
  for (let i = 0; i < 200; i++) log.append(text(i))
  await log.sync()
  log.commit(9)
  t.is([...log.records(zeroCopy)].length, 10)
  t.is(log.get(50, zeroCopy)?.toString(), text(50))
})

test('a codec decodes views as it decodes bytes', async (t) => {
  const log = closedAfter(t, Wal.openSync(freshDir(t), { codec: codecs.json<{ n: number; text: string }>() }))
  for (let i = 0; i < 500; i++) log.append({ n: i, text: text(i) })
  await log.sync()
  t.deepEqual(log.get(3, zeroCopy), { n: 3, text: text(3) })
  let next = 0
  for (const { data } of log.records(zeroCopy)) t.is(data.n, next++)
  t.is(next, 500)
})

test('records of all sizes: empty ones, and those over many pages', async (t) => {
  const log = freshWal(t, { segmentSize: 16 << 20 })
  const sizes = [0, 1, PAGE - 1, PAGE, PAGE + 1, 70_000, 0, 1_000_000, 5]
  for (const size of sizes) log.append(Buffer.alloc(size, size % 251))
  log.append(Buffer.alloc(20_000))
  await log.sync()
  const seen = Array.from(log.records(zeroCopy), ({ data }) => data)
  sizes.forEach((size, i) => {
    t.true(seen[i]!.equals(Buffer.alloc(size, size % 251)), String(size))
    t.true(log.get(i, zeroCopy)!.equals(Buffer.alloc(size, size % 251)), String(size))
  })
})

test('a view outlives its iterator, its reader, its handle and the garbage collector, and its memory goes with it', async (t) => {
  const ended = await run('views', [freshDir(t)], { env: { ...process.env, NODE_OPTIONS: '' } })
  t.is(ended.code, 0, ended.stderr)
  const said = JSON.parse(ended.stdout) as { intact: boolean; held: number; left: number; gone: boolean }
  t.true(said.intact)
  t.is(said.held > 0, lends)
  t.is(said.left, 0)
  t.true(said.gone)
})

test('VARVE_NO_EXTERNAL=1 forces copies, of the same contents', async (t) => {
  const dir = freshDir(t)
  const log = closedAfter(t, Wal.openSync(dir, { segmentSize: 1 << 18 }))
  for (let i = 0; i < 2000; i++) log.append(text(i))
  await log.close()
  const said: unknown[] = []
  for (const value of ['1', '0']) {
    const ended = await run('copies', [dir], { env: { ...process.env, VARVE_NO_EXTERNAL: value } })
    t.is(ended.code, 0, ended.stderr)
    said.push(JSON.parse(ended.stdout))
  }
  const [copied, lent] = said as { digest: string; references: number; shared: boolean }[]
  t.is(copied!.digest, lent!.digest)
  t.deepEqual({ references: copied!.references, shared: copied!.shared }, { references: 0, shared: false })
  t.true(lent!.references > 0)
  t.true(lent!.shared)
})

test('a file that others cut under a view ends no process, and what is read through varve then is an error or right', async (t) => {
  const dir = freshDir(t)
  const log = closedAfter(t, Wal.openSync(dir, { segmentSize: 1 << 18 }))
  for (let i = 0; i < 2000; i++) log.append(text(i))
  await log.sync()
  await log.close()
  for (const length of [0, 5000, 100_000]) {
    const copy = join(freshDir(t), 'copy')
    mkdirSync(copy)
    for (const name of readdirSync(dir)) copyFileSync(join(dir, name), join(copy, name))
    const cut = await run('cut-file', [copy, length])
    t.is(cut.signal, null, cut.stderr)
    t.is(cut.code, 0, cut.stderr)
    t.is(cut.stdout, 'alive\n')
  }
})

test('damage in a file is found through zeroCopy, too: VARVE_CORRUPT, and not a view of it', async (t) => {
  const dir = freshDir(t)
  const made = Wal.openSync(dir, { segmentSize: 1 << 18 })
  for (let i = 0; i < 3000; i++) made.append(text(i))
  const { path } = made.segments()[0]!
  const { offset } = made.positionOf(5)!
  await made.close()
  const file = openSync(path, 'r+')
  writeSync(file, Buffer.from('!'), 0, 1, offset + 100)
  closeSync(file)
  const log = closedAfter(t, Wal.openSync(dir))
  t.throws(() => log.get(5, zeroCopy), { code: 'VARVE_CORRUPT' })
  t.is(log.get(4, zeroCopy)?.toString(), text(4))
  const seen: number[] = []
  t.throws(() => {
    for (const { index } of log.records(zeroCopy)) seen.push(index)
  }, { code: 'VARVE_CORRUPT' })
  t.deepEqual(seen, [0, 1, 2, 3, 4])
})

test('views that nobody holds any more let go of their segments', async (t) => {
  const log = await filled(t)
  // Held by nobody after this: whether the collector runs in this process is its own matter, so that only closing is promised.
  for (const _ of log.records(zeroCopy)) { /* nothing is kept */ }
  await setImmediate()
  await log.close()
  const again = closedAfter(t, Wal.openSync(log.dir))
  again.truncateBefore(2000)
  await again.sync()
  t.true(await soon(() => again.segments().every(({ pendingDeletion }) => !pendingDeletion)))
})
