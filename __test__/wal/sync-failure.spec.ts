import { fileURLToPath } from 'node:url'
import test from 'ava'
import { Wal } from 'varve'
import { program, runCommand } from '../support/child.ts'
import { closedAfter, freshDir } from '../support/directory.ts'

interface Told {
  code: string
  cause?: string
}

test('after a failed sync all that waits and all later writes get the same error; reads go on; a reopen mends it', async (t) => {
  const dir = freshDir(t)
  const trace = ['-f', '-qq', '-o', '/dev/null', '-e', 'trace=fdatasync,fsync', '-e', 'inject=fdatasync,fsync:error=EIO:when=30+']
  const usable = await runCommand('strace', [...trace, 'true']).then(({ code }) => code === 0, () => false)
  if (!usable) {
    t.log('strace is not here, or may not trace: no failing sync could be made, so this was not tried')
    t.pass()
    return
  }
  const end = await runCommand('strace', [...trace, process.execPath, fileURLToPath(program('sync-fails')), dir])
  t.is(end.code, 0, end.stderr)
  const met = JSON.parse(end.stdout) as Record<string, unknown> & { failure: Told; failed: number; of: number; events: Told[]; acknowledged: number }
  const failure = { code: 'VARVE_SYNC_FAILED', cause: 'EIO' }
  t.deepEqual(met.failure, failure)
  t.is(met.failed, met.of)
  for (const later of ['append', 'batch', 'syncSync', 'async', 'sync', 'rotate', 'close']) t.deepEqual(met[later], failure, later)
  t.is(met['closeAgain'], 'nothing')
  t.deepEqual(met.events, [failure])
  t.is(met['unhandled'], 0)
  t.is(met['read'], 'x')
  t.is(met['stats'], 'VARVE_SYNC_FAILED')
  const log = closedAfter(t, Wal.openSync(dir))
  t.true(log.nextIndex > met.acknowledged)
  t.is(log.append('goes on'), log.nextIndex - 1)
  t.is(await log.sync(), log.nextIndex)
})
