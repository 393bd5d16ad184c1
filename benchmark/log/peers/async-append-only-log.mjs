// async-append-only-log: blocks of 64 KiB in memory, written (and synced, always) behind the caller's back; each message as one run of bytes.
// It has no index of keys or times: those are made by another package, for JSON of its own kind.
import path from 'node:path'
import createLog from 'async-append-only-log'
import { BATCH, createShuffle } from '../../payload.mjs'
import { measureAwaited, measurePasses, measureSteps } from '../../measure.mjs'
import { createMessages, timeOf } from '../messages.mjs'

/** The shortest pause before it writes, in milliseconds. */
const WRITE_TIMEOUT = 1

const promised = (call) => new Promise((resolve, reject) => call((error, result) => (error ? reject(error) : resolve(result))))
const drained = (log) => new Promise((resolve) => log.onDrain(resolve))
const failed = (error) => { if (error) throw error }

async function withLog(task, measured) {
  const log = createLog(path.join(task.dir, 'append-only.log'), { writeTimeout: WRITE_TIMEOUT })
  try {
    await drained(log)
    return await measured(log, createMessages(task))
  } finally {
    await promised((done) => log.close(done))
  }
}

const stream = (log, options, write) =>
  new Promise((resolve, reject) =>
    log.stream(options).pipe({ paused: false, write, end: (error) => (error ? reject(error) : resolve()) }))

export const append = (task) =>
  withLog(task, (log, messages) => {
    const step = (i) => log.append(messages.encode(i, messages.key(i), messages.value(i), Date.now()), failed)
    return measureSteps(task, step, { finish: () => drained(log) })
  })

export const appendBatch = (task) =>
  withLog(task, (log, messages) => {
    const step = (i) => {
      const now = Date.now()
      log.append(messages.batch(i).map(({ key, value }, k) => messages.encode(i + k, key, value, now)), failed)
    }
    return measureSteps(task, step, { each: BATCH, stride: 4, finish: () => drained(log) })
  })

export const fill = (task) =>
  withLog(task, async (log, messages) => {
    for (let i = 0; i < task.records; i++) log.append(messages.encode(i, messages.key(i), messages.value(i), timeOf(i)), failed)
    await drained(log)
    return { ops: task.records }
  })

export const readStream = (task) =>
  withLog(task, (log, messages) =>
    measurePasses(task, async () => {
      let i = 0
      await stream(log, { offsets: false }, (bytes) => messages.checkEncoded(i++, bytes, 0, bytes.length))
      return i
    }))

/** Where each message lies is held in memory, found before the clock starts. */
export const get = (task) =>
  withLog(task, async (log, messages) => {
    const places = new Float64Array(task.records)
    let found = 0
    await stream(log, { values: false }, (place) => { places[found++] = place })
    const next = createShuffle(task.records)
    return measureAwaited({ ...task, records: task.gets, warmup: 10_000 }, async () => {
      const i = next()
      const bytes = await promised((done) => log.get(places[i], done))
      messages.checkEncoded(i, bytes, 0, bytes.length)
    })
  })
