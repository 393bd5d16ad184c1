import { setImmediate, setTimeout } from 'node:timers/promises'
import test from 'ava'
import { type Durability, Wal } from 'varve'
import { closedAfter, freshDir, freshWal } from '../support/directory.ts'

test('buffered: nothing is synced until it is asked for', async (t) => {
  const log = freshWal(t)
  for (let i = 0; i < 100; i++) log.append('x')
  await setImmediate()
  t.true(log.durableIndex < 100)
  t.is(await log.sync(), 100)
  t.is(log.durableIndex, 100)
})

test('buffered: what was appended is with the system at the end of the turn', async (t) => {
  const log = freshWal(t)
  log.append('x')
  t.true(log.stats().pendingBytes > 0)
  await setImmediate()
  await setImmediate()
  t.is(log.stats().pendingBytes, 0)
})

test('buffered: no more than a group buffer gathers in one turn', (t) => {
  const log = freshWal(t)
  for (let i = 0; i < 20_000; i++) log.append(Buffer.alloc(138))
  t.true(log.stats().pendingBytes <= 256 * 1024)
})

test('os: the system has it when the call returns', (t) => {
  const log = freshWal(t, { durability: 'os' })
  log.append('x')
  t.is(log.stats().pendingBytes, 0)
  log.appendBatch(['y', 'z'])
  log.appendPacked(Buffer.from('a'), Uint32Array.of(1))
  t.is(log.stats().pendingBytes, 0)
  t.is(log.nextIndex, 4)
})

test('disk: it is durable when the call returns', (t) => {
  const log = freshWal(t, { durability: 'disk' })
  log.append('x')
  t.is(log.durableIndex, 1)
  log.appendBatch(['y', 'z'])
  t.is(log.durableIndex, 3)
  log.appendPacked(Buffer.from('a'), Uint32Array.of(1))
  t.is(log.durableIndex, 4)
  t.true(log.stats().syncs >= 3)
})

test('sync and syncSync return the durable index', async (t) => {
  const log = freshWal(t)
  log.append('x')
  t.is(log.syncSync(), 1)
  log.append('y')
  t.is(await log.sync(), 2)
  t.is(await log.sync(), 2)
})

const soon = async (done: () => boolean): Promise<boolean> => {
  for (let i = 0; i < 500 && !done(); i++) await setTimeout(10)
  return done()
}

const background: Record<string, Durability> = {
  'after each turn': { syncEveryTurn: true },
  'after some milliseconds': { syncEveryMs: 5 },
  'after some bytes': { syncEveryBytes: 100 },
}
for (const [when, durability] of Object.entries(background)) {
  test(`in the background it is synced ${when}`, async (t) => {
    const log = freshWal(t, { durability })
    log.append('x'.repeat(60))
    log.append(Buffer.alloc(60))
    t.true(await soon(() => log.durableIndex === 2))
    await setTimeout(20)
    log.appendBatch(['y'.repeat(60), 'é'.repeat(30)])
    t.true(await soon(() => log.durableIndex === 4))
  })
}

test('durability belongs to the handle: two on one log differ', async (t) => {
  const dir = freshDir(t)
  const slow = closedAfter(t, Wal.openSync(dir, { durability: 'disk' }))
  const fast = closedAfter(t, Wal.openSync(dir))
  fast.append('a')
  t.is(slow.durableIndex, 0)
  slow.append('b')
  t.is(fast.durableIndex, 2)
})

test('close syncs at every level', async (t) => {
  const dir = freshDir(t)
  const log = Wal.openSync(dir)
  const other = closedAfter(t, Wal.openSync(dir))
  log.append('x')
  await log.close()
  t.is(other.durableIndex, 1)
})
