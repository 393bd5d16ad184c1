import test, { type ExecutionContext } from 'ava'
import { Wal, type WalOptions } from 'varve'
import { closedAfter, freshDir, segments, texts } from '../support/directory.ts'
import { flipByte, isPending, Remote, take, textOf, until } from '../support/following.ts'

const SMALL: WalOptions = { segmentSize: 65_536 }

async function writerAndFollower(t: ExecutionContext, options: WalOptions = SMALL): Promise<{ dir: string; writer: Remote; log: Wal }> {
  const dir = freshDir(t)
  const writer = new Remote(t, dir, options)
  await writer.call('open')
  return { dir, writer, log: closedAfter(t, await Wal.open(dir, { readOnly: true })) }
}

test('appends, batches and rotations of a writer in another process come one after the other', async (t) => {
  const { writer, log } = await writerAndFollower(t)
  const tail = log.tail()
  let next = 0
  for (const [count, batch, size] of [[1, 1, 20], [3, 3, 20], [700, 1, 200], [700, 70, 200], [1, 1, 60_000], [20, 20, 30_000], [5, 1, 10]] as const) {
    const coming = take(tail, count)
    await writer.call('fill', count, size, batch)
    for (const { index, data } of await coming) {
      if (index !== next || data.toString() !== `${next}:`.padEnd(size, '.')) t.fail(`${index}: ${data.toString().slice(0, 20)}, where ${next} should come`)
      next++
    }
    if (batch === 3) await writer.call('rotate')
  }
  t.is(log.nextIndex, next)
  t.true(log.segments().length > 8)
  t.deepEqual(texts(log, next - 5), Array.from({ length: 5 }, (_, i) => `${next - 5 + i}:`.padEnd(10, '.')))
})

test('get, records, reader and waitFor see what the writer has handed over', async (t) => {
  const { writer, log } = await writerAndFollower(t)
  const waiting = log.waitFor(9)
  t.true(await isPending(waiting))
  await writer.call('fill', 10)
  t.is(await waiting, 10)
  t.true(log.get(9)!.toString().startsWith('9:'))
  t.true((await log.getAsync(3))!.toString().startsWith('3:'))
  t.is([...log.records()].length, 10)
  using reader = log.reader({ from: 8 })
  t.true(reader.advance() && reader.advance())
  t.false(reader.advance())
  await writer.call('fill', 1)
  await log.waitFor(10)
  t.true(reader.advance())
  t.is(reader.index, 10)
  t.is(log.get(11), undefined)
})

test('a batch comes whole: never is the end of the log in the middle of one', async (t) => {
  const { writer, log } = await writerAndFollower(t)
  const writing = writer.call('fill', 20_000, 100, 50)
  let looks = 0
  while (log.nextIndex < 20_000) {
    const { nextIndex } = log
    if (nextIndex % 50 !== 0) t.fail(`the log ends at ${nextIndex}`)
    looks++
    await log.waitFor(nextIndex)
  }
  await writing
  t.true(looks > 1)
})

test('durableIndex, firstIndex and the commit follow a sync of the writer', async (t) => {
  const { dir, writer, log } = await writerAndFollower(t)
  const gated = closedAfter(t, await Wal.open(dir, { readOnly: true, commitGate: true }))
  const coming = take(gated.tail(), 50)
  await writer.call('fill', 100)
  await log.waitFor(99)
  t.true(await isPending(coming))
  await writer.call('commit', 49)
  await writer.call('sync')
  t.is((await coming).length, 50)
  t.is(gated.committedIndex, 49)
  t.is([...gated.records()].length, 50)
  await until(() => log.durableIndex === 100)
  await writer.call('truncateBefore', 30)
  await writer.call('sync')
  await until(() => log.firstIndex === 30)
  t.is(log.get(29), undefined)
  t.throws(() => log.records({ from: 29 }), { code: 'VARVE_OUT_OF_RANGE' })
})

test('truncateAfter and what is written instead: a tail before the cut goes on, one behind it is told', async (t) => {
  for (const waits of [true, false]) {
    const { writer, log } = await writerAndFollower(t)
    await writer.call('fill', 100)
    await log.waitFor(99)
    const [before, beyond] = [log.tail(), log.tail()]
    await take(before, 10)
    await take(beyond, 100)
    const asked = waits ? beyond.next() : undefined
    asked?.catch(() => {})
    await writer.call('truncateAfter', 19)
    for (let i = 0; i < 90; i++) await writer.call('append', `new ${20 + i}`)
    t.is(await log.waitFor(109), 110)
    await t.throwsAsync(asked ?? beyond.next(), { code: 'VARVE_OUT_OF_RANGE' })
    const rest = await take(before, 100)
    t.deepEqual(rest.slice(8, 12).map(textOf), ['18 18:.................', '19 19:.................', '20 new 20', '21 new 21'])
    t.is(log.get(20)!.toString(), 'new 20')
    t.is(log.get(99)!.toString(), 'new 99')
  }
})

test('a reset overtakes, forwards and backwards, and what follows is seen', async (t) => {
  for (const to of [0, 50, 1000]) {
    const { writer, log } = await writerAndFollower(t)
    await writer.call('fill', 100)
    await log.waitFor(99)
    const tail = log.tail()
    await take(tail, 100)
    const asked = tail.next()
    asked.catch(() => {})
    await writer.call('reset', to)
    await writer.call('append', 'after')
    await t.throwsAsync(asked, { code: 'VARVE_OUT_OF_RANGE' })
    await until(() => log.firstIndex === to && log.nextIndex === to + 1)
    t.deepEqual(texts(log), ['after'])
  }
})

test('truncateBefore and retention: who is ahead goes on, who is behind is out of range, never over a hole', async (t) => {
  const { writer, log } = await writerAndFollower(t, { ...SMALL, retention: { maxSegments: 3 } })
  await writer.call('fill', 3000, 100)
  // Retention runs behind the rotations.
  await writer.call('enforceRetention')
  await writer.call('sync')
  const { firstIndex } = await writer.call<{ firstIndex: number }>('state')
  await until(() => log.nextIndex === 3000 && log.firstIndex === firstIndex)
  const [ahead, behind] = [log.tail({ from: 'end' }), log.tail()]
  const start = (await take(behind, 5))[0]!.index
  for (let to = 3100; to <= 9000; to += 100) {
    const coming = take(ahead, 100)
    await writer.call('fill', 100, 100)
    t.deepEqual((await coming).map(({ index }) => index), Array.from({ length: 100 }, (_, i) => to - 100 + i))
  }
  await writer.call('enforceRetention')
  await writer.call('sync')
  await until(() => log.firstIndex > 3000)
  let next = start + 5
  await t.throwsAsync(async () => {
    for await (const { index } of behind) {
      if (index !== next++) t.fail(`${index}, where ${next - 1} should come`)
    }
  }, { code: 'VARVE_OUT_OF_RANGE' })
  t.is([...log.records()].length, 9000 - log.firstIndex)
})

test('a follower that sleeps while the segments it stands in are removed wakes to VARVE_OUT_OF_RANGE, and can begin afresh', async (t) => {
  const dir = freshDir(t)
  const writer = closedAfter(t, Wal.openSync(dir, { segmentSize: 65_536 }))
  for (let i = 0; i < 500; i++) writer.append(`${i}:`.padEnd(100, '.'))
  await writer.sync()
  const follower = new Remote(t, dir, { readOnly: true })
  await follower.call('open')
  await follower.call('tail')
  t.is((await follower.call<string[]>('take', 300)).length, 300)
  follower.child.kill('SIGSTOP')
  for (let i = 500; i < 5000; i++) writer.append(`${i}:`.padEnd(100, '.'))
  writer.truncateBefore(4500)
  await writer.sync()
  follower.child.kill('SIGCONT')
  await follower.call('become', { firstIndex: 4500, nextIndex: 5000 })
  await t.throwsAsync(follower.call('take', 5000), { code: 'VARVE_OUT_OF_RANGE' })
  await follower.call('tail')
  const taken = await follower.call<string[]>('take', 500)
  t.deepEqual(taken.map((text) => text.split(':')[0]), Array.from({ length: 500 }, (_, i) => `${4500 + i} ${4500 + i}`))
})

test('a writer that closes, and another that opens, make no difference', async (t) => {
  const { dir, writer, log } = await writerAndFollower(t)
  const tail = log.tail()
  for (let round = 0; round < 5; round++) {
    const coming = take(tail, 100)
    await writer.call('fill', 100, 50, 10)
    await coming
    if (round % 2 === 0) await writer.call('reopen')
    else await writer.call('close').then(() => writer.call('open'))
  }
  await writer.call('close')
  const local = new Remote(t, dir)
  await local.call('open')
  await local.call('append', 'other')
  t.is(textOf((await take(tail, 1))[0]!), '500 other')
  t.is(log.nextIndex, 501)
})

test('a writer that is killed and recovers: nothing that was seen changes, and the tail goes on', async (t) => {
  const { dir, writer, log } = await writerAndFollower(t)
  const tail = log.tail()
  let [next, last] = [0, writer]
  for (let round = 0; round < 6; round++) {
    const coming = take(tail, 50)
    void last.call('fill', 50 + round * 200, 150, 7).catch(() => {})
    next += (await coming).length
    await last.kill()
    last = new Remote(t, dir)
    await last.call('open')
    const { nextIndex } = await last.call<{ nextIndex: number }>('state')
    for (const { index, data } of await take(tail, nextIndex - next)) if (index !== next || !data.toString().startsWith(`${next++}:`)) t.fail(`${index}`)
    t.is(next, nextIndex)
  }
})

test('two followers, in one process and in another, see the same', async (t) => {
  const { dir, writer, log } = await writerAndFollower(t)
  const second = closedAfter(t, await Wal.open(dir, { readOnly: true }))
  const third = new Remote(t, dir, { readOnly: true })
  await third.call('open')
  await third.call('tail')
  const comings = [log, second].map((follower) => take(follower.tail(), 500))
  const remote = third.call<string[]>('take', 500)
  await writer.call('fill', 500, 300, 5)
  const expected = await writer.call<string[]>('texts')
  for (const coming of comings) t.deepEqual((await coming).map(textOf), expected)
  t.deepEqual(await remote, expected)
  await log.close()
  const coming = second.tail({ from: 'end' }).next()
  await writer.call('append', 'more')
  t.is(textOf((await coming).value!), '500 more')
})

test('in the process of the writer a follower sees what is still buffered, and goes on when the writer is closed', async (t) => {
  const dir = freshDir(t)
  const writer = closedAfter(t, Wal.openSync(dir))
  const log = closedAfter(t, Wal.openSync(dir, { readOnly: true }))
  const coming = log.tail().next()
  writer.append('a')
  t.is(log.nextIndex, 1)
  t.is(log.get(0)!.toString(), 'a')
  t.is(textOf((await coming).value!), '0 a')
  await writer.close()
  t.is(log.get(0)!.toString(), 'a')
  const next = log.tail({ from: 1 }).next()
  const again = closedAfter(t, Wal.openSync(dir))
  again.append('b')
  t.is(textOf((await next).value!), '1 b')
})

test('a follower of another process, whose own process then writes, goes on', async (t) => {
  const { dir, writer, log } = await writerAndFollower(t)
  await writer.call('append', 'there')
  const tail = log.tail()
  t.is(textOf((await take(tail, 1))[0]!), '0 there')
  await writer.call('close')
  const own = closedAfter(t, Wal.openSync(dir))
  own.append('here')
  t.is(textOf((await take(tail, 1))[0]!), '1 here')
  await log.close()
  own.append('still')
  t.is(own.nextIndex, 3)
})

test('a follower that closes lets go of everything; its writer goes on', async (t) => {
  const { writer, log } = await writerAndFollower(t)
  await writer.call('fill', 1000, 100)
  await log.waitFor(999)
  const waiting = log.tail({ from: 'end' }).next()
  await log.close()
  t.true((await waiting).done)
  t.throws(() => log.nextIndex, { code: 'VARVE_CLOSED' })
  t.is(await writer.call('fill', 10), 1010)
})

test('damage in what was durable reaches who waits as VARVE_CORRUPT, with file and position; what is before it stays readable', async (t) => {
  const { dir, writer, log } = await writerAndFollower(t)
  await writer.call('fill', 20)
  await writer.call('sync')
  await log.waitFor(19)
  const tail = log.tail({ from: 'end' })
  const asked = tail.next()
  asked.catch(() => {})
  // What a writer appends is damaged before its follower can look: it sleeps.
  const follower = new Remote(t, dir, { readOnly: true })
  await follower.call('open')
  await follower.call('tail', 'end')
  follower.child.kill('SIGSTOP')
  const { offset } = await writer.call<{ offset: number }>('positionOf', 19)
  await writer.call('fill', 20)
  await writer.call('sync')
  t.is((await asked).value!.index, 20)
  flipByte(segments(dir)[0]!, offset + 150)
  follower.child.kill('SIGCONT')
  await writer.call('fill', 1)
  await writer.call('sync')
  await t.throwsAsync(follower.call('take', 21), { code: 'VARVE_CORRUPT' })
  t.true((await follower.call<string>('text', 3)).startsWith('3:'))
})
