import test from 'ava'
import { Log } from 'varve'
import { closedAfter, freshDir, freshLog } from '../support/directory.ts'

function filled(log: Log, count = 10): Log {
  for (let i = 0; i < count; i++) log.append(`value ${i}`)
  return log
}

test('a cursor begins where it is told, and is there again after a sync and a reopen', async (t) => {
  const dir = freshDir(t)
  const log = filled(await Log.open(dir))
  const billing = log.cursor('billing')
  const mail = log.cursor('mail', { from: 'end', holdRetention: true })
  const audit = log.cursor('audit', { from: 4 })
  t.deepEqual([billing.offset, mail.offset, audit.offset], [0, 10, 4])
  billing.save(3)
  await audit.saveAsync(7, { durability: 'disk' })
  t.is(billing.offset, 3)
  t.is(log.cursor('billing').offset, 3)
  t.is(log.cursor('billing', { from: 9 }).offset, 3)
  await log.close()
  const again = closedAfter(t, Log.openSync(dir))
  t.deepEqual(again.cursors(), [
    { name: 'audit', offset: 7, holdRetention: false },
    { name: 'billing', offset: 3, holdRetention: false },
    { name: 'mail', offset: 10, holdRetention: true },
  ])
  t.is(again.cursor('mail').offset, 10)
  t.true(again.cursors()[2]!.holdRetention)
  again.cursor('mail', { holdRetention: false })
  t.false(again.cursors()[2]!.holdRetention)
})

test('a cursor may go back, but not past the end', (t) => {
  const log = filled(freshLog(t))
  const cursor = log.cursor('c')
  cursor.save(10)
  cursor.save(2)
  t.is(cursor.offset, 2)
  t.throws(() => cursor.save(11), { code: 'VARVE_OUT_OF_RANGE' })
  t.throws(() => log.cursor('d', { from: 11 }), { code: 'VARVE_OUT_OF_RANGE' })
  t.is(cursor.offset, 2)
})

test('a deleted cursor is gone; disposing of one leaves it', async (t) => {
  const log = filled(freshLog(t))
  const cursor = log.cursor('c', { from: 5 })
  const other = log.cursor('c')
  cursor[Symbol.dispose]()
  t.throws(() => cursor.save(6), { code: 'VARVE_CLOSED' })
  t.is(log.cursors().length, 1)
  other.delete()
  t.deepEqual(log.cursors(), [])
  t.throws(() => other.save(6))
  await t.throwsAsync(other.saveAsync(6))
  t.throws(() => other.offset, { code: 'VARVE_CLOSED' })
  t.is(log.cursor('c').offset, 0)
})

test('a name has 1 to 255 bytes; names are any text', (t) => {
  const log = filled(freshLog(t))
  for (const name of ['', 'x'.repeat(256), 'é'.repeat(128)]) t.throws(() => log.cursor(name), { code: 'VARVE_INVALID_ARGUMENT' })
  for (const name of ['x'.repeat(255), 'é😀', ' ', '\0']) t.is(log.cursor(name).name, name)
  t.is(log.cursors().length, 4)
})

test('cursors are bounded: too many of them are VARVE_TOO_LARGE', (t) => {
  const log = filled(freshLog(t))
  const error = t.throws(() => {
    for (let i = 0; i < 1000; i++) log.cursor(`${i}`.padEnd(200))
  }, { code: 'VARVE_TOO_LARGE' })
  t.is((error as { limit?: number }).limit, 65_536)
  t.true(log.cursors().length > 250)
  log.cursor('0'.padEnd(200)).save(3)
  t.is(log.append('more'), 10)
})
