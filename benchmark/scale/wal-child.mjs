// One measurement in a process of its own: node child.mjs '{"job": …, "dir": …}'. Prints one line of JSON.
import { performance } from 'node:perf_hooks'
import { Worker } from 'node:worker_threads'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { Wal } from '../../index.js'

const SIZE = 138
const task = JSON.parse(process.argv[2])
const ms = () => performance.now()
const quantiles = (values) => {
  const sorted = Float64Array.from(values).sort()
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]
  return { p50: at(0.5), p99: at(0.99), least: at(0) }
}

/** Fills a log with `records` of 138 B, in batches of 64. */
function fill(log, records) {
  const data = Buffer.alloc(64 * SIZE, 0x5a)
  const ends = Uint32Array.from({ length: 64 }, (_, i) => (i + 1) * SIZE)
  for (let left = records; left > 0; left -= 64) {
    const count = Math.min(64, left)
    log.appendPacked(data.subarray(0, count * SIZE), ends.subarray(0, count))
  }
}

/** Appends one after another, and gives the microseconds until each was seen: `seen()` resolves to the time of that. */
async function latencies(log, count, seen) {
  const laps = []
  for (let i = 0; i < count + 200; i++) {
    const record = Buffer.alloc(SIZE)
    const arrives = seen()
    await new Promise(setImmediate)
    const begin = process.hrtime.bigint()
    record.writeBigUInt64LE(begin)
    log.append(record)
    if (task.flush) log.stats()
    const end = await arrives
    if (i >= 200) laps.push(Number(end - begin) / 1000)
  }
  return quantiles(laps)
}

const jobs = {
  fill() {
    const log = Wal.openSync(task.dir, { segmentSize: task.segmentSize })
    fill(log, task.records)
    log.closeSync()
  },
  /** All records in one segment that is not sealed; then closed, or killed with all of it synced, or nothing. */
  async unsealed() {
    const log = Wal.openSync(task.dir, { segmentSize: 256 << 20 })
    // The first segments are small, each next one larger: so many rotations, and the one that is written to is large enough.
    for (let i = 0; i < 6; i++) {
      log.append('x')
      log.rotate()
    }
    log.truncateBefore(log.nextIndex)
    log.syncSync()
    fill(log, task.records)
    if (task.end === 'closed') return log.closeSync()
    if (task.end === 'synced') log.syncSync()
    // What is buffered is handed over by the end of the turn.
    await new Promise((resolve) => setTimeout(resolve, 20))
    process.kill(process.pid, 'SIGKILL')
    await new Promise(() => {})
  },
  open() {
    const begin = ms()
    const log = Wal.openSync(task.dir)
    const opened = ms() - begin
    const { recovery, entries } = log.stats()
    log.closeSync()
    return { ms: opened, entries, torn: recovery.torn.length }
  },
  get() {
    const log = Wal.openSync(task.dir)
    const { firstIndex, nextIndex } = log
    const count = nextIndex - firstIndex
    let at = 1
    const next = () => firstIndex + ((at = (at * 48271) % 2147483647) % count)
    for (let i = 0; i < 50_000; i++) log.get(next())
    const begin = ms()
    for (let i = 0; i < 200_000; i++) log.get(next())
    const ns = ((ms() - begin) * 1e6) / 200_000
    const seen = ms()
    for (let i = 0; i < 200_000; i++) log.get(next(), { zeroCopy: true })
    const views = ((ms() - seen) * 1e6) / 200_000
    log.closeSync()
    return { ns, views }
  },
  async scan() {
    const log = Wal.openSync(task.dir)
    const count = log.nextIndex - log.firstIndex
    let begin = ms()
    let seen = 0
    for await (const _ of log.tail()) if (++seen === count) break
    const tail = ((ms() - begin) * 1e6) / count
    begin = ms()
    seen = 0
    for await (const _ of log.recordsAsync()) seen++
    const ahead = ((ms() - begin) * 1e6) / seen
    begin = ms()
    seen = 0
    for (const _ of log.records({ zeroCopy: true })) seen++
    const views = ((ms() - begin) * 1e6) / seen
    log.closeSync()
    return { tail, ahead, views }
  },
  async same() {
    const log = Wal.openSync(task.dir)
    const tail = log.tail({ from: 'end' })
    const result = await latencies(log, 5_000, async () => {
      await tail.next()
      return process.hrtime.bigint()
    })
    await tail.return()
    log.closeSync()
    return result
  },
  async worker() {
    const log = Wal.openSync(task.dir)
    const worker = new Worker(new URL('./seer.mjs', import.meta.url), { workerData: { dir: task.dir, readOnly: false } })
    await once(worker, 'message')
    const result = await latencies(log, 3_000, async () => (await once(worker, 'message'))[0])
    await worker.terminate()
    log.closeSync()
    return result
  },
  async process() {
    const log = Wal.openSync(task.dir, { durability: 'os' })
    log.append('first')
    const child = spawn(process.execPath, [new URL('./seer.mjs', import.meta.url).pathname, task.dir], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
    await once(child, 'message')
    const result = await latencies(log, 3_000, async () => BigInt((await once(child, 'message'))[0]))
    child.kill()
    log.closeSync()
    return result
  },
  /** Memory of its own while 2 GB are appended, and while they are read. */
  async memory() {
    const log = Wal.openSync(task.dir, { durability: { syncEveryMs: 200 } })
    const samples = { append: [], read: [] }
    const sample = () => Math.round(Number(/^RssAnon:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))[1]) / 1000)
    const each = Math.ceil(2e9 / SIZE / 8)
    for (let i = 0; i < 8; i++) {
      for (let j = 0; j < each; j += 10_000) {
        fill(log, Math.min(10_000, each - j))
        await new Promise(setImmediate)
      }
      samples.append.push(sample())
    }
    let seen = 0
    for await (const _ of log.tail()) {
      if (++seen % each === 0) samples.read.push(sample())
      if (seen === each * 8) break
    }
    log.closeSync()
    return samples
  },
}
console.log(JSON.stringify((await jobs[task.job]()) ?? {}))
