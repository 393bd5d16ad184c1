// A worker thread that appends to a log shared with others, until it has appended `count` records or is terminated.
import { parentPort, workerData } from 'node:worker_threads'
import { isVarveError, Wal } from 'varve'

const { dir, name, count, how } = workerData
const log = Wal.openSync(dir)

const ways = {
  async plain() {
    for (let i = 0; i < count; i++) {
      log.append(`${name}:${i}`)
      // Half way, to let the others see records of this turn's end.
      if (i % 500 === 499) await new Promise(setImmediate)
    }
  },
  async batch() {
    for (let i = 0; i < count; i += 10) log.appendBatch(Array.from({ length: 10 }, (_, j) => `${name}:${i + j}`))
  },
  async durable() {
    for (let i = 0; i < count; i += 50) {
      await Promise.all(Array.from({ length: 50 }, (_, j) => log.appendAsync(`${name}:${i + j}`, { durability: 'disk' })))
    }
  },
  /** Each record goes where this thread expects the end: only one thread can be right. */
  async expecting() {
    for (let i = 0; i < count; ) {
      try {
        log.append(`${name}:${i}`, { expectedIndex: log.nextIndex })
        i++
      } catch (error) {
        if (!isVarveError(error, 'VARVE_CONFLICT')) throw error
      }
    }
  },
  /** Never ends: tells what it has, as it goes. */
  async endless() {
    for (let i = 0; ; i++) {
      const index = log.append(`${name}:${i}`)
      log.appendAsync(`${name}:async`, { durability: 'disk' }).catch(() => {})
      log.getAsync(index).catch(() => {})
      if (i % 50 === 0) {
        log.reader({ from: index }).advance()
        await log.sync()
        parentPort.postMessage({ index, text: `${name}:${i}` })
      }
    }
  },
}
await ways[how]()
await log.close()
parentPort.postMessage('done')
