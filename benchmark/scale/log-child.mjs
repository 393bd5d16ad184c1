// One measurement in a process of its own: node log-child.mjs '{"job": …, "dir": …, "records": …}'. Prints one line of JSON.
import { readFileSync } from 'node:fs'
import { performance } from 'node:perf_hooks'
import { Log } from '../../index.js'
import { createMessages } from '../log/messages.mjs'
import { createShuffle } from '../payload.mjs'

const task = JSON.parse(process.argv[2])
const { records } = task
const messages = createMessages({ keys: records })
const ms = () => performance.now()
/** Memory of its own, in bytes. */
const anonymous = () => 1024 * Number(/^RssAnon:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))[1])

const PARTS = 10
/** Appends between two turns of the event loop. */
const TURN = 16_384
const WARM = 50_000
const LOOKUPS = 100_000

async function append(log, from, to) {
  for (let i = from; i < to; i++) {
    log.append(messages.value(i), messages.key(i))
    if (i % TURN === 0) await new Promise(setImmediate)
  }
}

/** Nanoseconds of `find(i)` for any message i. */
function lookUp(find) {
  const next = createShuffle(records)
  for (let i = 0; i < WARM; i++) find(next())
  const begin = ms()
  for (let i = 0; i < LOOKUPS; i++) find(next())
  return ((ms() - begin) * 1e6) / LOOKUPS
}

const look = (i, { value, key }) => messages.checkParts(i, value, key)

const jobs = {
  async fill() {
    const before = anonymous()
    const log = Log.openSync(task.dir, { indexes: { key: true, time: true } })
    const part = Math.min(30_000, records / 2 / PARTS)
    await append(log, 0, records - PARTS * part)
    const laps = []
    for (let from = records - PARTS * part; from < records; from += part) {
      const begin = ms()
      await append(log, from, from + part)
      laps.push(((ms() - begin) * 1e6) / part)
    }
    const anon = anonymous() - before
    await log.sync()
    const { indexBytes, bytes } = log.stats()
    await log.close()
    return { append: laps, anon, tables: indexBytes, bytes }
  },
  open() {
    const begin = ms()
    const log = Log.openSync(task.dir)
    const opened = ms() - begin
    const { messages: held } = log.stats()
    log.closeSync()
    if (held !== records) throw new Error(`found ${held} of ${records}`)
    return { ms: opened }
  },
  find() {
    const before = anonymous()
    const log = Log.openSync(task.dir)
    const key = lookUp((i) => look(i, log.getByKey(messages.keyNamed(i))))
    const missing = lookUp((i) => {
      if (log.getByKey(messages.keyNamed(2 ** 31 + i)) !== undefined) throw new Error('found what is not there')
    })
    const offset = lookUp((i) => look(i, log.get(i)))
    const first = log.get('first').time
    const span = log.get('last').time - first
    const time = lookUp((i) => {
      // Times are kept in microseconds.
      const wanted = Math.round((first + (span * i) / records) * 1000) / 1000
      const found = log.getByTime(wanted)
      if (found === undefined || found.time < wanted) throw new Error(`by time ${wanted} came ${found?.time}`)
      look(found.offset, found)
    })
    const anon = anonymous() - before
    const index = log.stats().indexMemoryBytes
    log.closeSync()
    return { offset, key, missing, time, anon, index }
  },
}
console.log(JSON.stringify(await jobs[task.job]()))
