// Open a log, append to it, read it back, make it durable, close it, and find it all there again.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Wal } from 'varve'

const dir = mkdtempSync(path.join(tmpdir(), 'varve-quickstart-'))

const log = await Wal.open(dir)
const first = log.append('hello')
log.appendBatch(['to be', 'or not to be']) // all or nothing
await log.appendAsync('kept', { durability: 'disk' }) // resolves when it survives a power loss

assert.equal(log.get(first)?.toString(), 'hello')
assert.equal(log.get(log.nextIndex), undefined)

for (const { index, data } of log.records({ from: first })) console.log(index, data.toString())

log.append('and this')
const durable = await log.sync() // everything appended so far is on the disk
assert.equal(durable, log.nextIndex)
await log.close()

// Next time, `await using` closes it by itself.
{
  await using again = await Wal.open(dir)
  assert.equal(again.nextIndex, 5)
  assert.equal(again.get(4)?.toString(), 'and this')

  // The cheapest way through: no object a record. What the buffer holds is lent until the next advance().
  using reader = again.reader()
  let bytes = 0
  while (reader.advance()) bytes += reader.end - reader.start
  console.log(`${again.nextIndex} records, ${bytes} bytes`)
}

const report = await Wal.check(dir)
assert.equal(report.ok, true)
assert.equal(report.entries, 5)
rmSync(dir, { recursive: true })
