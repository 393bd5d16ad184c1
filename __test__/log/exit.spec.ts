import test from 'ava'
import { Log } from 'varve'
import { run } from '../support/child.ts'
import { closedAfter, freshDir, lines } from '../support/directory.ts'

const ways: Record<string, { how: string; code: number }> = {
  return: { how: 'the natural end of a process', code: 0 },
  idle: { how: 'the end of a process with an idle log', code: 0 },
  exit: { how: 'process.exit()', code: 3 },
  throw: { how: 'an uncaught exception', code: 1 },
  outstanding: { how: 'process.exit() with work outstanding', code: 3 },
  worker: { how: 'the end of a worker', code: 0 },
  'worker-exit': { how: 'process.exit() in a worker', code: 3 },
}
for (const [way, { how, code }] of Object.entries(ways)) {
  test(`${how} hands over what is buffered of messages`, async (t) => {
    const dir = freshDir(t)
    const end = await run('ends-log', [dir, way])
    t.is(end.signal, null, end.stderr)
    t.is(end.code, code, end.stderr)
    const log = closedAfter(t, Log.openSync(dir))
    t.deepEqual(lines(log), Array.from({ length: 1000 }, (_, i) => `${i} key value ${i}`))
  })
}
