// varve itself, through its public face, as a user's program has it.
import { Wal } from '../../../index.js'
import { BATCH, createPayloads, createShuffle } from '../../payload.mjs'
import { measureAwaited, measureEach, measurePasses, measureSteps } from '../../measure.mjs'

// close() syncs, which no rival does in the jobs without sync: here an empty record at 'os' hands everything over.
const handOver = (log) => () => log.appendAsync('', { durability: 'os' })

async function written(task, measured) {
  const log = await Wal.open(task.dir, { durability: task.durability })
  try {
    return await measured(log, createPayloads(task.size))
  } finally {
    await log.close()
  }
}

export const append = (task) =>
  written(task, (log, payloads) =>
    measureSteps(task, (i) => { log.append(payloads.stamp(i)) }, { finish: handOver(log) }))

export const appendBatch = (task) =>
  written(task, (log, payloads) =>
    measureSteps(task, (i) => { log.appendBatch(payloads.stampBatch(i)) }, { each: BATCH, stride: 4, finish: handOver(log) }))

export const appendPacked = (task) =>
  written(task, (log, payloads) =>
    measureSteps(task, (i) => { log.appendPacked(payloads.stampPacked(i), payloads.ends) },
      { each: BATCH, stride: 4, finish: handOver(log) }))

export const tail = (task) =>
  written(task, (log, payloads) => measureEach(task, (i) => { log.append(payloads.stamp(i)) }, { finish: handOver(log) }))

export const durablePlain = (task) =>
  written({ ...task, durability: 'disk' }, (log, payloads) =>
    measureSteps(task, (i) => { log.append(payloads.stamp(i)) }, { stride: 1 }))

export const durableAwaited = (task) =>
  written(task, (log, payloads) => measureAwaited(task, (i) => log.appendAsync(payloads.stamp(i), { durability: 'disk' })))

export const groupSync = (task) =>
  written(task, (log, payloads) =>
    measureAwaited(task, (i) => {
      for (let k = i; k < i + task.outstanding; k++) log.append(payloads.stamp(k))
      return log.sync()
    }, { each: task.outstanding }))

export const groupAsync = (task) =>
  written(task, (log, payloads) => {
    const waiting = Array.from({ length: task.outstanding })
    return measureAwaited(task, (i) => {
      for (let k = 0; k < waiting.length; k++) waiting[k] = log.appendAsync(payloads.stamp(i + k), { durability: 'disk' })
      return Promise.all(waiting)
    }, { each: task.outstanding })
  })

export const fill = (task) =>
  written(task, (log, payloads) => {
    for (let i = 0; i < task.records; i++) log.append(payloads.stamp(i))
    return { ops: task.records }
  })

export const readReader = (task) =>
  written(task, (log, payloads) =>
    measurePasses(task, () => {
      const reader = log.reader()
      let i = 0
      while (reader.advance()) payloads.check(reader.buffer, reader.start, reader.end, i++)
      reader.close()
      return i
    }))

export const readRecords = (task) =>
  written(task, (log, payloads) =>
    measurePasses(task, () => {
      let i = 0
      for (const { index, data } of log.records()) {
        payloads.check(data, 0, data.length, index)
        i++
      }
      return i
    }))

export const get = (task) =>
  written(task, (log, payloads) => {
    const next = createShuffle(task.records)
    return measureSteps({ ...task, records: task.gets }, () => {
      const index = next()
      const data = log.get(index)
      payloads.check(data, 0, data.length, index)
    })
  })
