import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { Log, type Message } from 'varve'
import { closedAfter, freshDir, lineOf, lines } from '../support/directory.ts'
import { Remote } from '../support/following.ts'

const expected = (from: number, to: number): string[] => Array.from({ length: to - from }, (_, i) => `${from + i} key ${(from + i) % 5} value ${from + i}`)

test('a follower in another process sees messages, batches, cursors and the high-water mark, and is woken', async (t) => {
  const dir = freshDir(t)
  const writer = new Remote(t, dir, { segmentSize: 65_536, commitGate: true }, 'remote-log')
  await writer.call('open')
  await writer.call('fill', 1000)
  await writer.call('fill', 1000, 100)
  // What is buffered is handed over at the end of the turn, which is behind the answer.
  await writer.call('state')
  const log = closedAfter(t, await Log.open(dir, { readOnly: true }))
  t.is(log.nextOffset, 2000)
  t.deepEqual(lines(log), expected(0, 2000))
  const messages = log.subscribe({ from: 2000 })
  const taken: string[] = []
  const next = (async () => {
    for await (const message of messages) {
      taken.push(lineOf(message as Message))
      if (taken.length === 3000) break
    }
  })()
  const blocking = log.consumeBlocking('end')
  for (let i = 0; i < 10; i++) await writer.call('fill', 300, 1 + 7 * i)
  await next
  t.deepEqual(taken, expected(2000, 5000))
  t.is((await blocking).messages[0]!.offset, 2000)
  t.is(await log.waitFor(4999), 5000)
  t.is(lineOf(log.get(4321)!), expected(4321, 4322)[0]!)
  const gated = closedAfter(t, await Log.open(dir, { readOnly: true, commitGate: true }))
  t.is(gated.highWaterMark, 0)
  const waiting = gated.consumeBlocking(0)
  await writer.call('save', 'billing', 7)
  await writer.call('advanceHighWaterMark', 12)
  await writer.call('sync')
  t.deepEqual((await waiting).messages.map(lineOf), expected(0, 12))
  t.is(gated.highWaterMark, 12)
  t.deepEqual(log.cursors(), [{ name: 'billing', offset: 7, holdRetention: false }])
})

test('a follower writes nothing: every method that would is VARVE_READONLY', async (t) => {
  const dir = freshDir(t)
  const log = await Log.open(dir)
  for (let i = 0; i < 100; i++) log.append(`value ${i}`)
  log.cursor('c')
  await log.close()
  const seen = (): string[] => readdirSync(dir).sort().map((name) => `${name} ${readFileSync(join(dir, name)).toString('base64')}`)
  const before = seen()
  const reader = closedAfter(t, await Log.open(dir, { readOnly: true }))
  const code = { code: 'VARVE_READONLY' }
  const calls: (() => unknown)[] = [
    () => reader.append('x'), () => reader.append('x', 'k', { time: 1 }), () => reader.appendBatch([{ value: 'x' }]), () => reader.advanceHighWaterMark(5), () => reader.syncSync(),
    () => reader.cursor('c').save(5), () => reader.cursor('new'), () => reader.cursor('c').delete(),
  ]
  for (const call of calls) t.throws(call, code, String(call))
  const promises: (() => Promise<unknown>)[] = [
    () => reader.appendAsync('x'), () => reader.appendBatchAsync([{ value: 'x' }]), () => reader.sync(), () => reader.cursor('c').saveAsync(5),
  ]
  for (const call of promises) await t.throwsAsync(call(), code, String(call))
  t.is(reader.cursor('c').offset, 0)
  t.is(lines(reader).length, 100)
  t.is(reader.stats().messages, 100)
  await reader.close()
  t.deepEqual(seen(), before)
})

test('a second process that would write is VARVE_LOCKED, naming the holder, unless it waits long enough', async (t) => {
  const dir = freshDir(t)
  const log = closedAfter(t, Log.openSync(dir))
  log.append('x')
  const other = new Remote(t, dir, {}, 'remote-log')
  await t.throwsAsync(other.call('open'), { code: 'VARVE_LOCKED', message: new RegExp(`${process.pid}`) })
  const opened = other.call('open', { lockTimeout: 20_000 })
  await log.close()
  await opened
  t.is(await other.call('fill', 1), 2)
})
