// async-append-only-log: blocks of 64 KiB in memory, written (and synced, always) behind the caller's back.
import path from 'node:path'
import createLog from 'async-append-only-log'
import { BATCH, createPayloads, createShuffle } from '../../payload.mjs'
import { measureAwaited, measurePasses, measureSteps } from '../../measure.mjs'

/** The shortest pause before it writes, in milliseconds: with the default of 250 a durable append takes a quarter of a second. */
const WRITE_TIMEOUT = 1

const promised = (call) => new Promise((resolve, reject) => call((error, result) => (error ? reject(error) : resolve(result))))

async function withLog(task, measured) {
  const log = createLog(path.join(task.dir, 'append-only.log'), { writeTimeout: WRITE_TIMEOUT })
  try {
    await new Promise((resolve) => log.onDrain(resolve))
    return await measured(log, createPayloads(task.size))
  } finally {
    await promised((done) => log.close(done))
  }
}

const drained = (log) => new Promise((resolve) => log.onDrain(resolve))
const failed = (error) => { if (error) throw error }

export const append = (task) =>
  withLog(task, (log, payloads) =>
    measureSteps(task, (i) => log.append(payloads.stamp(i), failed), { finish: () => drained(log) }))

export const appendBatch = (task) =>
  withLog(task, (log, payloads) =>
    measureSteps(task, (i) => log.append(payloads.stampBatch(i), failed), { each: BATCH, stride: 4, finish: () => drained(log) }))

export const durable = (task) =>
  withLog(task, (log, payloads) =>
    measureAwaited(task, (i) => {
      log.append(payloads.stamp(i), failed)
      return drained(log)
    }))

export const group = (task) =>
  withLog(task, (log, payloads) =>
    measureAwaited(task, (i) => {
      for (let k = i; k < i + task.outstanding; k++) log.append(payloads.stamp(k), failed)
      return drained(log)
    }, { each: task.outstanding }))

export const fill = (task) =>
  withLog(task, async (log, payloads) => {
    for (let i = 0; i < task.records; i++) log.append(payloads.stamp(i), failed)
    await drained(log)
    return { ops: task.records }
  })

const stream = (log, options, write) =>
  new Promise((resolve, reject) =>
    log.stream(options).pipe({ paused: false, write, end: (error) => (error ? reject(error) : resolve()) }))

export const readStream = (task) =>
  withLog(task, (log, payloads) =>
    measurePasses(task, async () => {
      let i = 0
      await stream(log, { offsets: false }, (data) => payloads.check(data, 0, data.length, i++))
      return i
    }))

/** Where each record lies is held in memory, found before the clock starts. */
export const get = (task) =>
  withLog(task, async (log, payloads) => {
    const offsets = new Float64Array(task.records)
    let found = 0
    await stream(log, { values: false }, (offset) => { offsets[found++] = offset })
    const next = createShuffle(task.records)
    return measureAwaited({ ...task, records: task.gets }, async () => {
      const index = next()
      const data = await promised((done) => log.get(offsets[index], done))
      payloads.check(data, 0, data.length, index)
    })
  })
