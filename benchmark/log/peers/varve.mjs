// The Log itself, through its public face, as a user's program has it.
import { Log } from '../../../index.js'
import { BATCH, createShuffle } from '../../payload.mjs'
import { measureOpens, measurePasses, measureSteps } from '../../measure.mjs'
import { createMessages, timeOf } from '../messages.mjs'

const CONSUMED = 256

// close() syncs, which no rival does in the jobs without sync: here an empty message at 'os' hands everything over.
const handOver = (log) => () => log.appendAsync('', undefined, { durability: 'os' })

async function withLog(task, measured) {
  const log = await Log.open(task.dir, { indexes: { key: task.indexed, time: task.indexed } })
  try {
    return await measured(log, createMessages(task))
  } finally {
    await log.close()
  }
}

/** The last message must be there, and be found by its key. One message more was handed over before the clock started. */
function verify(log, messages, task, result) {
  const last = messages.base + result.next - 1
  const { value, key } = task.indexed ? log.getByKey(messages.key(last)) : log.get(last + 1)
  messages.checkParts(last, value, key ?? undefined)
  return result
}

export const append = (task) =>
  withLog(task, async (log, messages) => {
    const { base } = messages
    const step = task.keys === 0
      ? (i) => { log.append(messages.value(base + i)) }
      : (i) => { log.append(messages.value(base + i), messages.key(base + i)) }
    return verify(log, messages, task, await measureSteps(task, step, { finish: handOver(log) }))
  })

export const appendBatch = (task) =>
  withLog(task, async (log, messages) => {
    const step = (i) => { log.appendBatch(messages.batch(messages.base + i)) }
    return verify(log, messages, task, await measureSteps(task, step, { each: BATCH, stride: 4, finish: handOver(log) }))
  })

/** The system's turn, now and then: what is appended is written at its end. */
const TURN = 16_384

export const fill = (task) =>
  withLog(task, async (log, messages) => {
    for (let i = 0; i < task.records; i++) {
      log.append(messages.value(i), messages.key(i), { time: timeOf(i) })
      if (i % TURN === 0) await new Promise(setImmediate)
    }
    return { ops: task.records }
  })

/** The same messages, 64 under one header: to get at one of them, those before it are passed over. */
export const fillBatches = (task) =>
  withLog(task, async (log, messages) => {
    for (let i = 0; i < task.records; i += BATCH) {
      log.appendBatch(messages.batch(i).slice(0, task.records - i).map((message, k) => ({ ...message, time: timeOf(i + k) })))
      if (i % TURN === 0) await new Promise(setImmediate)
    }
    return { ops: task.records }
  })

export const readReader = (task) =>
  withLog(task, (log, messages) =>
    measurePasses(task, () => {
      const reader = log.reader()
      let i = 0
      while (reader.advance()) {
        const { buffer } = reader
        messages.check(i++, buffer, reader.start, reader.end, buffer, reader.keyStart, reader.keyEnd, reader.time)
      }
      reader.close()
      return i
    }))

export const readMessages = (task) =>
  withLog(task, (log, messages) =>
    measurePasses(task, () => {
      let i = 0
      for (const { offset, value, key, time } of log.messages()) {
        messages.checkParts(offset, value, key, time)
        i++
      }
      return i
    }))

export const readConsume = (task) =>
  withLog(task, (log, messages) =>
    measurePasses(task, () => {
      const options = { max: CONSUMED }
      let seen = 0
      for (let from = 0; ; ) {
        const consumed = log.consume(from, options)
        if (consumed.messages.length === 0) return seen
        for (const { offset, value, key, time } of consumed.messages) messages.checkParts(offset, value, key, time)
        seen += consumed.messages.length
        from = consumed.nextOffset
      }
    }))

const lookups = (find) => (task) =>
  withLog(task, (log, messages) => {
    const next = createShuffle(task.records)
    return measureSteps({ ...task, records: task.gets }, () => {
      const i = next()
      const { value, key, time } = find(log, i, messages)
      messages.checkParts(i, value, key, time)
    }, { stride: 32 })
  })

export const get = lookups((log, i) => log.get(i))
export const getByKey = lookups((log, i, messages) => log.getByKey(messages.keyNamed(i)))
export const getByTime = lookups((log, i) => log.getByTime(timeOf(i)))

/** Keys that no message has. */
export const miss = (task) =>
  withLog(task, (log, messages) => {
    const next = createShuffle(task.records)
    return measureSteps({ ...task, records: task.gets }, () => {
      if (log.getByKey(messages.keyNamed(2 ** 31 + next())) !== undefined) throw new Error('found what is not there')
    }, { stride: 32 })
  })

export const open = (task) => {
  const messages = createMessages(task)
  const i = task.records >> 1
  return measureOpens(task, async () => {
    const log = await Log.open(task.dir)
    const { value, key, time } = log.getByKey(messages.keyNamed(i))
    messages.checkParts(i, value, key, time)
    return log
  }, (log) => log.close())
}
