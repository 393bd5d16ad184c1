import { mkdirSync, readdirSync, statSync, symlinkSync } from 'node:fs'
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { Wal } from 'varve'
import { program, run, runCommand } from '../support/child.ts'
import { closedAfter, freshDir, freshWal, segments, texts } from '../support/directory.ts'

test('close may be called twice, in any mixture', async (t) => {
  const log = freshWal(t)
  log.append('x')
  const [first, second] = [log.close(), log.close()]
  t.is(await first, undefined)
  t.is(await second, undefined)
  t.is(log.closeSync(), undefined)
  t.is(await log.close(), undefined)
  const other = freshWal(t)
  other.closeSync()
  other.closeSync()
  await other.close()
  other[Symbol.dispose]()
  await other[Symbol.asyncDispose]()
})

test('after close every call is VARVE_CLOSED; dir remains', async (t) => {
  const log = freshWal(t)
  log.append('x')
  await log.close()
  const closed = { code: 'VARVE_CLOSED' }
  const calls: (() => unknown)[] = [
    () => log.append('x'), () => log.appendBatch(['x']), () => log.appendBatch([]), () => log.appendPacked(Buffer.from('x'), Uint32Array.of(1)), () => log.get(0), () => log.records(), () => log.reader(),
    () => log.syncSync(), () => log.rotate(), () => log.stats(), () => log.firstIndex, () => log.nextIndex, () => log.durableIndex,
  ]
  for (const call of calls) t.throws(call, closed, String(call))
  const promises = [() => log.appendAsync('x'), () => log.appendBatchAsync(['x']), () => log.appendPackedAsync(Buffer.from('x'), Uint32Array.of(1)), () => log.getAsync(0), () => log.sync()]
  for (const call of promises) await t.throwsAsync(call(), closed, String(call))
  t.is(typeof log.dir, 'string')
})

test('a closed handle emits no error', async (t) => {
  const log = freshWal(t)
  log.on('error', (error) => t.fail(error.message))
  log.append('x')
  const closed = log.close()
  await t.throwsAsync(log.sync(), { code: 'VARVE_CLOSED' })
  await closed
  await new Promise((resolve) => setTimeout(resolve, 20))
  t.pass()
})

test('using and await using close it', async (t) => {
  const dir = freshDir(t)
  let outer: Wal
  {
    using log = Wal.openSync(dir)
    log.append('x')
    outer = log
  }
  t.throws(() => outer.nextIndex, { code: 'VARVE_CLOSED' })
  {
    await using log = await Wal.open(dir)
    t.is(log.nextIndex, 1)
    outer = log
  }
  t.throws(() => outer.nextIndex, { code: 'VARVE_CLOSED' })
})

test('dir is absolute, and missing parents are made', (t) => {
  const dir = `${freshDir(t)}/a/b/c`
  const log = closedAfter(t, Wal.openSync(relative(process.cwd(), dir)))
  t.is(log.dir, dir)
  t.is(statSync(dir).mode & 0o077, 0)
})

test('opening an open directory again shares it, by whatever path', (t) => {
  const dir = freshDir(t)
  mkdirSync(`${dir}/real`)
  symlinkSync(`${dir}/real`, `${dir}/link`)
  const one = closedAfter(t, Wal.openSync(`${dir}/real`))
  const two = closedAfter(t, Wal.openSync(`${dir}/link`))
  t.is(one.append('a'), 0)
  t.is(two.append('b'), 1)
  t.deepEqual(texts(one), ['a', 'b'])
  one.closeSync()
  t.is(two.append('c'), 2)
  t.deepEqual(texts(two), ['a', 'b', 'c'])
})

test('an option that differs from the core’s is refused, naming both values; one not given takes the core’s', (t) => {
  const dir = freshDir(t)
  closedAfter(t, Wal.openSync(dir, { segmentSize: 131_072 }))
  const error = t.throws(() => Wal.openSync(dir, { segmentSize: 65_536 }), { code: 'VARVE_INVALID_ARGUMENT' })
  t.regex(error!.message, /65536/)
  t.regex(error!.message, /131072/)
  closedAfter(t, Wal.openSync(dir))
  closedAfter(t, Wal.openSync(dir, { segmentSize: 131_072 }))
  t.pass()
})

test('many cycles of open, append one, close make one small segment', async (t) => {
  const dir = freshDir(t)
  for (let i = 0; i < 300; i++) {
    const log = i % 2 === 0 ? Wal.openSync(dir) : await Wal.open(dir)
    t.is(log.append(`${i}`), i)
    if (i % 3 === 0) log.closeSync()
    else await log.close()
  }
  t.is(segments(dir).length, 1)
  const log = closedAfter(t, Wal.openSync(dir))
  t.is(texts(log).join(), Array.from({ length: 300 }, (_, i) => `${i}`).join())
})

test('close gives back what was prepared ahead, and the unused tails of sealed segments', async (t) => {
  const dir = freshDir(t)
  const log = Wal.openSync(dir, { segmentSize: 4 << 20 })
  for (let i = 0; i < 6; i++) {
    log.append('x')
    log.rotate()
  }
  log.append('x')
  await log.close()
  t.deepEqual(readdirSync(dir).filter((name) => name.endsWith('.tmp')), [])
  const onDisk = segments(dir).map((path) => statSync(path).blocks * 512)
  t.is(onDisk.length, 7)
  for (const bytes of onDisk.slice(0, -1)) t.true(bytes <= 16_384, onDisk.join())
})

test('an idle engine keeps no process alive; a pending promise does', async (t) => {
  const idle = await run('idle', [freshDir(t)])
  t.is(idle.code, 0, idle.stderr)
  t.is(idle.stdout, 'idle\n')
  const pending = await run('pending', [freshDir(t)])
  t.is(pending.code, 0, pending.stderr)
  t.is(pending.stdout, 'durable 0\n')
})

test('a log that is forgotten settles its promises, is collected, and lets go of its lock', async (t) => {
  const end = await runCommand(process.execPath, ['--expose-gc', fileURLToPath(program('forgotten')), freshDir(t)])
  t.is(end.code, 0, end.stderr)
  t.deepEqual(JSON.parse(end.stdout), { index: 1, free: true })
})
