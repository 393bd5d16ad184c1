import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import test, { type ExecutionContext } from 'ava'
import { Log } from 'varve'
import { program } from '../support/child.ts'
import { closedAfter, freshDir, lineOf } from '../support/directory.ts'
import { thread } from '../support/thread.ts'

const launch = (data: { dir: string; how: string; name?: string; count?: number }): Worker =>
  new Worker(program('messages'), { workerData: data, execArgv: [], env: {} })

/** Every message of every thread, exactly once, and those of one thread in its order. */
function checkAll(t: ExecutionContext, log: Log, names: readonly string[], count: number): void {
  const next = new Map(names.map((name) => [name, 0]))
  let at = 0
  for (const { offset, key, value } of log.messages()) {
    const [name = '', n] = value!.toString().split(':')
    if (offset !== at++ || key!.toString() !== name || next.get(name) !== Number(n)) t.fail(`${offset} ${key} ${value}, where ${next.get(name)} should come`)
    next.set(name, Number(n) + 1)
  }
  t.deepEqual([...next.values()], names.map(() => count))
}

for (const how of ['plain', 'batch', 'durable', 'expecting']) {
  test(`several workers on one log, ${how}: every message is there exactly once, in the order of its thread`, async (t) => {
    const dir = freshDir(t)
    const names = ['a', 'b', 'c', 'd']
    const count = how === 'plain' || how === 'batch' ? 5000 : 1000
    const own = closedAfter(t, Log.openSync(dir, { segmentSize: 1 << 17 }))
    const ends = names.map(async (name) => {
      const [code] = (await once(launch({ dir, how, name, count }), 'exit')) as [number]
      t.is(code, 0)
    })
    await Promise.all(ends)
    t.is(own.nextOffset, names.length * count)
    checkAll(t, own, names, count)
    await own.close()
    checkAll(t, closedAfter(t, Log.openSync(dir)), names, count)
  })
}

for (const how of ['subscribe', 'blocking']) {
  test(`a worker that waits, ${how}, sees everything in order, whether by one or by batches`, async (t) => {
    const dir = freshDir(t)
    const log = closedAfter(t, Log.openSync(dir, { segmentSize: 1 << 17 }))
    const count = 20_000
    for (let i = 0; i < 5000; i++) log.append(`value ${i}`)
    const worker = launch({ dir, how, count })
    const exit = once(worker, 'exit')
    await once(worker, 'message')
    const done = once(worker, 'message')
    while (log.nextOffset < count) {
      const from = log.nextOffset
      log.append(`value ${from}`)
      log.appendBatch(Array.from({ length: Math.min(150, count - from - 1) }, (_, i) => ({ value: `value ${from + 1 + i}` })))
      await new Promise(setImmediate)
    }
    t.deepEqual(await done, [`${count} in order`])
    t.deepEqual(await exit, [0])
  })
}

test('cursors, producers and the high-water mark are those of the log, in every thread', async (t) => {
  const dir = freshDir(t)
  const log = closedAfter(t, Log.openSync(dir, { commitGate: true }))
  const other = thread(t)
  for (let i = 0; i < 10; i++) log.append(`value ${i}`)
  const waited = log.waitFor(6)
  const cursor = log.cursor('billing')
  await other.run(`
    state.log = Log.openSync(args.dir, { commitGate: true })
    state.log.advanceHighWaterMark(7)
    state.log.cursor('billing').save(5)
    state.log.append('once', null, { producer: { id: 1, epoch: 1, sequence: 1 } })`, { dir })
  t.true((await waited) >= 10)
  t.is(log.highWaterMark, 7)
  t.is(cursor.offset, 5)
  t.is(log.append('once', null, { producer: { id: 1, epoch: 1, sequence: 1 } }), 10)
  t.is(log.nextOffset, 11)
  await other.run('await state.log.close()')
  t.is(lineOf(log.get(10)!), '10 - once')
})

test('a worker that is terminated while it waits and writes takes nothing with it', async (t) => {
  const dir = freshDir(t)
  const log = closedAfter(t, Log.openSync(dir))
  const other = thread(t)
  await other.run(`
    state.log = Log.openSync(args.dir)
    state.log.subscribe({ from: 'end' }).next()
    state.log.consumeBlocking('end')
    state.reader = state.log.messagesAsync()
    for (let i = 0; i < 1000; i++) state.log.append('value ' + i)
    state.reader.next()
    state.log.appendAsync('value 1000', null, { durability: 'disk' })`, { dir })
  await other.end()
  t.is(log.nextOffset, 1001)
  t.is(log.append('after'), 1001)
  await log.sync()
  t.is(log.durableOffset, 1002)
})
