// A worker thread that uses the message log it is told to, in the way it is told, and posts what it gets.
import { parentPort, workerData } from 'node:worker_threads'
import { Log } from 'varve'

const { dir, how, name = '', count = 0 } = workerData
const log = Log.openSync(dir)

const ways = {
  /** Appends `count` messages one by one, each with this thread's name as its key. */
  plain: () => {
    for (let i = 0; i < count; i++) log.append(`${name}:${i}`, name)
  },
  batch: () => {
    for (let i = 0; i < count; i += 50) log.appendBatch(Array.from({ length: 50 }, (_, j) => ({ value: `${name}:${i + j}`, key: name })))
  },
  durable: async () => {
    const promises = []
    for (let i = 0; i < count; i++) promises.push(log.appendAsync(`${name}:${i}`, name, { durability: 'disk' }))
    await Promise.all(promises)
  },
  /** Appends only where it expects to, and again where another was there first. */
  expecting: async () => {
    for (let i = 0; i < count; ) {
      try {
        log.append(`${name}:${i}`, name, { expectedOffset: log.nextOffset })
        i++
      } catch (error) {
        if (error.code !== 'VARVE_CONFLICT') throw error
        await new Promise(setImmediate)
      }
    }
  },
  /** Checks each message, and posts one line at the end. */
  subscribe: async () => {
    parentPort.postMessage('ready')
    let next = 0
    for await (const { offset, value } of log.subscribe()) {
      if (offset !== next || value.toString() !== `value ${offset}`) throw new Error(`${offset}: ${value}, where ${next} should come`)
      if (++next === count) break
    }
    parentPort.postMessage(`${next} in order`)
  },
  blocking: async () => {
    parentPort.postMessage('ready')
    for (let from = 0; from < count; ) {
      const { messages, nextOffset } = await log.consumeBlocking(from)
      for (const { offset, value } of messages) if (offset !== from++ || value.toString() !== `value ${offset}`) throw new Error(`${offset}: ${value}`)
      from = nextOffset
    }
    parentPort.postMessage(`${count} in order`)
  },
}
await ways[how]()
await log.close()
