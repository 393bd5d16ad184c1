// What klevdb's recovery has been seen to do wrong, row by row of docs/parity/klevdb.md, each done here once more, and shown to be right.
import { copyFileSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { Log, type VarveError } from 'varve'
import { crashed, edit, flip } from '../support/damage.ts'
import { closedAfter, freshDir, segments } from '../support/directory.ts'
import { derived, fill, goesOn, has, indexed, messageAt, offsetsOf, range } from './held.ts'

const open = (t: ExecutionContext, dir: string): Log => closedAfter(t, Log.openSync(dir, indexed))

/** Hands all that is appended to the system. */
const flush = async (log: Log): Promise<unknown> => log.appendAsync(messageAt(log.nextOffset).value, messageAt(log.nextOffset).key, { time: log.nextOffset, durability: 'os' })

/** A log whose last entry was not synced, and for each of `lefts` a copy of which only so many bytes of that entry are left. */
async function tears(t: ExecutionContext, lefts: (length: number) => number[], look: (copy: string, left: number) => Promise<void>): Promise<void> {
  for (const batch of [1, 40]) {
    const log = open(t, freshDir(t))
    fill(log, 100)
    await log.sync()
    const from = log.segments().at(-1)!.bytes
    if (batch === 1) await flush(log)
    else await log.appendBatchAsync(range(100, 100 + batch).map(messageAt), { durability: 'os' })
    const to = log.segments().at(-1)!.bytes
    for (const left of lefts(to - from)) {
      const copy = crashed(t, log.dir)
      edit(segments(copy).at(-1)!, (bytes) => void bytes.fill(0, from + left))
      await look(copy, left)
    }
  }
}

test('defect B3.1: killed between the write of messages and that of their index, no offset is given twice, and every message is found', async (t) => {
  const log = open(t, freshDir(t))
  fill(log, 2000)
  await log.sync()
  const early = derived(log.dir)
  t.true(early.size > 0)
  fill(log, 1500, 50)
  await flush(log)
  const late = derived(log.dir)
  const leave: Record<string, (name: string, bytes: Buffer) => Buffer | undefined> = {
    'as they are': (_, bytes) => bytes,
    'none': () => undefined,
    'the early ones': (name) => early.get(name),
    'cut ones': (_, bytes) => bytes.subarray(0, bytes.length - 8),
    'zeros': (_, bytes) => Buffer.alloc(bytes.length),
  }
  for (const [what, left] of Object.entries(leave)) {
    const copy = crashed(t, log.dir)
    for (const [name, bytes] of late) {
      const put = left(name, bytes)
      rmSync(join(copy, name), { force: true })
      if (put !== undefined) writeFileSync(join(copy, name), put)
    }
    await goesOn(t, copy, range(0, 3501), 3501, what)
  }
})

test('defect B3.2: a torn message at the tail is cut by the open, and what is appended behind it is read by every way', async (t) => {
  await tears(t, (length) => [28, 40, 64, length - 8, length - 24].filter((left) => left < length), async (copy, left) => {
    t.like(await Log.check(copy), { ok: true }, `${left}`)
    const log = closedAfter(t, Log.openSync(copy))
    t.is(log.stats().recovery.torn.length, 1, `${left}`)
    await log.close()
    t.is(readdirSync(copy).filter((name) => name.endsWith('.torn')).length, 1)
    const all = await goesOn(t, copy, range(0, 100), 100, `${left}`)
    // Nothing of what was acknowledged is dropped by a repair.
    t.like(await Log.recover(copy), { ok: true, setAside: [] })
    await goesOn(t, copy, all, all.length, `${left}`)
  })
})

test('defect B3.3: the same of less than 28 bytes: a part of a header is noticed, told and cut too', async (t) => {
  await tears(t, () => range(1, 28), async (copy, left) => {
    const { ok, damage } = await Log.check(copy)
    t.true(ok, `${left}`)
    if (left >= 8) t.deepEqual(damage.map(({ reason }) => reason), ['torn tail'], `${left}`)
    // By a repair without an open, and by an open without a repair.
    if (left % 2 === 0) t.like(await Log.recover(copy), { ok: true }, `${left}`)
    await goesOn(t, copy, range(0, 100), 100, `${left}`)
  })
})

test('defect B3.4: a segment whose begin is torn is no reason not to open: whatever a power loss leaves of it, all that was durable is there', async (t) => {
  const log = open(t, freshDir(t))
  fill(log, 300)
  await log.sync()
  while (log.segments().length < 2) fill(log, 1)
  fill(log, 20)
  await flush(log)
  const first = log.segments()[0]!.nextIndex
  const all = log.nextOffset
  const zero = (from: number, to: number) => (path: string) => edit(path, (bytes) => void bytes.fill(0, from, Math.min(to, bytes.length)))
  const losses: Record<string, (path: string) => void> = {
    'all of it': zero(0, 1 << 20),
    'its first page': zero(0, 4096),
    'both its headers': zero(0, 1024),
    'all but 8 bytes of its header': zero(8, 1 << 20),
    'all but its headers': zero(1024, 1 << 20),
    'its length': (path) => truncateSync(path, 0),
    'a part of its length': (path) => truncateSync(path, 8),
    'its name': (path) => rmSync(path),
  }
  for (const [what, lose] of Object.entries(losses)) {
    for (const repair of [false, true]) {
      const copy = crashed(t, log.dir)
      lose(segments(copy)[1]!)
      t.true((await Log.check(copy)).ok, what)
      if (repair) t.true((await Log.recover(copy)).ok, what)
      await goesOn(t, copy, range(0, first), first, what)
    }
  }
  t.true(all > first)
  // A header is there twice: one that is lost costs nothing.
  const scratched = crashed(t, log.dir)
  zero(0, 512)(segments(scratched)[1]!)
  await goesOn(t, scratched, range(0, all), all)
})

test('defect B3.5: what a repair that died has left behind is never added to', async (t) => {
  const log = open(t, freshDir(t))
  fill(log, 3000)
  await log.close()
  const { dir } = log
  const whole = segments(dir)
  flip(whole[1]!, messageAt(1000).value.trim())
  const kept = range(0, 1000)
  // Of every name that ours have: bytes of segments, and rubbish.
  copyFileSync(whole[0]!, join(dir, 'next-00000000deadbeef.tmp'))
  writeFileSync(join(dir, 'next-00000000deadbeee.tmp'), 'rubbish')
  copyFileSync(whole[2]!, join(dir, '0000000000000002-0000000000000000.lost'))
  copyFileSync(whole[0]!, join(dir, '0000000000000003-0000000000000000.torn'))
  for (const name of ['0000000000000001.seg.recover', '00000000000000000000.log.recover', 'x.seg']) copyFileSync(whole[0]!, join(dir, name))
  // One that is called off, and one that is not.
  await t.throwsAsync(Log.recover(dir, { signal: AbortSignal.abort() }), { name: 'AbortError' })
  const control = new AbortController()
  const begun = Log.recover(dir, { signal: control.signal })
  control.abort()
  await begun.catch((error: Error) => t.is(error.name, 'AbortError'))
  await Log.recover(dir)
  t.like(await Log.recover(dir), { ok: true, setAside: [] })
  const left = closedAfter(t, Log.openSync(dir))
  has(t, left, kept)
  const { nextOffset } = left
  t.true(nextOffset >= 3000)
  await left.close()
  await goesOn(t, dir, kept, nextOffset)
  t.deepEqual(readdirSync(dir).filter((name) => name.endsWith('.tmp')), [])
})

test('defect B3.6: a bit that flips in an older segment is looked for in all of them, told at the read, and hides no other message', async (t) => {
  const log = open(t, freshDir(t))
  fill(log, 3000)
  await log.close()
  const { dir } = log
  const path = segments(dir)[1]!
  flip(path, messageAt(1000).value.trim())
  const report = await Log.check(dir)
  t.false(report.ok)
  t.is(report.damage[0]!.path, path)
  t.throws(() => Log.openSync(dir, { verify: true }), { code: 'VARVE_CORRUPT' })
  const others = range(0, 3000).filter((offset) => offset !== 1000)
  const plain = closedAfter(t, Log.openSync(dir))
  const where = { code: 'VARVE_CORRUPT' }
  const error = t.throws(() => plain.get(1000), where) as VarveError
  t.is(error.path, path)
  t.is(error.position, report.damage[0]!.position)
  t.throws(() => [...plain.messages()], where)
  t.throws(() => plain.consume(1000), where)
  for (const offset of others) t.is(plain.get(offset)!.value!.toString(), messageAt(offset).value)
  t.deepEqual(offsetsOf(t, plain.messages({ from: 1001 })), range(1001, 3000))
  await plain.close()
  const skipping = closedAfter(t, Log.openSync(dir, { verify: true, onDamage: 'skip' }))
  t.deepEqual(offsetsOf(t, skipping.messages()), others)
  t.is(skipping.get(1000), undefined)
  t.is(skipping.stats().recovery.gaps.length, 1)
  await skipping.close()
  const to = join(freshDir(t), 'copy')
  await Log.salvage(dir, to)
  t.deepEqual(offsetsOf(t, closedAfter(t, Log.openSync(to)).messages()), others)
})

test('defect B3.7: a crash at any place of a delete brings no message back that was gone, and takes none that was not meant', async (t) => {
  const log = open(t, freshDir(t))
  fill(log, 3000)
  await log.sync()
  const meant = new Set(range(0, 3000).filter((offset) => offset % 3 !== 1 || offset < 50))
  const stay = range(0, 3000).filter((offset) => !meant.has(offset))
  const copies = [crashed(t, log.dir)]
  const old = segments(log.dir).map((path) => readFileSync(path))
  await log.delete(meant, { pause: async () => void copies.push(crashed(t, log.dir)) })
  copies.push(crashed(t, log.dir))
  t.true(copies.length > 4)
  let before = range(0, 3000)
  for (const [at, copy] of copies.entries()) {
    // The temporary file of the step that the crash came into.
    writeFileSync(join(copy, 'next-00000000deadbeef.tmp'), old[at % old.length]!)
    const again = closedAfter(t, Log.openSync(copy))
    const offsets = offsetsOf(t, again.messages())
    await again.close()
    const held = new Set(offsets)
    t.true(stay.every((offset) => held.has(offset)), `copy ${at}`)
    t.deepEqual(offsets.filter((offset) => !before.includes(offset)), [], `copy ${at}`)
    before = offsets
    await goesOn(t, copy, offsets, 3000, `copy ${at}`)
  }
  t.deepEqual(before, stay)
})

test('defect B3.8: an index that tells of more than there is, as a power loss may leave it, is not believed', async (t) => {
  const log = open(t, freshDir(t))
  fill(log, 1500)
  await log.sync()
  const early = crashed(t, log.dir)
  fill(log, 2000)
  await log.sync()
  await log.close()
  t.true(derived(log.dir).size > derived(early).size)
  for (const [name, bytes] of derived(log.dir)) writeFileSync(join(early, name), bytes)
  await goesOn(t, early, range(0, 1500), 1500)
})
