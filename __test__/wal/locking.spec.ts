import { once } from 'node:events'
import test from 'ava'
import { type VarveError, Wal } from 'varve'
import { firstLine, start } from '../support/child.ts'
import { closedAfter, contents, freshDir, texts } from '../support/directory.ts'
import { instanceOf } from '../support/errors.ts'

test('a second process is refused, with the pid of the first, and changes nothing', async (t) => {
  const dir = freshDir(t)
  const holder = start('holder', [dir])
  t.is(await firstLine(holder), 'open')
  const before = contents(dir)
  for (const open of [async () => Wal.openSync(dir), () => Wal.open(dir), () => Wal.open(dir, { lockTimeout: 30 })]) {
    const error = (await t.throwsAsync(open, { instanceOf, code: 'VARVE_LOCKED' })) as VarveError
    t.is(error.pid, holder.pid)
    t.true(error.message.includes(String(holder.pid)), error.message)
    t.is(error.path?.startsWith(dir), true)
  }
  t.deepEqual(contents(dir), before)
  holder.stdin!.end()
  await once(holder, 'exit')
  const log = closedAfter(t, Wal.openSync(dir))
  t.deepEqual(texts(log), ['of the holder'])
})

test('lockTimeout waits for it', async (t) => {
  const dir = freshDir(t)
  const holder = start('holder', [dir, 300])
  await firstLine(holder)
  const log = closedAfter(t, await Wal.open(dir, { lockTimeout: 20_000 }))
  t.is(log.append('next'), 1)
})

test('while open waits for a lock the event loop turns, and a signal ends the wait', async (t) => {
  const dir = freshDir(t)
  const holder = start('holder', [dir])
  await firstLine(holder)
  const begun = Date.now()
  await t.throwsAsync(Wal.open(dir, { lockTimeout: 30_000, signal: AbortSignal.timeout(50) }), { name: 'AbortError' })
  t.true(Date.now() - begun < 10_000)
  holder.kill('SIGKILL')
  await once(holder, 'exit')
})

test('a killed holder leaves no lock', async (t) => {
  const dir = freshDir(t)
  const holder = start('holder', [dir])
  await firstLine(holder)
  holder.kill('SIGKILL')
  await once(holder, 'exit')
  const log = closedAfter(t, Wal.openSync(dir))
  t.deepEqual(texts(log), ['of the holder'])
})

test('check and stat work beside a writer in another process', async (t) => {
  const dir = freshDir(t)
  const holder = start('holder', [dir])
  await firstLine(holder)
  t.like(await Wal.check(dir), { ok: true, entries: 1, damage: [] })
  t.like(await Wal.stat(dir), { entries: 1, firstIndex: 0, nextIndex: 1 })
  holder.stdin!.end()
  await once(holder, 'exit')
})
