// The Wal, which every message of a Log lies in: values alone, without key and time. What the Log adds to it is seen beside it.
import { Wal } from '../../../index.js'
import { BATCH, createPayloads, createShuffle } from '../../payload.mjs'
import { measureOpens, measurePasses, measureSteps } from '../../measure.mjs'
import { VALUE } from '../messages.mjs'

const handOver = (log) => () => log.appendAsync('', { durability: 'os' })

async function withWal(task, measured) {
  const log = await Wal.open(task.dir)
  try {
    return await measured(log, createPayloads(VALUE))
  } finally {
    await log.close()
  }
}

export const append = (task) =>
  withWal(task, (log, payloads) =>
    measureSteps(task, (i) => { log.append(payloads.stamp(i)) }, { finish: handOver(log) }))

export const appendBatch = (task) =>
  withWal(task, (log, payloads) =>
    measureSteps(task, (i) => { log.appendBatch(payloads.stampBatch(i)) }, { each: BATCH, stride: 4, finish: handOver(log) }))

export const fill = (task) =>
  withWal(task, async (log, payloads) => {
    for (let i = 0; i < task.records; i++) {
      log.append(payloads.stamp(i))
      if (i % 16_384 === 0) await new Promise(setImmediate)
    }
    return { ops: task.records }
  })

export const readReader = (task) =>
  withWal(task, (log, payloads) =>
    measurePasses(task, () => {
      const reader = log.reader()
      let i = 0
      while (reader.advance()) payloads.check(reader.buffer, reader.start, reader.end, i++)
      reader.close()
      return i
    }))

export const readRecords = (task) =>
  withWal(task, (log, payloads) =>
    measurePasses(task, () => {
      let i = 0
      for (const { index, data } of log.records()) {
        payloads.check(data, 0, data.length, index)
        i++
      }
      return i
    }))

export const get = (task) =>
  withWal(task, (log, payloads) => {
    const next = createShuffle(task.records)
    return measureSteps({ ...task, records: task.gets }, () => {
      const index = next()
      const data = log.get(index)
      payloads.check(data, 0, data.length, index)
    }, { stride: 32 })
  })

export const open = (task) => {
  const payloads = createPayloads(VALUE)
  return measureOpens(task, async () => {
    const log = await Wal.open(task.dir)
    const data = log.get(task.records - 1)
    payloads.check(data, 0, data.length, task.records - 1)
    return log
  }, (log) => log.close())
}
