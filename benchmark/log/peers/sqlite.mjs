// better-sqlite3: one table, prepared statements, a log of its own (WAL). `synchronous` is OFF: nothing is synced, as with the others. Cache and map are made large enough.
import path from 'node:path'
import Database from 'better-sqlite3'
import { BATCH, createShuffle } from '../../payload.mjs'
import { measureOpens, measurePasses, measureSteps } from '../../measure.mjs'
import { createMessages, timeOf } from '../messages.mjs'

/** Appends that share a transaction where they need not have one each. */
const GATHERED = 1024

function openTable(task) {
  const database = new Database(path.join(task.dir, 'messages.sqlite'))
  for (const pragma of ['journal_mode = WAL', 'synchronous = OFF', 'cache_size = -65536', 'mmap_size = 1073741824']) database.pragma(pragma)
  database.exec('CREATE TABLE IF NOT EXISTS messages (offset INTEGER PRIMARY KEY, key BLOB, time REAL NOT NULL, value BLOB)')
  if (task.indexed) {
    database.exec('CREATE INDEX IF NOT EXISTS by_key ON messages (key)')
    database.exec('CREATE INDEX IF NOT EXISTS by_time ON messages (time)')
  }
  return database
}

async function withTable(task, measured) {
  const database = openTable(task)
  try {
    return await measured(database, createMessages(task))
  } finally {
    database.close()
  }
}

const insertInto = (database) => database.prepare('INSERT INTO messages (offset, key, time, value) VALUES (?, ?, ?, ?)')

function verify(database, messages, result) {
  const last = messages.base + result.next - 1
  const { key, value } = database.prepare('SELECT key, value FROM messages ORDER BY offset DESC LIMIT 1').get()
  messages.checkParts(last, value, key ?? undefined)
  return result
}

/** A transaction each. */
export const appendEach = (task) =>
  withTable(task, async (database, messages) => {
    const insert = insertInto(database)
    const step = (i) => {
      const at = messages.base + i
      insert.run(at, messages.key(at), Date.now(), messages.value(at))
    }
    return verify(database, messages, await measureSteps(task, step, { stride: 16 }))
  })

export const appendGathered = (task) =>
  withTable(task, async (database, messages) => {
    const insert = insertInto(database)
    const begin = database.prepare('BEGIN')
    const commit = database.prepare('COMMIT')
    const step = (i) => {
      if (i % GATHERED === 0) begin.run()
      const at = messages.base + i
      insert.run(at, messages.key(at), Date.now(), messages.value(at))
      if ((i + 1) % GATHERED === 0) commit.run()
    }
    return verify(database, messages, await measureSteps(task, step, { stride: GATHERED }))
  })

/** One transaction a batch. */
export const appendBatch = (task) =>
  withTable(task, async (database, messages) => {
    const insert = insertInto(database)
    const all = database.transaction((from, batch, now) => {
      for (let k = 0; k < BATCH; k++) insert.run(from + k, batch[k].key, now, batch[k].value)
    })
    const step = (i) => { all(messages.base + i, messages.batch(messages.base + i), Date.now()) }
    return verify(database, messages, await measureSteps(task, step, { each: BATCH, stride: 1 }))
  })

export const fill = (task) =>
  withTable(task, async (database, messages) => {
    const insert = insertInto(database)
    const some = database.transaction((from, to) => {
      for (let i = from; i < to; i++) insert.run(i, messages.key(i), timeOf(i), messages.value(i))
    })
    for (let i = 0; i < task.records; i += 65_536) some(i, Math.min(i + 65_536, task.records))
    database.pragma('wal_checkpoint(TRUNCATE)')
    return { ops: task.records }
  })

export const readAll = (task) =>
  withTable(task, (database, messages) => {
    const select = database.prepare('SELECT offset, key, time, value FROM messages ORDER BY offset')
    return measurePasses(task, () => {
      let i = 0
      for (const { offset, key, time, value } of select.iterate()) {
        messages.checkParts(offset, value, key, time)
        i++
      }
      return i
    })
  })

const lookups = (sql, what) => (task) =>
  withTable(task, (database, messages) => {
    const select = database.prepare(`SELECT offset, key, time, value FROM messages WHERE ${sql} LIMIT 1`)
    const next = createShuffle(task.records)
    return measureSteps({ ...task, records: task.gets }, () => {
      const i = next()
      const { key, time, value } = select.get(what(i, messages))
      messages.checkParts(i, value, key, time)
    }, { stride: 32 })
  })

const BY_KEY = 'key = ? ORDER BY offset DESC'

export const get = lookups('offset = ?', (i) => i)
export const getByKey = lookups(BY_KEY, (i, messages) => messages.keyNamed(i))
/** Times rise with offsets here: the order by time is that by offset. */
export const getByTime = lookups('time >= ? ORDER BY time, offset', (i) => timeOf(i))

/** Keys that no message has. */
export const miss = (task) =>
  withTable(task, (database, messages) => {
    const select = database.prepare(`SELECT offset FROM messages WHERE ${BY_KEY} LIMIT 1`)
    const next = createShuffle(task.records)
    return measureSteps({ ...task, records: task.gets }, () => {
      if (select.get(messages.keyNamed(2 ** 31 + next())) !== undefined) throw new Error('found what is not there')
    }, { stride: 32 })
  })

export const open = (task) => {
  const messages = createMessages(task)
  const i = task.records >> 1
  return measureOpens(task, () => {
    const database = openTable(task)
    const { key, time, value } = database.prepare(`SELECT key, time, value FROM messages WHERE ${BY_KEY} LIMIT 1`).get(messages.keyNamed(i))
    messages.checkParts(i, value, key, time)
    return database
  }, (database) => { database.close() })
}
