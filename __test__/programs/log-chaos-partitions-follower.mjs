// Follows a log of partitions whose writer is killed, by one stream over all of them, and checks what it sees: no change, no invention, nothing out of order, nothing passed over. Argument: directory.
// For each line on its standard input, JSON of [start, next, hash] a partition, it waits until it has come to that state by itself, and answers 'ok'.
import { createHash } from 'node:crypto'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import { isVarveError, PartitionedLog } from 'varve'
import { idOf } from './log-chaos-message.mjs'

const log = await PartitionedLog.open(process.argv[2], { readOnly: true })
const partitions = [...log.logs.keys()]
/** All that was ever seen, by partition and offset. */
const known = partitions.map(() => new Map())
let [began, stands] = [[], []]
let [seen, overtaken] = [0, 0]

const fail = (message) => {
  console.log(`bad ${message.replaceAll('\n', ' ')}`)
  process.exit(1)
}

/** One that is not there is empty. */
function part(partition) {
  try {
    return log.logs[partition]
  } catch (error) {
    if (!isVarveError(error, 'VARVE_READONLY')) throw error
    return undefined
  }
}

/** True if it is new. */
function check(partition, message, way) {
  let id
  try {
    id = idOf(message)
  } catch (error) {
    fail(`${way}: ${error.message}`)
  }
  const before = known[partition].get(message.offset)
  if (before !== undefined && before !== id) fail(`${way}: ${partition}:${message.offset} was ${before}, and is ${id}`)
  known[partition].set(message.offset, id)
  return before === undefined
}

async function follow() {
  for (;;) {
    try {
      const from = partitions.map((partition) => part(partition)?.startOffset ?? 0)
      const messages = log.subscribe({ from })
      ;[began, stands] = [from, [...from]]
      for await (const message of messages) {
        const { partition, offset } = message
        if (offset < stands[partition]) fail(`${partition}:${offset} behind ${stands[partition] - 1}`)
        check(partition, message, 'subscribe')
        stands[partition] = offset + 1
        seen++
      }
      return
    } catch (error) {
      if (!isVarveError(error, 'VARVE_OUT_OF_RANGE')) fail(`${error.stack}`)
      overtaken++
      // What it knows may be behind the writer for a moment.
      await setTimeout(1)
    }
  }
}

/** Start, end and hash of each partition; and whether the stream has come by all that is there. */
function state() {
  let isSeen = true
  const all = partitions.map((partition) => {
    const hash = createHash('sha1')
    const one = part(partition)
    for (const message of one?.messages() ?? []) {
      const { offset } = message
      const isNew = check(partition, message, 'messages')
      hash.update(`${offset} ${known[partition].get(offset)}\n`)
      if (!isNew) continue
      known[partition].delete(offset)
      isSeen = false
      if (offset >= began[partition] && offset < stands[partition]) fail(`${partition}:${offset} was passed over by a stream that began at ${began[partition]} and stands at ${stands[partition]}`)
    }
    return [one?.startOffset ?? 0, one?.nextOffset ?? 0, hash.digest('hex')]
  })
  return [JSON.stringify(all), isSeen]
}

void follow()
console.log('ready')
for await (const wanted of createInterface({ input: process.stdin })) {
  for (let tries = 0; ; tries++) {
    let [is, isSeen] = ['', false]
    try {
      ;[is, isSeen] = state()
    } catch (error) {
      // Overtaken while it looked.
      if (!isVarveError(error, 'VARVE_OUT_OF_RANGE')) fail(`${error.stack}`)
    }
    if (is === wanted && isSeen) break
    if (tries === 1500) fail(`waits for ${wanted}, and stays at ${is}; the subscription stands at ${stands}`)
    await setTimeout(2)
  }
  console.log(`ok ${seen} ${overtaken}`)
}
process.exit()
