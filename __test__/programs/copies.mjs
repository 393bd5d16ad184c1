// Reads a log in every way with zeroCopy. Prints a digest of it, and whether memory of files was lent. Arguments: directory.
import { createHash } from 'node:crypto'
import { Wal } from 'varve'

const log = Wal.openSync(process.argv[2])
const zeroCopy = true
const hash = createHash('sha256')
const kept = []
for (const { index, data } of log.records({ zeroCopy })) {
  hash.update(`${index}:`).update(data)
  kept.push(data)
}
for await (const { data } of log.recordsAsync({ zeroCopy })) hash.update(data)
const reader = log.reader({ zeroCopy })
while (reader.advance()) hash.update(reader.buffer.subarray(reader.start, reader.end))
reader.close()
for (let i = 0; i < 2000; i += 7) hash.update(log.get(i, { zeroCopy }))
const [one, two] = [log.get(0, { zeroCopy }), log.get(1, { zeroCopy })]
// Writing is allowed, and reaches nothing else.
for (const data of kept) data.fill(0)
for (let i = 0; i < 2000; i += 7) hash.update(log.get(i))
const references = log.segments().reduce((sum, segment) => sum + segment.references, 0)
console.log(JSON.stringify({ digest: hash.digest('hex'), references, shared: one.buffer === two.buffer && one.buffer.byteLength > 100_000 }))
await log.close()
