import { writeFileSync } from 'node:fs'
import test from 'ava'
import { Wal } from 'varve'
import { run } from '../support/child.ts'
import { closedAfter } from '../support/directory.ts'
import { smallDisk } from '../support/small-disk.ts'

interface Met {
  events: string[]
  first: { code: string; cause?: string }
  again: { code: string }
  held: number
  durable: number
  batch: string
  afterBatch: number
  read: boolean
  resumed: number
  after: number
}

test('a full disk is an error before an index is given; all before stays, and writing goes on when there is room', async (t) => {
  const dir = smallDisk(t, 8)
  if (dir === undefined) return t.pass()
  writeFileSync(`${dir}/ballast`, Buffer.alloc(4 << 20))
  const end = await run('fill', [dir, `${dir}/ballast`])
  t.is(end.signal, null, end.stderr)
  t.is(end.code, 0, end.stderr)
  const met = JSON.parse(end.stdout) as Met
  t.is(met.first.code, 'VARVE_NO_SPACE')
  t.is(met.again.code, 'VARVE_NO_SPACE')
  t.is(met.batch, 'VARVE_NO_SPACE')
  t.true(met.held > 1000)
  t.true(met.durable >= met.held)
  t.is(met.resumed, met.afterBatch)
  t.true(met.read)
  t.is(met.after, met.resumed + 1)
  t.deepEqual(met.events, [])
  const log = closedAfter(t, Wal.openSync(`${dir}/log`, { verify: true }))
  t.is(log.nextIndex, met.after)
  t.is([...log.records()].length, met.after)
})
