// Is killed while two threads append to a message log in every way, and the main one removes, compacts, consumes and saves places besides. Arguments: directory, round, seed, whether retention runs.
//   p <name> <from> <count> <kind>   is about to append messages <from>, <from> + 1 … of <name>: one by one (s), in a batch (b), or in batch <n> of producer <name> (q<n>)
//   a <offset> <count> <name> <from> so many of these have got <offset>, <offset> + 1 …, and survive the process
//   i <what> <argument>              is about to remove: delete <offset,…>, trim <offset>, compact (all that is old enough), some <time> (what is older)
//   d                                that is done, and durable
//   c <offset>, C <offset>           the cursor is about to be saved, and is
//   h <offset>, H <offset>           the same of the high-water mark
import { setImmediate, setTimeout } from 'node:timers/promises'
import { isMainThread, Worker, workerData } from 'node:worker_threads'
import { Log } from 'varve'
import { BEGIN, idOf, messageOf, randomOf } from './log-chaos-message.mjs'
import { tell } from './log-chaos-tell.mjs'

const [dir, round, seed, retains] = isMainThread ? process.argv.slice(2) : workerData
const name = `${round}${isMainThread ? 'm' : 'w'}`
const random = randomOf(Number(seed) * 31 + Number(round) * 1009 + name.charCodeAt(name.length - 1))

const options = {
  segmentSize: 65_536, indexes: { key: true, time: true },
  compression: ['none', 'lz4', 'zstd', 'snappy', 'gzip'][round % 5],
  ...(retains === 'true' ? { retention: { maxMessages: 1500 } } : {}),
}
const open = () => Log.openSync(dir, { ...options, durability: 'os' })
let log = open()
const buffered = Log.openSync(dir, options)

let [n, sequence] = [0, 0]
/** The next messages of this thread, which are about to be appended. */
function next(count, kind) {
  tell(`p ${name} ${n} ${count} ${kind}`)
  return Array.from({ length: count }, () => messageOf(name, n++))
}
const acknowledge = (offset, count, from) => tell(`a ${offset} ${count} ${name} ${from}`)
const one = (to, { value, key, ...facts }) => to.append(value, key, facts)

const ways = {
  append() {
    const from = n
    for (const [i, message] of next(1 + random(8), 's').entries()) acknowledge(one(log, message), 1, from + i)
  },
  batch(count = 1 + random(60)) {
    const from = n
    acknowledge(log.appendBatch(next(count, 'b')), count, from)
  },
  /** Over several groups and segments. */
  large: () => ways.batch(400),
  other() {
    const [from, count] = [n, 1 + random(40)]
    acknowledge(log.appendBatch(next(count, 'b'), { compression: 'none' }), count, from)
  },
  producer() {
    const [from, count] = [n, 1 + random(20)]
    const producer = { id: Number(round) * 2 + (isMainThread ? 0 : 1), epoch: 0, sequence: sequence++ }
    acknowledge(log.appendBatch(next(count, `q${producer.sequence}`), { producer }), count, from)
  },
  async durable() {
    const from = n
    await Promise.all(next(5, 's').map(async ({ value, key, ...facts }, i) => acknowledge(await log.appendAsync(value, key, { ...facts, durability: 'disk' }), 1, from + i)))
  },
  async synced() {
    const from = n
    const at = next(20, 's').map((message) => one(buffered, message))
    await buffered.sync()
    at.forEach((offset, i) => acknowledge(offset, 1, from + i))
  },
}
const often = ['append', 'append', 'append', 'batch', 'batch', 'large', 'other', 'producer', 'producer', 'durable', 'synced']

if (!isMainThread) {
  for (;;) {
    await ways[often[random(often.length)]]()
    await setTimeout(random(3))
  }
}
new Worker(new URL(import.meta.url), { workerData: [dir, round, seed, retains] })

let removal
async function remove() {
  const { startOffset, nextOffset } = log
  const held = nextOffset - startOffset
  const pause = random(3)
  // It stays small: all of it is read after each kill.
  switch (held > 6000 ? 2 : random(5)) {
    case 0:
    case 1: {
      const around = startOffset + random(held + 1)
      const offsets = Array.from({ length: 1 + random(40) }, () => (random(2) === 0 ? startOffset + random(held) : around + random(60))).filter((offset) => offset < nextOffset)
      if (offsets.length === 0) return
      tell(`i delete ${offsets}`)
      await log.delete(offsets, { pause })
      break
    }
    case 2: {
      const beforeOffset = held > 6000 ? nextOffset - 2000 : startOffset + random(1 + Math.floor(held / 3))
      tell(`i trim ${beforeOffset}`)
      await log.trim({ beforeOffset }, { pause })
      break
    }
    case 3:
      tell('i compact')
      await log.compact({ pause })
      break
    default: {
      const before = BEGIN + random(n * 10 + 1)
      tell(`i some ${before}`)
      await (random(2) === 0 ? log.compact({ before, pause }) : log.trim({ updatesBefore: before }, { pause }))
    }
  }
  // A trim is durable with the next sync.
  await log.sync()
  tell('d')
}

/** Reads what there is, in order, and saves its place, as a consumer does. */
async function consume() {
  for (;;) {
    const at = log
    try {
      const cursor = at.cursor('billing', { holdRetention: true })
      for await (const message of at.subscribe({ from: Math.max(cursor.offset, at.startOffset) })) {
        idOf(message)
        if (message.offset < cursor.offset) throw new Error(`${message.offset} comes again`)
        if (random(50) > 0) continue
        tell(`c ${message.offset + 1}`)
        cursor.save(message.offset + 1)
        await at.sync()
        tell(`C ${message.offset + 1}`)
      }
    } catch (error) {
      if (!['VARVE_OUT_OF_RANGE', 'VARVE_CLOSED'].includes(error.code)) throw error
    }
    await setImmediate()
  }
}
void consume()

for (;;) {
  await setImmediate()
  const which = random(20)
  if (which < 14) {
    await ways[often[random(often.length)]]()
  } else if (which < 17) {
    removal ??= remove().finally(() => (removal = undefined))
  } else if (which < 19) {
    const to = log.nextOffset - random(50)
    if (to <= 0) continue
    tell(`h ${to}`)
    log.advanceHighWaterMark(to)
    log.syncSync()
    tell(`H ${to}`)
  } else {
    await removal
    await log.close()
    log = open()
  }
}
