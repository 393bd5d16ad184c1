// lmdb: messages under integer keys, each as one run of bytes; with indexes two more tables in the same transaction, from key to offset and from time and offset.
// It is opened with `noSync`.
import path from 'node:path'
import { open as openEnvironment } from 'lmdb'
import { BATCH, createShuffle } from '../../payload.mjs'
import { measureAwaited, measureOpens, measurePasses, measureSteps } from '../../measure.mjs'
import { createMessages, createRing, IN_FLIGHT, timeOf } from '../messages.mjs'

function openTables(task) {
  const environment = openEnvironment({ path: path.join(task.dir, 'lmdb'), noSync: true, maxDbs: 3 })
  const log = environment.openDB('messages', { encoding: 'binary', keyEncoding: 'uint32' })
  const keys = task.indexed ? environment.openDB('keys', { encoding: 'binary', keyEncoding: 'binary' }) : undefined
  const times = task.indexed ? environment.openDB('times', { encoding: 'binary', keyEncoding: 'binary' }) : undefined
  return { environment, log, keys, times }
}

async function withTables(task, measured) {
  const tables = openTables(task)
  try {
    return await measured(tables, createMessages(task))
  } finally {
    await tables.environment.close()
  }
}

/** What one message is in each table, in memory that the next 1,024 do not take. */
function createRows(messages) {
  const offsets = createRing(4)
  const instants = createRing(12)
  const sought = Buffer.alloc(12)
  const instant = (into, time, offset) => {
    into.writeDoubleBE(time, 0)
    into.writeUInt32BE(offset, 8)
    return into
  }
  return {
    put(tables, write, i, { key, value }, time) {
      const result = tables.log[write](i, messages.encode(i, key, value, time))
      if (tables.keys === undefined) return result
      const offset = offsets(i)
      offset.writeUInt32LE(i)
      tables.keys[write](key, offset)
      return tables.times[write](instant(instants(i), time, i), offset)
    },
    from: (time) => instant(sought, time, 0),
  }
}

const one = (messages, i) => ({ key: messages.key(i), value: messages.value(i) })

function verify({ log, keys }, messages, result) {
  const last = messages.base + result.next - 1
  const offset = keys === undefined ? last : keys.get(messages.key(last)).readUInt32LE()
  const bytes = log.get(offset)
  messages.checkEncoded(last, bytes, 0, bytes.length, false)
  return result
}

/** A transaction each. */
export const appendSync = (task) =>
  withTables(task, async (tables, messages) => {
    const rows = createRows(messages)
    const put = (i) => rows.put(tables, 'putSync', i, one(messages, i), Date.now())
    const step = task.indexed
      ? (i) => { tables.environment.transactionSync(() => put(messages.base + i)) }
      : (i) => { put(messages.base + i) }
    return verify(tables, messages, await measureSteps(task, step, { stride: 16 }))
  })

/** Another thread writes what `put` was given, later; `each` are awaited together. */
export const appendAsync = (task) =>
  withTables(task, async (tables, messages) => {
    const rows = createRows(messages)
    const step = (i) => {
      let last
      for (let k = messages.base + i; k < messages.base + i + IN_FLIGHT; k++) last = rows.put(tables, 'put', k, one(messages, k), Date.now())
      return last
    }
    return verify(tables, messages, await measureAwaited(task, step, { each: IN_FLIGHT }))
  })

/** One transaction a batch. */
export const batchSync = (task) =>
  withTables(task, async (tables, messages) => {
    const rows = createRows(messages)
    const step = (i) => {
      const from = messages.base + i
      const batch = messages.batch(from)
      const now = Date.now()
      tables.environment.transactionSync(() => {
        for (let k = 0; k < BATCH; k++) rows.put(tables, 'putSync', from + k, batch[k], now)
      })
    }
    return verify(tables, messages, await measureSteps(task, step, { each: BATCH, stride: 1 }))
  })

export const fill = (task) =>
  withTables(task, async (tables, messages) => {
    const rows = createRows(messages)
    for (let i = 0; i < task.records; i += IN_FLIGHT) {
      tables.environment.transactionSync(() => {
        for (let k = i; k < Math.min(i + IN_FLIGHT, task.records); k++) rows.put(tables, 'putSync', k, one(messages, k), timeOf(k))
      })
    }
    return { ops: task.records }
  })

export const readRange = (task) =>
  withTables(task, ({ log }, messages) =>
    measurePasses(task, () => {
      let i = 0
      for (const { key, value } of log.getRange()) {
        messages.checkEncoded(key, value, 0, value.length)
        i++
      }
      return i
    }))

const lookups = (find) => (task) =>
  withTables(task, (tables, messages) => {
    const next = createShuffle(task.records)
    const rows = createRows(messages)
    return measureSteps({ ...task, records: task.gets }, () => {
      const i = next()
      const bytes = tables.log.get(find(tables, i, messages, rows))
      messages.checkEncoded(i, bytes, 0, bytes.length)
    }, { stride: 32 })
  })

const byTime = ({ times }, start) => {
  for (const { key } of times.getRange({ start, limit: 1 })) return key.readUInt32BE(8)
  return undefined
}

export const get = lookups((_tables, i) => i)
export const getByKey = lookups(({ keys }, i, messages) => keys.get(messages.keyNamed(i)).readUInt32LE())
export const getByTime = lookups((tables, i, _messages, rows) => byTime(tables, rows.from(timeOf(i))))

/** Keys that no message has. */
export const miss = (task) =>
  withTables(task, ({ keys }, messages) => {
    const next = createShuffle(task.records)
    return measureSteps({ ...task, records: task.gets }, () => {
      if (keys.get(messages.keyNamed(2 ** 31 + next())) !== undefined) throw new Error('found what is not there')
    }, { stride: 32 })
  })

export const open = (task) => {
  const messages = createMessages(task)
  const i = task.records >> 1
  return measureOpens(task, () => {
    const tables = openTables(task)
    const bytes = tables.log.get(tables.keys.get(messages.keyNamed(i)).readUInt32LE())
    messages.checkEncoded(i, bytes, 0, bytes.length)
    return tables
  }, ({ environment }) => environment.close())
}
