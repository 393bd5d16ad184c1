// One compaction, from many messages to the last of each key.
import { Log } from '../../../index.js'
import { BATCH } from '../../payload.mjs'
import { createMessages } from '../messages.mjs'

/** Bytes in use: of messages, and of the tables of the key index. */
const used = (log) => ({ messages: log.segments().reduce((sum, { bytes }) => sum + bytes, 0), index: log.stats().indexBytes })

/** The longest time between two calls of a timer of 1 ms, while `work` goes on. */
async function watchLoop(work) {
  let longest = 0
  let before = performance.now()
  const ticker = setInterval(() => {
    const now = performance.now()
    longest = Math.max(longest, now - before)
    before = now
  }, 1)
  try {
    await work()
  } finally {
    clearInterval(ticker)
  }
  return Math.max(longest, performance.now() - before) - 1
}

export async function measure(task) {
  const log = await Log.open(task.dir, { indexes: { key: true, time: true } })
  const messages = createMessages(task)
  for (let i = 0; i < task.records; i += BATCH) {
    log.appendBatch(messages.batch(i))
    if (i % (BATCH * 256) === 0) await new Promise(setImmediate)
  }
  await log.sync()
  const end = log.nextOffset
  const last = new Map()
  for (let i = 0; i < end; i++) last.set(messages.key(i).latin1Slice(), i)
  const before = used(log)
  let seconds
  const stall = await watchLoop(async () => {
    const begin = performance.now()
    await log.compact()
    seconds = (performance.now() - begin) / 1000
  })
  const after = used(log)
  let left = 0
  for (const { offset, key, value } of log.messages()) {
    messages.checkParts(offset, value, key)
    if (last.get(key.latin1Slice()) !== offset) throw new Error(`message ${offset} is not the last of its key`)
    left++
  }
  if (left !== task.keys) throw new Error(`${left} messages are left of ${task.keys} keys`)
  await log.close()
  return { seconds, stall, before, after, left }
}
