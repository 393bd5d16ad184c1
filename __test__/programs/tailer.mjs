// A worker thread that reads the log it is told to, in the way it is told, and posts what it gets.
import { parentPort, workerData } from 'node:worker_threads'
import { Wal } from 'varve'

const { dir, how, count = Infinity, gated = false } = workerData
const log = Wal.openSync(dir, { commitGate: gated })

const ways = {
  /** Posts each record. */
  async tail() {
    const tail = log.tail()
    parentPort.postMessage('ready')
    for await (const { index, data } of tail) {
      parentPort.postMessage(`${index} ${data}`)
      if (index === count - 1) break
    }
  },
  /** Checks each record, and posts one line at the end. */
  async check() {
    let next = 0
    parentPort.postMessage('ready')
    for await (const { index, data } of log.tail()) {
      if (index !== next || !data.toString().startsWith(`${index}:`)) throw new Error(`${index}: ${data}, where ${next} should come`)
      if (++next === count) break
    }
    parentPort.postMessage(`${next} in order`)
  },
  async waitFor() {
    parentPort.postMessage('ready')
    parentPort.postMessage(`next ${await log.waitFor(count - 1)}`)
  },
  /** Tails from the first record, and again from there whenever it is overtaken, until it is told to end. */
  async again() {
    let [records, overtaken] = [0, 0]
    const controller = new AbortController()
    parentPort.once('message', () => controller.abort())
    parentPort.postMessage('ready')
    while (!controller.signal.aborted) {
      try {
        let next = log.firstIndex
        for await (const { index, data } of log.tail({ from: next, signal: controller.signal })) {
          if (index !== next++ || !data.toString().startsWith(`${index}:`)) throw new Error(`${index}: ${data}, where ${next - 1} should come`)
          records++
        }
      } catch (error) {
        if (error.name === 'AbortError') break
        if (error.code !== 'VARVE_OUT_OF_RANGE') throw error
        overtaken++
        await new Promise(setImmediate)
      }
    }
    parentPort.postMessage(`${records} records, overtaken ${overtaken} times`)
  },
  /** Never ends by itself: several wait at once, in every way. */
  async hang() {
    const waits = [log.tail({ from: 'end' }).next(), log.waitFor(1e9), log.tail().next(), log.waitFor(1e9, { signal: new AbortController().signal })]
    parentPort.postMessage('ready')
    await Promise.all(waits)
  },
}
await ways[how]()
await log.close()
