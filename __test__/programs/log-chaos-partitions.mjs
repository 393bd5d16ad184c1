// Is killed while two threads append to a log of partitions in every way, and the main one removes from it besides. Arguments: directory, round, seed.
//   p <name> <from> <count> <kind>   is about to append messages <from>, <from> + 1 … of <name>: one by one (s), or in a batch, message n to partition n % 5 (b)
//   a <partition> <offset> <id> …    these are there from <offset> on, and survive the process
//   i <partition> <what> <argument>  is about to remove: trim <offset>, compact; partition -1: of all
//   d <partition>                    that is done, and durable
import { setImmediate, setTimeout } from 'node:timers/promises'
import { isMainThread, Worker, workerData } from 'node:worker_threads'
import { PartitionedLog } from 'varve'
import { messageOf, randomOf } from './log-chaos-message.mjs'
import { tell } from './log-chaos-tell.mjs'

const [dir, round, seed] = isMainThread ? process.argv.slice(2) : workerData
const name = `${round}${isMainThread ? 'm' : 'w'}`
const random = randomOf(Number(seed) * 31 + Number(round) * 1009 + name.charCodeAt(name.length - 1))

const options = { partitions: 6, segmentSize: 65_536, indexes: { key: true, time: true }, compression: ['none', 'lz4', 'zstd'][round % 3] }
const open = (durability) => PartitionedLog.open(dir, { ...options, durability })
let log = await open('os')
const buffered = await open('buffered')

let n = 0
/** The next messages of this thread, which are about to be appended. */
function next(count, kind) {
  tell(`p ${name} ${n} ${count} ${kind}`)
  return Array.from({ length: count }, () => {
    const id = `${name}:${n}`
    return { id, partition: n % 5, ...messageOf(name, n++) }
  })
}
/** Those without a key go to partitions in turn, some to the one that is hardly used. */
function one(to, { value, key, time, headers }) {
  const options = { time, headers, ...(random(100) === 0 ? { partition: 5 } : {}) }
  return to.append(value, key, options)
}
const acknowledge = ({ partition, offset }, ids) => tell(`a ${partition} ${offset} ${ids.join(' ')}`)
function acknowledgeBatch(placed, batch) {
  for (const place of placed) acknowledge(place, batch.filter(({ partition }) => partition === place.partition).map(({ id }) => id))
}
const plain = (batch) => batch.map(({ key, value, time, headers, partition }) => ({ key, value, time, headers, partition }))

const ways = {
  append() {
    for (const message of next(1 + random(8), 's')) acknowledge(one(log, message), [message.id])
  },
  batch() {
    const batch = next(1 + random(100), 'b')
    acknowledgeBatch(log.appendBatch(plain(batch)), batch)
  },
  async durable() {
    const batch = next(1 + random(30), 'b')
    acknowledgeBatch(await log.appendBatchAsync(plain(batch), { durability: 'disk' }), batch)
  },
  /** One sync is for all partitions. */
  async synced() {
    const singles = next(30, 's').map((message) => [one(buffered, message), [message.id]])
    const batch = next(1 + random(60), 'b')
    const placed = buffered.appendBatch(plain(batch))
    await buffered.sync()
    for (const single of singles) acknowledge(...single)
    acknowledgeBatch(placed, batch)
  },
}
const often = ['append', 'append', 'batch', 'durable', 'synced']

async function remove() {
  if (random(4) === 0) {
    tell('i -1 compact')
    await log.compact({ pause: random(2) })
    await log.sync()
    return tell('d -1')
  }
  const partition = random(6)
  const one = log.logs[partition]
  const beforeOffset = one.startOffset + random(1 + Math.floor((one.nextOffset - one.startOffset) / 2))
  tell(`i ${partition} trim ${beforeOffset}`)
  await one.trim({ beforeOffset })
  await log.sync()
  tell(`d ${partition}`)
}

if (isMainThread) new Worker(new URL(import.meta.url), { workerData: [dir, round, seed] })
let removal
for (;;) {
  await setImmediate()
  if (!isMainThread) await setTimeout(random(3))
  const which = isMainThread ? random(20) : 0
  if (which < 15) await ways[often[random(often.length)]]()
  else if (which < 19) removal ??= remove().finally(() => (removal = undefined))
  else {
    await removal
    await log.close()
    log = await open('os')
  }
}
