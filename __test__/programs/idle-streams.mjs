// Subscribes to many partitions, reads all there is, and waits. Prints how much memory each stream takes then, in bytes. Arguments: directory.
import { setTimeout } from 'node:timers/promises'
import v8 from 'node:v8'
import vm from 'node:vm'
import { PartitionedLog } from 'varve'

v8.setFlagsFromString('--expose-gc')
const gc = vm.runInNewContext('gc')
const PARTITIONS = 256
const log = await PartitionedLog.open(process.argv[2], { partitions: PARTITIONS, segmentSize: 65_536 })
// Compressed, so that there is something to be uncompressed. Not much: memory that was used once stays with the process.
const value = 'some value that is repeated '.repeat(20)
for (let i = 0; i < PARTITIONS; i++) log.appendBatch(Array.from({ length: 2 }, () => ({ value, partition: i })), { compression: 'lz4' })
for (const { dir } of log.logs) if (dir === undefined) throw new Error('no partition')

async function used() {
  for (let i = 0; i < 5; i++) {
    gc()
    await setTimeout(20)
  }
  return process.memoryUsage().rss
}

/** A stream that has read all there is. */
async function waiting() {
  const stream = log.subscribe()
  for (let i = 0; i < 2 * PARTITIONS; i++) await stream.next()
  return stream.next()
}

// The first one that waits has brought everything else to its size.
const first = waiting()
await used()
const before = await used()
const second = waiting()
const bytes = ((await used()) - before) / PARTITIONS
log.append('last', null, { partition: 3 })
const [one, two] = await Promise.all([first, second])
console.log(JSON.stringify({ bytes, last: `${one.value.value} ${two.value.value}` }))
await log.close()
