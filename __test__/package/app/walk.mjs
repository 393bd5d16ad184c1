// A user's program, in JavaScript modules: the way through a log, and its errors. Argument: a directory that is not there yet.
import assert from 'node:assert/strict'
import { Wal, codecs, isVarveError, VarveError, version } from 'varve'

const dir = process.argv[2]
assert.match(version, /^\d+\.\d+\.\d+/)

const log = await Wal.open(dir)
assert.equal(log.append('first'), 0)
assert.equal(log.append(new Uint8Array([1, 2, 3])), 1)
assert.equal(log.appendBatch(['a', 'b', Buffer.from('c')]), 2)
assert.equal(log.appendPacked(new Uint8Array(6), Uint32Array.of(1, 3, 6)), 5)
assert.equal(await log.appendAsync('eighth', { durability: 'disk' }), 8)
assert.equal(await log.appendBatchAsync(['ninth', 'tenth'], { durability: 'os' }), 9)
assert.equal(await log.sync(), 11)
assert.equal(log.durableIndex, 11)
assert.equal(log.get(0)?.toString(), 'first')
assert.ok(Buffer.isBuffer(log.get(1)))
assert.equal((await log.getAsync(8))?.toString(), 'eighth')
assert.equal(log.get(11), undefined)

const reader = log.reader({ from: 2 })
const ends = []
while (reader.advance()) ends.push(reader.end - reader.start)
reader.close()
assert.deepEqual(ends, [1, 1, 1, 1, 2, 3, 6, 5, 5])

// Each kind of error, by its code.
assert.throws(() => log.append('late', { expectedIndex: 3 }), (error) => error instanceof VarveError && error.code === 'VARVE_CONFLICT')
assert.throws(() => log.append(7), (error) => error instanceof TypeError && isVarveError(error, 'VARVE_INVALID_ARGUMENT'))
await assert.rejects(Wal.open(`${dir}/missing/under`, { create: false }), (error) => isVarveError(error) && error instanceof Error)
await log.close()
assert.throws(() => log.append('gone'), (error) => isVarveError(error, 'VARVE_CLOSED'))

const again = Wal.openSync(dir)
assert.equal(again.nextIndex, 11)
assert.deepEqual(Array.from(again.records({ from: 8 }), ({ index, data }) => [index, data.toString()]), [[8, 'eighth'], [9, 'ninth'], [10, 'tenth']])
again.rotate()
for (let i = 0; i < 20_000; i++) again.append(`record ${i}`)
await again.close()
const report = await Wal.check(dir)
assert.deepEqual(report.damage, [])

const typed = await Wal.open(`${dir}.json`, { codec: codecs.json() })
typed.append({ tea: 2 })
assert.deepEqual(typed.get(0), { tea: 2 })
typed.closeSync()
console.log('ok')
