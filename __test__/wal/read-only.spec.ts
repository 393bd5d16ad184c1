import { chmodSync, chownSync, lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { codecs, Wal } from 'varve'
import { run } from '../support/child.ts'
import { closedAfter, freshDir, segments, texts } from '../support/directory.ts'
import { flipByte, isRoot, Remote, succeeds, take, textOf } from '../support/following.ts'

/** Everything that can be seen of a directory without changing it. */
function seen(dir: string): unknown[] {
  const { mtimeMs, ctimeMs } = lstatSync(dir)
  const files = readdirSync(dir).sort().map((name) => {
    const { size, blocks, mtimeMs, ctimeMs, ino } = lstatSync(join(dir, name))
    return [name, size, blocks, mtimeMs, ctimeMs, ino, readFileSync(join(dir, name)).toString('base64')]
  })
  return [mtimeMs, ctimeMs, files]
}

/** A closed log of several segments. */
function made(t: ExecutionContext, count = 1500): string {
  const dir = freshDir(t)
  const log = Wal.openSync(dir, { segmentSize: 65_536 })
  for (let i = 0; i < count; i++) log.append(`record ${i}`.padEnd(i % 200))
  log.commit(count - 1)
  log.closeSync()
  return dir
}

async function useAll(log: Wal): Promise<void> {
  for (const _ of log.records()) continue
  for await (const _ of log.recordsAsync()) continue
  await take(log.tail(), log.nextIndex - log.firstIndex)
  using reader = log.reader()
  while (reader.advance()) reader.data()
  log.get(log.firstIndex, { zeroCopy: true })
  await log.getAsync(log.firstIndex)
  log.segments()
  log.stats()
  log.positionOf(log.firstIndex)
  log.pin(log.segments()[0]!.id)[Symbol.dispose]()
  await log.waitFor(log.nextIndex - 1)
}

test('everything is read, and nothing is written: names, bytes, sizes and times stay as they are', async (t) => {
  const dir = made(t)
  const before = seen(dir)
  for (const open of [() => Wal.open(dir, { readOnly: true }), async () => Wal.openSync(dir, { readOnly: true, verify: true })]) {
    const log = await open()
    t.is(log.nextIndex, 1500)
    t.is(log.committedIndex, 1499)
    t.deepEqual(texts(log).map((text) => text.trimEnd()), Array.from({ length: 1500 }, (_, i) => `record ${i}`))
    await useAll(log)
    await log.close()
  }
  t.deepEqual(seen(dir), before)
})

test('every method that writes is VARVE_READONLY, and changes nothing', async (t) => {
  const dir = made(t, 10)
  const before = seen(dir)
  const check = async (log: Wal): Promise<void> => {
    const code = { code: 'VARVE_READONLY' }
    const calls: (() => unknown)[] = [
      () => log.append('x'), () => log.appendBatch(['x']), () => log.appendPacked(Buffer.from('x'), Uint32Array.of(1)), () => log.rotate(), () => log.commit(3),
      () => log.truncateAfter(3), () => log.truncateBefore(3), () => log.reset(3), () => log.syncSync(),
    ]
    for (const call of calls) t.throws(call, code, String(call))
    const promises: (() => Promise<unknown>)[] = [
      () => log.appendAsync('x'), () => log.appendBatchAsync(['x']), () => log.appendPackedAsync(Buffer.from('x'), Uint32Array.of(1)), () => log.truncateAfterAsync(3),
      () => log.truncateBeforeAsync(3), () => log.enforceRetention(), () => log.sync(),
    ]
    for (const call of promises) await t.throwsAsync(call(), code, String(call))
    t.is(log.nextIndex, 10)
  }
  const log = await Wal.open(dir, { readOnly: true })
  await check(log)
  await log.close()
  t.deepEqual(seen(dir), before)
  // Beside a writer in the same process, whose log it shares.
  const writer = closedAfter(t, Wal.openSync(dir))
  await check(closedAfter(t, Wal.openSync(dir, { readOnly: true })))
  writer.append('x')
})

test('it takes no lock: a writer in another process opens before it and after it', async (t) => {
  const dir = made(t, 10)
  const log = closedAfter(t, await Wal.open(dir, { readOnly: true }))
  const writer = new Remote(t, dir)
  await writer.call('open')
  const second = closedAfter(t, await Wal.open(dir, { readOnly: true }))
  t.is(second.nextIndex, 10)
  t.is(log.nextIndex, 10)
  await writer.call('close')
})

test('a directory that is missing, or has no log yet, is VARVE_IO, and is left as it is', async (t) => {
  const dir = freshDir(t)
  const missing = join(dir, 'missing')
  const cases = [[missing, {}], [missing, { create: true }], [dir, {}]] as const
  for (const [path, options] of cases) {
    for (const open of [() => Wal.open(path, { readOnly: true, ...options }), async () => Wal.openSync(path, { readOnly: true, ...options })]) {
      const error = await t.throwsAsync(open(), { code: 'VARVE_IO' }) as Error & { path: string; cause: { code: string } }
      t.is(error.path, path)
      t.is(error.cause.code, 'ENOENT')
    }
  }
  t.deepEqual(readdirSync(dir), [])
})

test('an empty log is followed from its first record', async (t) => {
  const dir = freshDir(t)
  const writer = new Remote(t, dir, { firstIndex: 7 })
  await writer.call('open')
  const log = closedAfter(t, await Wal.open(dir, { readOnly: true }))
  t.is(log.firstIndex, 7)
  t.is(log.nextIndex, 7)
  t.is(log.committedIndex, 6)
  const coming = take(log.tail(), 2)
  await writer.call('appendBatch', ['a', 'b'])
  t.deepEqual((await coming).map(textOf), ['7 a', '8 b'])
})

test('a codec or other options that differ are refused, naming both', async (t) => {
  const dir = freshDir(t)
  const writer = Wal.openSync(dir, { codec: codecs.utf8 })
  writer.append('é')
  const refused = (options: object): Error & { code: string } => t.throws(() => Wal.openSync(dir, { readOnly: true, ...options }), { code: 'VARVE_INVALID_ARGUMENT' }) as never
  t.regex(refused({ codec: codecs.varint }).message, /varint.*utf8|utf8.*varint/)
  writer.closeSync()
  t.regex(refused({ codec: codecs.varint }).message, /varint.*utf8|utf8.*varint/)
  t.regex(refused({}).message, /bytes.*utf8|utf8.*bytes/)
  const log = closedAfter(t, Wal.openSync(dir, { readOnly: true, codec: codecs.utf8 }))
  t.is(log.get(0), 'é')
})

test('a torn tail is passed over and left where it is, and gone on from when a writer has cut it', async (t) => {
  const dir = freshDir(t)
  const writer = new Remote(t, dir)
  await writer.call('open')
  await writer.call('fill', 100)
  await writer.call('sync')
  // Handed to the system at the end of the turn, and not synced.
  await writer.call('fill', 10)
  await writer.call('become', {})
  await writer.kill()
  const path = segments(dir).at(-1)!
  const bytes = readFileSync(path)
  let end = bytes.length
  while (bytes[end - 1] === 0) end--
  flipByte(path, end - 3)
  const before = seen(dir)
  const log = closedAfter(t, await Wal.open(dir, { readOnly: true }))
  const { nextIndex } = log
  t.true(nextIndex >= 100 && nextIndex < 110, `${nextIndex}`)
  const tail = log.tail()
  t.is((await take(tail, nextIndex)).length, nextIndex)
  t.deepEqual(seen(dir), before)
  const again = new Remote(t, dir)
  await again.call('open')
  await again.call('append', 'after')
  t.is(textOf((await take(tail, 1))[0]!), `${nextIndex} after`)
})

test('damage in what was durable refuses the open, or is passed over and told, as for a writer', async (t) => {
  const dir = made(t)
  flipByte(segments(dir)[1]!, 20_000)
  const before = seen(dir)
  const error = await t.throwsAsync(Wal.open(dir, { readOnly: true, verify: true }), { code: 'VARVE_CORRUPT' }) as Error & { path: string; position: number }
  t.is(error.path, segments(dir)[1]!)
  t.true(error.position <= 20_000)
  const log = closedAfter(t, await Wal.open(dir, { readOnly: true, onDamage: 'skip' }))
  const { gaps } = log.stats().recovery
  t.is(gaps.length, 1)
  const all = [...log.records()].map(({ index }) => index)
  t.is(all.length, 1500 - (gaps[0]!.to! - gaps[0]!.from!))
  t.is(log.get(gaps[0]!.from!), undefined)
  t.deepEqual(seen(dir), before)
})

test('a segment cut short in what was durable is damage', async (t) => {
  const dir = made(t)
  const path = segments(dir).at(-1)!
  truncateSync(path, 8192)
  await t.throwsAsync(Wal.open(dir, { readOnly: true }), { code: 'VARVE_CORRUPT' })
})

const asOther = isRoot ? test : test.skip
asOther('a directory that this user may only read is read', async (t) => {
  const dir = made(t, 100)
  const parent = freshDir(t)
  chmodSync(parent, 0o755)
  const open = join(parent, 'log')
  mkdirSync(open)
  for (const name of readdirSync(dir)) {
    writeFileSync(join(open, name), readFileSync(join(dir, name)))
    chmodSync(join(open, name), 0o444)
  }
  chownSync(open, 0, 0)
  chmodSync(open, 0o555)
  const before = seen(open)
  const end = await run('read-only', [open], { uid: 65_534, gid: 65_534 })
  t.is(end.code, 0, end.stderr)
  t.deepEqual(JSON.parse(end.stdout), { nextIndex: 100, records: 100, append: 'VARVE_READONLY', write: 'VARVE_IO' })
  t.deepEqual(seen(open), before)
})

const target = isRoot ? freshMount() : undefined
const asRoot = target === undefined ? test.skip : test
asRoot('a file system that is mounted to be read only is read', async (t) => {
  const dir = made(t, 100)
  mkdirSync(target!, { recursive: true })
  t.teardown(() => {
    succeeds('umount', target!)
    rmSync(target!, { recursive: true, force: true })
  })
  t.true(succeeds('mount', '--bind', dir, target!))
  t.true(succeeds('mount', '-o', 'remount,bind,ro', target!))
  const end = await run('read-only', [target!])
  t.is(end.code, 0, end.stderr)
  t.deepEqual(JSON.parse(end.stdout), { nextIndex: 100, records: 100, append: 'VARVE_READONLY', write: 'VARVE_IO' })
})

/** A place for a mount, where this machine lets root make one. */
function freshMount(): string | undefined {
  const place = join(tmpdir(), `varve-mount-${process.pid}`)
  mkdirSync(place)
  const works = succeeds('mount', '--bind', place, place)
  if (works) succeeds('umount', place)
  rmSync(place, { recursive: true, force: true })
  return works ? place : undefined
}
