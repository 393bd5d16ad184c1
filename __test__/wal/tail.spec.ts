import { getEventListeners } from 'node:events'
import { setImmediate } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { Wal, type WalOptions, type WalRecord } from 'varve'
import { run } from '../support/child.ts'
import { closedAfter, freshDir, freshWal } from '../support/directory.ts'
import { isPending, take, textOf } from '../support/following.ts'

const SMALL: WalOptions = { segmentSize: 65_536 }

function seeded(t: ExecutionContext): (below: number) => number {
  let state = Number(process.env['VARVE_SEED'] ?? Date.now() & 0x7fffffff)
  t.log(`VARVE_SEED=${state}`)
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff
    return Math.floor((state / 0x80000000) * below)
  }
}

test('a tail gives all records, then waits, and goes on with each that is appended, in whichever way', async (t) => {
  const log = freshWal(t)
  log.appendBatch(['a', 'b'])
  const tail = log.tail()
  t.deepEqual((await take(tail, 2)).map(textOf), ['0 a', '1 b'])
  const appends = [() => log.append('c'), () => log.appendBatch(['d', 'e']), () => log.appendPacked(Buffer.from('fg'), Uint32Array.of(1, 2)), () => log.appendAsync('h'), () => log.appendBatchAsync(['i']), () => log.appendPackedAsync(Buffer.from('j'), Uint32Array.of(1))]
  const expected = [['2 c'], ['3 d', '4 e'], ['5 f', '6 g'], ['7 h'], ['8 i'], ['9 j']]
  for (const [i, append] of appends.entries()) {
    const coming = take(tail, expected[i]!.length)
    t.true(await isPending(coming))
    await append()
    t.deepEqual((await coming).map(textOf), expected[i]!)
  }
})

test('a record is a plain object with a Buffer of its own', async (t) => {
  const log = freshWal(t)
  log.append('abc')
  const [record] = await take(log.tail(), 1)
  t.deepEqual(Object.keys(record!), ['index', 'data'])
  t.true(Buffer.isBuffer(record!.data))
  record!.data.fill(0)
  t.is(log.get(0)!.toString(), 'abc')
})

test('from: the first record still held by default, any index up to nextIndex, or what is appended after the call', async (t) => {
  const log = freshWal(t, { firstIndex: 5 })
  log.appendBatch(['a', 'b', 'c'])
  log.truncateBefore(6)
  t.is((await take(log.tail(), 1))[0]!.index, 6)
  t.is((await take(log.tail({ from: 7 }), 1))[0]!.index, 7)
  const [atEnd, atNext] = [log.tail({ from: 'end' }), log.tail({ from: 8 })]
  log.append('d')
  t.deepEqual((await take(atEnd, 1)).map(textOf), ['8 d'])
  t.deepEqual((await take(atNext, 1)).map(textOf), ['8 d'])
  for (const from of [0, 5, 10, Number.MAX_SAFE_INTEGER]) await t.throwsAsync(async () => log.tail({ from }).next(), { code: 'VARVE_OUT_OF_RANGE' })
})

test('wrong arguments are refused', (t) => {
  const log = freshWal(t)
  for (const options of [{ from: 'start' }, { from: -1 }, { from: 1.5 }, { from: '0' }, { from: null }, { to: 3 }, { signal: {} }, { zeroCopy: 1 }, 3]) {
    t.throws(() => log.tail(options as object), { code: 'VARVE_INVALID_ARGUMENT' }, JSON.stringify(options))
  }
})

test('tails of every pace see every record once and in order, over rotations and batches', async (t) => {
  const random = seeded(t)
  const log = freshWal(t, SMALL)
  const total = 6000
  const text = (index: number): string => `${index}:${'x'.repeat((index * 7919) % (index % 50 === 0 ? 9000 : 300))}`
  const reading = Array.from({ length: 6 }, async (_, i) => {
    const from = i % 2 === 0 ? 0 : random(total / 4)
    await log.waitFor(from)
    let next = from
    for await (const { index, data } of log.tail({ from })) {
      if (index !== next || data.toString() !== text(next)) throw new Error(`${index}: ${data.toString().slice(0, 20)}, where ${next} should come`)
      if (++next === total) return next
      if (random(200) < i) await setImmediate()
    }
    throw new Error(`ended at ${next}`)
  })
  while (log.nextIndex < total) {
    const next = log.nextIndex
    const count = Math.min(total - next, 1 + random(80))
    const way = random(8)
    if (way < 5) for (let i = 0; i < count % 7; i++) log.append(text(next + i))
    else log.appendBatch(Array.from({ length: count }, (_, i) => text(next + i)))
    if (way === 7) log.rotate()
    if (random(3) === 0) await setImmediate()
  }
  t.deepEqual(await Promise.all(reading), Array.from({ length: 6 }, () => total))
  t.true(log.segments().length > 5)
})

test('records of up to the largest size come through, near the end and far behind it', async (t) => {
  const log = freshWal(t)
  const sizes = [0, 1, 65_536, 524_288, 524_289, 600_000, 5_000_000, 0, (16 << 20) - 4096, 3]
  for (let i = 0; i < 2000; i++) log.append('small')
  for (const [i, size] of sizes.entries()) log.append(Buffer.alloc(size, i + 1))
  const tail = log.tail()
  for (const { data } of await take(tail, 2000)) t.is(data.toString(), 'small')
  for (const [i, size] of sizes.entries()) {
    const [record] = await take(tail, 1)
    t.true(record!.data.equals(Buffer.alloc(size, i + 1)), `${i}`)
  }
  for (const [i, size] of sizes.entries()) {
    const coming = take(tail, 1)
    log.append(Buffer.alloc(size, i + 1))
    t.true((await coming)[0]!.data.equals(Buffer.alloc(size, i + 1)), `${i}, alive`)
  }
})

test('several calls of next at once are answered in their order', async (t) => {
  const log = freshWal(t)
  for (let i = 0; i < 3000; i++) log.append(`${i}`)
  const tail = log.tail()
  const asked = Array.from({ length: 3010 }, () => tail.next())
  const order: number[] = []
  asked.forEach((result, i) => void result.then(() => order.push(i)))
  await asked[2999]
  for (let i = 3000; i < 3010; i++) log.append(`${i}`)
  const results = await Promise.all(asked)
  t.deepEqual(results.map(({ value }) => Number(value!.data)), Array.from({ length: 3010 }, (_, i) => i))
  t.deepEqual(order, Array.from({ length: 3010 }, (_, i) => i))
})

test('return answers what is asked and all that is asked later with done', async (t) => {
  const log = freshWal(t)
  const tail = log.tail()
  const asked = [tail.next(), tail.next(), tail.next()]
  t.deepEqual(await tail.return!(), { value: undefined, done: true })
  for (const result of await Promise.all(asked)) t.deepEqual(result, { value: undefined, done: true })
  log.append('x')
  t.deepEqual(await tail.next(), { value: undefined, done: true })
  t.deepEqual(await tail.return!(), { value: undefined, done: true })
})

test('return while records are read ahead ends that, large ones too', async (t) => {
  const log = freshWal(t)
  for (let i = 0; i < 3000; i++) log.append(Buffer.alloc(i === 0 ? 2_000_000 : 100))
  for (const begun of [0, 1, 5]) {
    const tail = log.tail()
    await take(tail, begun)
    const asked = [tail.next(), tail.next()]
    await tail.return!()
    for (const { value, done } of await Promise.all(asked)) t.true(done || value.data.length > 0)
    t.true((await tail.next()).done)
  }
})

test('break, return and a throw in the body release what a tail holds; so does a tail that fails', async (t) => {
  const log = freshWal(t, SMALL)
  for (let i = 0; i < 3000; i++) log.append(Buffer.alloc(100))
  const held = (): number[] => log.segments().map(({ references }) => references)
  const before = held()
  for await (const _ of log.tail()) break
  await t.throwsAsync(async () => {
    for await (const _ of log.tail()) throw new Error('of the body')
  }, { message: 'of the body' })
  const tail = log.tail()
  await take(tail, 10)
  t.notDeepEqual(held(), before)
  await tail.return!()
  const controller = new AbortController()
  const stopped = log.tail({ signal: controller.signal })
  await take(stopped, 10)
  controller.abort()
  await t.throwsAsync(stopped.next(), { code: 'ABORT_ERR' })
  t.deepEqual(held(), before)
})

test('an abort rejects with an AbortError whose cause is the reason: before the first step, while it waits, and between two', async (t) => {
  const log = freshWal(t)
  log.appendBatch(['a', 'b'])
  const reason = new Error('the reason')
  const expected = { name: 'AbortError', code: 'ABORT_ERR' }
  const early = log.tail({ signal: AbortSignal.abort(reason) })
  t.is((await t.throwsAsync(early.next(), expected))!.cause, reason)
  t.true((await early.next()).done)

  const controller = new AbortController()
  const waiting = log.tail({ from: 'end', signal: controller.signal })
  const between = log.tail({ signal: controller.signal })
  await take(between, 1)
  const asked = [waiting.next(), waiting.next()]
  t.true(await isPending(asked[0]!))
  controller.abort(reason)
  t.is((await t.throwsAsync(asked[0]!, expected))!.cause, reason)
  t.true((await asked[1]!).done)
  t.is((await t.throwsAsync(between.next(), expected))!.cause, reason)
  t.true((await between.next()).done)

  const late = new AbortController()
  const ended = log.tail({ signal: late.signal })
  await ended.return!()
  late.abort()
  t.true((await ended.next()).done)
})

test('a signal is not listened to any longer than a tail waits', async (t) => {
  const log = freshWal(t)
  const { signal } = new AbortController()
  const tail = log.tail({ signal })
  for (let i = 0; i < 20; i++) {
    const coming = tail.next()
    await setImmediate()
    log.append('x')
    await coming
  }
  t.is(getEventListeners(signal, 'abort').length, 0)
  const waiting = tail.next()
  await setImmediate()
  await tail.return!()
  await waiting
  t.is(getEventListeners(signal, 'abort').length, 0)
})

test('a tail ends without an error when its handle is closed: waiting, between two steps, with several asked', async (t) => {
  for (const close of [(log: Wal) => log.close(), async (log: Wal) => log.closeSync()]) {
    const log = freshWal(t)
    log.append('a')
    const waiting = log.tail({ from: 'end' })
    const between = log.tail()
    await take(between, 1)
    const asked = [waiting.next(), waiting.next()]
    await setImmediate()
    await close(log)
    for (const result of await Promise.all(asked)) t.deepEqual(result, { value: undefined, done: true })
    t.true((await between.next()).done)
    t.true((await waiting.next()).done)
    t.throws(() => log.tail(), { code: 'VARVE_CLOSED' })
  }
})

test('a tail far behind that its handle is closed under ends without an error', async (t) => {
  for (let begun = 0; begun < 4; begun++) {
    const log = freshWal(t)
    for (let i = 0; i < 20_000; i++) log.append(Buffer.alloc(100))
    const tail = log.tail()
    await take(tail, begun * 300)
    const asked = tail.next()
    await log.close()
    await t.notThrowsAsync(asked)
    t.true((await tail.next()).done)
  }
})

test('another handle that is closed ends no tail of this one', async (t) => {
  const dir = freshDir(t)
  const [one, two] = [closedAfter(t, Wal.openSync(dir)), closedAfter(t, Wal.openSync(dir))]
  const [ending, going] = [one.tail(), two.tail()]
  const asked = [ending.next(), going.next()]
  await setImmediate()
  await one.close()
  t.true((await asked[0]!).done)
  t.true(await isPending(asked[1]!))
  two.append('x')
  t.is((await asked[1]!).value!.data.toString(), 'x')
})

test('an append through another handle in the thread wakes a tail', async (t) => {
  const dir = freshDir(t)
  const [one, two] = [closedAfter(t, Wal.openSync(dir)), closedAfter(t, Wal.openSync(dir))]
  const tail = one.tail()
  for (let i = 0; i < 50; i++) {
    const coming = tail.next()
    await setImmediate()
    two.append(`${i}`)
    t.is((await coming).value!.data.toString(), `${i}`)
  }
})

test('a commit gate holds a tail back until the commit, and a truncation behind the gate does not hurt it', async (t) => {
  const log = freshWal(t, { commitGate: true })
  log.appendBatch(['a', 'b', 'c'])
  const tail = log.tail()
  const first = tail.next()
  t.true(await isPending(first))
  log.commit(0)
  t.is((await first).value!.data.toString(), 'a')
  const second = tail.next()
  t.true(await isPending(second))
  log.truncateAfter(0)
  log.append('B')
  t.true(await isPending(second))
  log.commit(1)
  t.is((await second).value!.data.toString(), 'B')
})

test('handles of one log with and without a gate: each tail stops where its handle does', async (t) => {
  const dir = freshDir(t)
  const [gated, open] = [closedAfter(t, Wal.openSync(dir, { commitGate: true })), closedAfter(t, Wal.openSync(dir))]
  const [behind, ahead] = [gated.tail().next(), open.tail().next()]
  await setImmediate()
  open.append('x')
  t.is((await ahead).value!.data.toString(), 'x')
  t.true(await isPending(behind))
  open.commit(0)
  t.is((await behind).value!.data.toString(), 'x')
})

test('a waiting tail blocks no truncation; one that is cut off is told so, and never hops', async (t) => {
  const cuts: Record<string, (log: Wal) => void> = {
    truncateAfter: (log) => log.truncateAfter(4),
    'truncateAfter, and as many appended again': (log) => {
      log.truncateAfter(4)
      for (let i = 5; i < 12; i++) log.append(`new ${i}`)
    },
    'truncateAfter everything': (log) => log.truncateAfter(-1),
    'reset below': (log) => log.reset(3),
    'reset below, and more appended': (log) => {
      log.reset(0)
      for (let i = 0; i < 20; i++) log.append(`new ${i}`)
    },
  }
  for (const [name, cut] of Object.entries(cuts)) {
    for (const isWaiting of [true, false]) {
      const log = freshWal(t)
      for (let i = 0; i < 10; i++) log.append(`${i}`)
      const tail = log.tail()
      await take(tail, 10)
      const asked = isWaiting ? tail.next() : undefined
      asked?.catch(() => {})
      await setImmediate()
      cut(log)
      await t.throwsAsync(asked ?? tail.next(), { code: 'VARVE_OUT_OF_RANGE' }, `${name}, ${isWaiting}`)
      t.true((await tail.next()).done)
    }
  }
})

test('a tail before the cut goes on with what is written there instead, and forgets what it had read ahead', async (t) => {
  for (const count of [100, 5000]) {
    const log = freshWal(t)
    for (let i = 0; i < count; i++) log.append(`old ${i}`)
    const tail = log.tail()
    await take(tail, 20)
    log.truncateAfter(39)
    log.append('new')
    const rest = await take(tail, 21)
    t.deepEqual(rest.map(({ data }) => data.toString()), [...Array.from({ length: 20 }, (_, i) => `old ${20 + i}`), 'new'])
  }
})

test('a waiting tail that stands where the log is cut goes on from there', async (t) => {
  const log = freshWal(t)
  log.appendBatch(['a', 'b'])
  const tail = log.tail()
  await take(tail, 2)
  log.append('c')
  log.truncateAfter(1)
  const coming = tail.next()
  t.true(await isPending(coming))
  log.append('C')
  t.is(textOf((await coming).value!), '2 C')
})

test('truncateBefore: a waiting tail goes on, one that is overtaken is told so', async (t) => {
  for (const count of [100, 5000]) {
    const log = freshWal(t, SMALL)
    for (let i = 0; i < count; i++) log.append(`${i}`.padEnd(100))
    const [waiting, behind, just] = [log.tail({ from: 'end' }), log.tail(), log.tail()]
    const coming = waiting.next()
    await take(behind, 20)
    await take(just, 50)
    log.truncateBefore(50)
    await log.sync()
    t.is((await take(just, 1))[0]!.index, 50)
    await t.throwsAsync(behind.next(), { code: 'VARVE_OUT_OF_RANGE' })
    t.true(await isPending(coming))
    log.truncateBefore(count)
    await log.sync()
    t.is(log.append('x'), count)
    t.is((await coming).value!.index, count)
    await t.throwsAsync(just.next(), { code: 'VARVE_OUT_OF_RANGE' })
  }
})

test('retention overtakes a slow tail with an error, not with a hole', async (t) => {
  const log = freshWal(t, { ...SMALL, retention: { maxSegments: 2 } })
  for (let i = 0; i < 500; i++) log.append(Buffer.alloc(100, i))
  const tail = log.tail()
  let next = 0
  await t.throwsAsync(async () => {
    for await (const { index } of tail) {
      if (index !== next) t.fail(`${index}, where ${next} should come`)
      next++
      for (let i = 0; i < 20; i++) log.append(Buffer.alloc(1000, i))
      if (next % 10 === 0) await log.enforceRetention()
      if (next > 5000) throw new Error('never overtaken')
    }
  }, { code: 'VARVE_OUT_OF_RANGE' })
  t.true(log.firstIndex > next)
})

test('a reset ahead of a waiting tail is out of range, not a hop', async (t) => {
  const log = freshWal(t)
  log.append('a')
  const tail = log.tail()
  await take(tail, 1)
  const coming = tail.next()
  coming.catch(() => {})
  await setImmediate()
  log.reset(100)
  log.append('x')
  await t.throwsAsync(coming, { code: 'VARVE_OUT_OF_RANGE' })
})

test('a tail over 200 MB with a slow body keeps memory flat, and holds no append up', async (t) => {
  const end = await run('backlog', [freshDir(t)])
  t.is(end.code, 0, end.stderr)
  const { records, megabytes } = JSON.parse(end.stdout) as { records: number; megabytes: number }
  t.is(records, 3200)
  t.true(megabytes < 48, `${megabytes} MB more`)
})

test('a waiting tail and waitFor keep a process alive; when they end, so does the process', async (t) => {
  for (const way of ['tail', 'waitFor', 'readOnly']) {
    const end = await run('waiting', [freshDir(t), way])
    t.is(end.code, 0, end.stderr)
    t.is(end.stdout, 'got later\n', way)
  }
})

test('tails that nobody asks any more let a process end', async (t) => {
  for (const way of ['idle', 'broken', 'aborted', 'closed', 'returned', 'failed']) {
    const end = await run('waiting', [freshDir(t), way])
    t.is(end.code, 0, `${way}: ${end.stderr}`)
    t.is(end.stdout, '', way)
  }
})

test('a process whose tails wait can still exit, and hands over what is buffered', async (t) => {
  const dir = freshDir(t)
  const end = await run('waiting', [dir, 'exit'])
  t.is(end.signal, null, end.stderr)
  t.is(end.code, 3, end.stderr)
  const log = closedAfter(t, Wal.openSync(dir))
  t.is(log.nextIndex, 2)
})

test('what is taken from a tail stays as it is, whatever is read, written and closed after', async (t) => {
  const log = freshWal(t)
  const kept: WalRecord[] = []
  const tail = log.tail()
  for (let i = 0; i < 3000; i++) log.append(`${i}`)
  kept.push(...(await take(tail, 3000)))
  for (let i = 3000; i < 3500; i++) {
    log.append(`${i}`)
    kept.push(...(await take(tail, 1)))
  }
  log.truncateBefore(3400)
  await log.close()
  for (const [i, { data }] of kept.entries()) if (data.toString() !== `${i}`) t.fail(`${i}: ${data.toString()}`)
  t.is(kept.length, 3500)
})
