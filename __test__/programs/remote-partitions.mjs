// A log of partitions that does what it is told: a line of JSON, [method, ...arguments], is answered by one.
import { createInterface } from 'node:readline'
import { PartitionedLog } from 'varve'

const [dir, options] = process.argv.slice(2)
let log
const own = {
  open: async () => void (log = await PartitionedLog.open(dir, JSON.parse(options))),
  /** Message i goes to its partition by its key. */
  fill: (from, to) => {
    for (let i = from; i < to; i++) log.append(`value ${i}`, `key ${i}`)
  },
  exit: () => process.exit(3),
}

for await (const line of createInterface({ input: process.stdin })) {
  const [method, ...args] = JSON.parse(line)
  let answer
  try {
    answer = { value: await (method in own ? own[method](...args) : log[method](...args)) }
  } catch (error) {
    answer = { code: error.code ?? error.name, message: error.message }
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`)
}
