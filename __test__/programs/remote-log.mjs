// A message log that does what it is told by lines of JSON: [method, ...arguments], each answered by a line. Arguments: directory, options, as JSON.
import { createInterface } from 'node:readline'
import { Log } from 'varve'

const [dir, given] = process.argv.slice(2)
const options = JSON.parse(given)
const lineOf = ({ offset, key, value }) => `${offset} ${key ?? '-'} ${value ?? '-'}`
let log
let messages

const own = {
  open: async (more = {}) => ((log = await Log.open(dir, { ...options, ...more })), undefined),
  reopen: async (more) => (await log.close(), own.open(more)),
  /** Appends `count` messages that say their offset, one by one or in batches. */
  fill: (count, batch = 1) => {
    for (let i = 0; i < count; i += batch) {
      const message = (j) => ({ value: `value ${log.nextOffset + j}`, key: `key ${(log.nextOffset + j) % 5}` })
      if (batch === 1) log.append(message(0).value, message(0).key)
      else log.appendBatch(Array.from({ length: Math.min(batch, count - i) }, (_, j) => message(j)))
    }
    return log.nextOffset
  },
  lines: (from) => Array.from(log.messages(from === undefined ? {} : { from }), lineOf),
  subscribe: (from) => void (messages = log.subscribe(from === undefined ? {} : { from })),
  take: async (count) => {
    const lines = []
    while (lines.length < count) {
      const { value, done } = await messages.next()
      if (done) break
      lines.push(lineOf(value))
    }
    return lines
  },
  blocking: async (from) => {
    const { messages, nextOffset } = await log.consumeBlocking(from)
    return { lines: messages.map(lineOf), nextOffset }
  },
  save: (name, offset) => log.cursor(name).save(offset),
  state: () => ({ startOffset: log.startOffset, nextOffset: log.nextOffset, highWaterMark: log.highWaterMark }),
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
