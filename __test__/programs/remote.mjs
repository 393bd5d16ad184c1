// A log that does what it is told by lines of JSON: [method, ...arguments], each answered by a line. Arguments: directory, options, as JSON.
import { createInterface } from 'node:readline'
import { isDeepStrictEqual } from 'node:util'
import { Wal } from 'varve'

const [dir, given] = process.argv.slice(2)
const options = JSON.parse(given)
let log
let tail

const own = {
  open: async (more = {}) => ((log = await Wal.open(dir, { ...options, ...more })), undefined),
  reopen: async (more) => (await log.close(), own.open(more)),
  /** Appends `count` records of `size` bytes, that say their index, one by one or in batches. */
  fill: (count, size = 20, batch = 1) => {
    for (let i = 0; i < count; i += batch) {
      const text = (j) => `${log.nextIndex + j}:`.padEnd(size, '.')
      if (batch === 1) log.append(text(0))
      else log.appendBatch(Array.from({ length: Math.min(batch, count - i) }, (_, j) => text(j)))
    }
    return log.nextIndex
  },
  texts: (from) => Array.from(log.records(from === undefined ? {} : { from }), ({ index, data }) => `${index} ${data}`),
  text: (index) => log.get(index)?.toString(),
  tail: (from) => void (tail = log.tail(from === undefined ? {} : { from })),
  take: async (count) => {
    const texts = []
    while (texts.length < count) {
      const { value, done } = await tail.next()
      if (done) break
      texts.push(`${value.index} ${value.data}`)
    }
    return texts
  },
  state: () => ({ firstIndex: log.firstIndex, nextIndex: log.nextIndex, committedIndex: log.committedIndex, durableIndex: log.durableIndex }),
  /** Waits until the log is as described. */
  become: async (wanted) => {
    for (;;) {
      const now = own.state()
      if (isDeepStrictEqual({ ...now, ...wanted }, now)) return
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
  },
}

for await (const line of createInterface({ input: process.stdin })) {
  const [method, ...args] = JSON.parse(line)
  try {
    const value = await (own[method] ? own[method](...args) : log[method](...args))
    console.log(JSON.stringify({ value }))
  } catch (error) {
    console.log(JSON.stringify({ code: error.code ?? error.name, message: `${method}: ${error.stack}` }))
  }
}
process.exit()
