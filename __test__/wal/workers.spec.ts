import { once } from 'node:events'
import { setTimeout } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import test, { type ExecutionContext } from 'ava'
import { Wal } from 'varve'
import { program } from '../support/child.ts'
import { closedAfter, freshDir, texts } from '../support/directory.ts'

const launch = (dir: string, name: string, how: string, count = 0): Worker =>
  new Worker(program('appender'), { workerData: { dir, name, how, count }, execArgv: [], env: {} })

/** Every record of every thread, exactly once, and those of one thread in its order. */
function checkAll(t: ExecutionContext, log: Wal, names: readonly string[], count: number): void {
  const next = new Map(names.map((name) => [name, 0]))
  for (const text of texts(log)) {
    const [name = '', n] = text.split(':')
    if (next.get(name) !== Number(n)) t.fail(`${text}, where ${name}:${next.get(name)} should come`)
    next.set(name, Number(n) + 1)
  }
  t.deepEqual([...next.values()], names.map(() => count))
}

for (const how of ['plain', 'batch', 'durable', 'expecting']) {
  test(`several workers on one log, ${how}: every record is there exactly once, in the order of its thread`, async (t) => {
    const dir = freshDir(t)
    const names = ['a', 'b', 'c', 'd']
    const count = how === 'plain' || how === 'batch' ? 5000 : 1000
    const own = closedAfter(t, Wal.openSync(dir, { segmentSize: 1 << 17 }))
    const ends = names.map(async (name) => {
      const worker = launch(dir, name, how, count)
      const [code] = (await once(worker, 'exit')) as [number]
      t.is(code, 0)
    })
    await Promise.all(ends)
    t.is(own.nextIndex, names.length * count)
    checkAll(t, own, names, count)
    await own.close()
    const again = closedAfter(t, Wal.openSync(dir))
    checkAll(t, again, names, count)
  })
}

test('a record of one thread is visible in another at once', async (t) => {
  const dir = freshDir(t)
  const log = closedAfter(t, Wal.openSync(dir))
  const worker = launch(dir, 'w', 'endless')
  const [{ index, text }] = (await once(worker, 'message')) as [{ index: number; text: string }]
  t.is(log.get(index)!.toString(), text)
  t.true(log.durableIndex > index)
  await worker.terminate()
})

test('workers terminated with work outstanding: the others go on, and nothing acknowledged is lost', async (t) => {
  const dir = freshDir(t)
  const log = closedAfter(t, Wal.openSync(dir, { segmentSize: 1 << 18 }))
  const acknowledged: { index: number; text: string }[] = []
  for (let round = 0; round < 10; round++) {
    const workers = ['a', 'b', 'c'].map((name) => launch(dir, `${round}${name}`, 'endless').on('message', (message) => acknowledged.push(message)))
    // Of all of them: Node itself ends the process (V8, "location_ != nullptr") where a thread is terminated while its first module is evaluated.
    await Promise.all(workers.map((worker) => once(worker, 'message')))
    await setTimeout(round * 3)
    await Promise.all(workers.map((worker) => worker.terminate()))
    const index = log.append(`main:${round}`)
    t.is(await log.sync() > index, true)
    acknowledged.push({ index, text: `main:${round}` })
  }
  t.true(acknowledged.length >= 20)
  for (const { index, text } of acknowledged) t.is(log.get(index)?.toString(), text)
  await log.close()
  const again = closedAfter(t, Wal.openSync(dir))
  for (const { index, text } of acknowledged) t.is(again.get(index)?.toString(), text)
  t.is([...again.records()].length, again.nextIndex)
})

test('the lock is given up with the last handle, whichever thread held it', async (t) => {
  const dir = freshDir(t)
  const worker = launch(dir, 'w', 'endless')
  await once(worker, 'message')
  const here = Wal.openSync(dir)
  await here.close()
  await worker.terminate()
  const log = closedAfter(t, Wal.openSync(dir, { segmentSize: 65_536 }))
  t.true(log.nextIndex > 0)
})
