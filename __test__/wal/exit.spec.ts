import test from 'ava'
import { Wal } from 'varve'
import { run } from '../support/child.ts'
import { closedAfter, freshDir, texts } from '../support/directory.ts'

const ways: Record<string, { how: string; code: number }> = {
  return: { how: 'the natural end of a process', code: 0 },
  exit: { how: 'process.exit()', code: 3 },
  throw: { how: 'an uncaught exception', code: 1 },
  reject: { how: 'an unhandled rejection', code: 1 },
  worker: { how: 'the end of a worker', code: 0 },
  'worker-exit': { how: 'process.exit() in a worker', code: 3 },
  'worker-throw': { how: 'an uncaught exception in a worker', code: 1 },
}
for (const [way, { how, code }] of Object.entries(ways)) {
  test(`${how} hands over what is buffered`, async (t) => {
    const dir = freshDir(t)
    const end = await run('ends', [dir, way])
    t.is(end.signal, null, end.stderr)
    t.is(end.code, code, end.stderr)
    const log = closedAfter(t, Wal.openSync(dir))
    t.deepEqual(texts(log), Array.from({ length: 1000 }, (_, i) => `record ${i}`))
  })
}

test('process.exit() with work outstanding neither crashes nor hangs, and loses nothing', async (t) => {
  for (let round = 0; round < 5; round++) {
    const dir = freshDir(t)
    const end = await run('ends', [dir, 'outstanding'])
    t.is(end.signal, null, end.stderr)
    t.is(end.code, 3, end.stderr)
    const log = closedAfter(t, Wal.openSync(dir))
    t.deepEqual(texts(log), Array.from({ length: 1500 }, (_, i) => `record ${i}`))
  }
})
