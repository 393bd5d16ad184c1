// classic-level (LevelDB): messages under `m` and their offset, each as one run of bytes; with indexes, in the same batch, `k` and the key, and `t`, time and offset.
// It writes on other threads only, so that many writes are under way at a time; its log is not synced.
import path from 'node:path'
import { ClassicLevel } from 'classic-level'
import { BATCH, createShuffle } from '../../payload.mjs'
import { measureAwaited, measureOpens, measurePasses, measureSteps } from '../../measure.mjs'
import { createMessages, createRing, IN_FLIGHT, KEY, timeOf } from '../messages.mjs'

const [MESSAGE, BY_KEY, BY_TIME] = ['m', 'k', 't'].map((letter) => letter.charCodeAt(0))
/** Entries that one call of an iterator gives. */
const MANY = 1000

async function openLevel(task) {
  const level = new ClassicLevel(path.join(task.dir, 'level'), { keyEncoding: 'buffer', valueEncoding: 'buffer', cacheSize: 64 << 20 })
  await level.open()
  return level
}

async function withLevel(task, measured) {
  const level = await openLevel(task)
  try {
    return await measured(level, createMessages(task), createNames())
  } finally {
    await level.close()
  }
}

/** Keys of LevelDB, in memory that the next 1,024 do not take. */
function createNames() {
  const offsets = createRing(5)
  const keys = createRing(1 + KEY)
  const times = createRing(13)
  const sought = { offset: Buffer.alloc(5), key: Buffer.alloc(1 + KEY), time: Buffer.alloc(13) }
  const offset = (i, into = offsets(i)) => {
    into[0] = MESSAGE
    into.writeUInt32BE(i, 1)
    return into
  }
  const key = (i, bytes, into = keys(i)) => {
    into[0] = BY_KEY
    into.set(bytes, 1)
    return into
  }
  const time = (i, at, into = times(i)) => {
    into[0] = BY_TIME
    into.writeDoubleBE(at, 1)
    into.writeUInt32BE(i, 9)
    return into
  }
  return {
    offset, key, time,
    /** The same, in memory that the next call takes. */
    soughtOffset: (i) => offset(i, sought.offset),
    soughtKey: (bytes) => key(0, bytes, sought.key),
    soughtTime: (at) => time(0, at, sought.time),
  }
}

/** What one message comes to. */
function operationsOf(task, messages, names, i, { key, value }, time, into = []) {
  const name = names.offset(i)
  into.push({ type: 'put', key: name, value: messages.encode(i, key, value, time) })
  if (task.indexed) into.push({ type: 'put', key: names.key(i, key), value: name }, { type: 'put', key: names.time(i, time), value: name })
  return into
}

const one = (messages, i) => ({ key: messages.key(i), value: messages.value(i) })

function verify(task, level, messages, names, result) {
  const last = messages.base + result.next - 1
  const bytes = level.getSync(task.indexed ? level.getSync(names.soughtKey(messages.key(last))) : names.soughtOffset(last))
  messages.checkEncoded(last, bytes, 0, bytes.length, false)
  return result
}

export const append = (task) =>
  withLevel(task, async (level, messages, names) => {
    const put = (i) => {
      const message = one(messages, i)
      if (task.indexed) return level.batch(operationsOf(task, messages, names, i, message, Date.now()))
      return level.put(names.offset(i), messages.encode(i, message.key, message.value, Date.now()))
    }
    const step = (i) => Promise.all(Array.from({ length: IN_FLIGHT }, (_, k) => put(messages.base + i + k)))
    return verify(task, level, messages, names, await measureAwaited(task, step, { each: IN_FLIGHT }))
  })

export const appendBatch = (task) =>
  withLevel(task, async (level, messages, names) => {
    const step = (i) => {
      const from = messages.base + i
      const batch = messages.batch(from)
      const now = Date.now()
      const operations = []
      for (let k = 0; k < BATCH; k++) operationsOf(task, messages, names, from + k, batch[k], now, operations)
      return level.batch(operations)
    }
    return verify(task, level, messages, names, await measureAwaited(task, step, { each: BATCH }))
  })

export const fill = (task) =>
  withLevel(task, async (level, messages, names) => {
    for (let i = 0; i < task.records; i += IN_FLIGHT) {
      const operations = []
      for (let k = i; k < Math.min(i + IN_FLIGHT, task.records); k++) operationsOf(task, messages, names, k, one(messages, k), timeOf(k), operations)
      await level.batch(operations)
    }
    return { ops: task.records }
  })

export const readAll = (task) =>
  withLevel(task, (level, messages) =>
    measurePasses(task, async () => {
      const iterator = level.iterator({ gte: Buffer.from([MESSAGE]), lt: Buffer.from([MESSAGE + 1]), highWaterMarkBytes: 1 << 20 })
      let i = 0
      for (;;) {
        const entries = await iterator.nextv(MANY)
        if (entries.length === 0) break
        for (const [, bytes] of entries) messages.checkEncoded(i++, bytes, 0, bytes.length)
      }
      await iterator.close()
      return i
    }))

const lookups = (find) => (task) =>
  withLevel(task, (level, messages, names) => {
    const next = createShuffle(task.records)
    return measureSteps({ ...task, records: task.gets }, () => {
      const i = next()
      const bytes = level.getSync(find(level, i, messages, names))
      messages.checkEncoded(i, bytes, 0, bytes.length)
    }, { stride: 32 })
  })

export const get = lookups((_level, i, _messages, names) => names.soughtOffset(i))
export const getByKey = lookups((level, i, messages, names) => level.getSync(names.soughtKey(messages.keyNamed(i))))

/** An iterator each, which works on another thread. */
export const getByTime = (task) =>
  withLevel(task, (level, messages, names) => {
    const next = createShuffle(task.records)
    return measureAwaited({ ...task, records: task.gets, warmup: 1000 }, async () => {
      const i = next()
      const iterator = level.values({ gte: names.soughtTime(timeOf(i)), lt: Buffer.from([BY_TIME + 1]), limit: 1 })
      const name = await iterator.next()
      await iterator.close()
      const bytes = level.getSync(name)
      messages.checkEncoded(i, bytes, 0, bytes.length)
    })
  })

/** Keys that no message has. */
export const miss = (task) =>
  withLevel(task, (level, messages, names) => {
    const next = createShuffle(task.records)
    return measureSteps({ ...task, records: task.gets }, () => {
      if (level.getSync(names.soughtKey(messages.keyNamed(2 ** 31 + next()))) !== undefined) throw new Error('found what is not there')
    }, { stride: 32 })
  })

export const open = (task) => {
  const messages = createMessages(task)
  const names = createNames()
  const i = task.records >> 1
  return measureOpens(task, async () => {
    const level = await openLevel(task)
    const bytes = level.getSync(level.getSync(names.soughtKey(messages.keyNamed(i))))
    messages.checkEncoded(i, bytes, 0, bytes.length)
    return level
  }, (level) => level.close())
}
