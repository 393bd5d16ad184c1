// Is killed while several worker threads do everything that a log can do. Arguments: directory, round, seed, whether retention runs.
// Each line goes through a pipe when what it says has happened, in the order in which it did; an intention goes before.
//   a <index> <count> <name> <n>   appended and acknowledged: records <n>, <n> + 1 … of <name>, at <index>, <index> + 1 …
//   i <operation> <argument>       is about to be done, by one thread alone
//   d                              is done, and survives the process
import { writeSync } from 'node:fs'
import { isMainThread, Worker, workerData } from 'node:worker_threads'
import { Wal } from 'varve'

const [dir, round, seed, retains] = isMainThread ? process.argv.slice(2) : workerData.argv
// Threads that append hold it together, at 1 each; one that does more has it alone, at -1.
const gate = isMainThread ? new Int32Array(new SharedArrayBuffer(4)) : workerData.gate
const name = isMainThread ? `${round}m` : workerData.name

let state = (Number(seed) * 31 + Number(round) * 1009 + name.charCodeAt(name.length - 1)) & 0x7fffffff
const random = (below) => {
  state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff
  return Math.floor((state / 0x80000000) * below)
}

function enter(alone) {
  for (;;) {
    const now = Atomics.load(gate, 0)
    if (alone ? now === 0 : now >= 0) {
      if (Atomics.compareExchange(gate, 0, now, alone ? -1 : now + 1) === now) return
    } else {
      Atomics.wait(gate, 0, now, 5)
    }
  }
}
function leave(alone) {
  if (alone) Atomics.store(gate, 0, 0)
  else Atomics.sub(gate, 0, 1)
  Atomics.notify(gate, 0)
}

/** One write(2) of less than PIPE_BUF, past all streams; waits where the pipe is full. */
function tell(line) {
  for (;;) {
    try {
      writeSync(1, `${line}\n`)
      return
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1)
    }
  }
}

let n = 0
const record = () => `${name}:${n++}:${'.'.repeat((n * 37) % 300)}`
const records = (count) => Array.from({ length: count }, record)
const acknowledge = (index, from) => tell(`a ${index} ${n - from} ${name} ${from}`)

const options = { segmentSize: 65_536, ...(retains === 'true' ? { retention: { maxSegments: 4 } } : {}) }
const open = () => Wal.openSync(dir, { ...options, durability: 'os' })
let log = open()
const buffered = Wal.openSync(dir, options)

/** By several threads at once. */
const together = {
  append: () => log.append(record()),
  batch: () => log.appendBatch(records(1 + random(40))),
  packed() {
    const list = records(1 + random(20)).map(Buffer.from)
    let end = 0
    return log.appendPacked(Buffer.concat(list), Uint32Array.from(list, ({ length }) => (end += length)))
  },
  large: () => log.appendBatch(records(1200)),
  async durable() {
    const from = n
    const appended = records(5).map(async (text, i) => {
      const index = await log.appendAsync(text, { durability: 'disk' })
      tell(`a ${index} 1 ${name} ${from + i}`)
    })
    await Promise.all(appended)
  },
  async synced() {
    const from = n
    const at = records(30).map((text) => buffered.append(text))
    await buffered.sync()
    at.forEach((index, i) => tell(`a ${index} 1 ${name} ${from + i}`))
  },
  rotate: () => void log.rotate(),
  async reopen() {
    await log.close()
    log = open()
  },
}
/** By one thread while no other does anything. The argument comes first, so that the intention can be told. */
const alone = {
  truncateAfter: () => log.firstIndex - 1 + random(log.nextIndex - log.firstIndex + 1),
  truncateBefore: () => log.firstIndex + random(log.nextIndex - log.firstIndex + 1),
  reset: () => (random(2) === 0 ? log.nextIndex + random(1000) : random(log.nextIndex + 1)),
  commit: () => log.firstIndex + random(Math.max(1, log.nextIndex - log.firstIndex)),
  enforceRetention: () => 0,
}
const often = ['append', 'append', 'append', 'batch', 'batch', 'packed', 'durable', 'synced', 'rotate', 'reopen', 'large']
const seldom = ['truncateAfter', 'truncateAfter', 'truncateBefore', 'commit', 'commit', 'enforceRetention', 'reset']

if (isMainThread) for (const thread of ['a', 'b']) new Worker(new URL(import.meta.url), { workerData: { argv: [dir, round, seed, retains], gate, name: `${round}${thread}` } })
for (;;) {
  if (random(12) > 0) {
    const operation = often[random(often.length)]
    enter(false)
    const from = n
    const index = await together[operation]()
    if (typeof index === 'number') acknowledge(index, from)
    leave(false)
  } else {
    const operation = seldom[random(seldom.length)]
    enter(true)
    const argument = alone[operation]()
    if (operation !== 'commit' || log.nextIndex > log.firstIndex) {
      tell(`i ${operation} ${argument}`)
      if (operation === 'enforceRetention') await log.enforceRetention()
      else log[operation](argument)
      // A commit is kept by the next sync.
      if (operation === 'commit') log.syncSync()
      tell('d')
    }
    leave(true)
  }
}
