import test from 'ava'
import { Log } from 'varve'
import { closedAfter, freshDir } from '../support/directory.ts'
import { runWithFailingSync } from '../support/failing-sync.ts'

interface Told {
  code: string
  cause?: string
}

test('after a failed sync all that waits and all later writes of messages get the same error; reads go on; a reopen mends it', async (t) => {
  const dir = freshDir(t)
  type Met = Record<string, unknown> & { failure: Told; failed: number; of: number; events: Told[]; acknowledged: number }
  const met = await runWithFailingSync<Met>(t, '30+', dir, 'sync-fails-log')
  if (met === undefined) return
  const failure = { code: 'VARVE_SYNC_FAILED', cause: 'EIO' }
  t.deepEqual(met.failure, failure)
  t.is(met.failed, met.of)
  for (const later of ['append', 'batch', 'save', 'gate', 'syncSync', 'async', 'sync', 'close']) t.deepEqual(met[later], failure, later)
  t.is(met['closeAgain'], 'nothing')
  t.deepEqual(met.events, [failure])
  t.is(met['unhandled'], 0)
  t.is(met['read'], 'x')
  t.true(met['consumed'])
  t.is(met['stats'], 'VARVE_SYNC_FAILED')
  const log = closedAfter(t, Log.openSync(dir))
  t.true(log.nextOffset > met.acknowledged)
  t.is(log.append('goes on'), log.nextOffset - 1)
  t.is(await log.sync(), log.nextOffset)
})
