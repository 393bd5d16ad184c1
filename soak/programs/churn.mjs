// Uses a log in every way for a while, and looks now and then at what the process holds. Arguments: directory, shape, milliseconds. A sample a line, as JSON.
//   cycle    opened and closed again and again
//   steady   one handle, kept open
import { readdirSync, readFileSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { Wal } from 'varve'

const [dir, shape, millis] = process.argv.slice(2)
const options = { segmentSize: 1 << 18 }

function use(log, kept) {
  const payload = Buffer.alloc(3000, 7)
  for (let i = 0; i < 1500; i++) log.append(payload.subarray(0, (i * 131) % 3000))
  for (const { data } of log.records({ from: Math.max(log.firstIndex, log.nextIndex - 500), zeroCopy: true })) kept.push(data)
  const reader = log.reader({ from: log.firstIndex })
  while (reader.advance()) kept.bytes = reader.end
  reader.close()
  for (let i = 0; i < 200; i++) log.get(log.nextIndex - 1 - i * 3)
}

async function useLater(log) {
  const controller = new AbortController()
  let seen = 0
  try {
    for await (const { index } of log.tail({ from: Math.max(log.firstIndex, log.nextIndex - 700), signal: controller.signal })) {
      if (++seen === 600) log.append('more')
      if (index === log.nextIndex - 1) controller.abort()
    }
  } catch (error) {
    if (error.name !== 'AbortError') throw error
  }
  await Promise.all(Array.from({ length: 100 }, (_, i) => log.appendAsync(`later ${i}`)))
  for await (const { index } of log.recordsAsync({ from: log.nextIndex - 300 })) seen = index
  if (log.nextIndex - log.firstIndex > 3000) log.truncateBefore(log.nextIndex - 2000)
  await log.sync()
}

/** Garbage is collected until nothing more goes: a finalizer runs a turn after its object. */
async function collect() {
  for (let turn = 0; turn < 6; turn++) {
    globalThis.gc()
    await setImmediate()
  }
}

function sample(log) {
  const maps = readFileSync('/proc/self/maps', 'utf8').split('\n').filter((line) => line.includes(dir))
  const memory = process.memoryUsage()
  console.log(JSON.stringify({
    rss: memory.rss,
    external: memory.external + memory.arrayBuffers,
    heap: memory.heapUsed,
    maps: maps.length,
    // A file that the log still counts as its own may be mapped; one that was removed may not, once nothing holds it.
    deletedMaps: maps.filter((line) => line.endsWith('(deleted)')).length,
    segments: log?.stats().segments ?? 0,
    files: readdirSync('/proc/self/fd').length,
  }))
}

let log = shape === 'steady' ? Wal.openSync(dir, options) : undefined
const until = Date.now() + Number(millis)
for (let round = 0; Date.now() < until; round++) {
  if (shape === 'cycle') log = Wal.openSync(dir, options)
  const kept = []
  use(log, kept)
  await useLater(log)
  if (shape === 'cycle') await log.close()
  // Views outlive the handle that gave them.
  if (kept.some((view) => view.length > 0 && view[0] !== 7 && !view.toString().startsWith('later') && !view.toString().startsWith('more'))) throw new Error('a view has changed')
  kept.length = 0
  if (shape === 'cycle') log = undefined
  if (round % 3 === 2) {
    await collect()
    sample(log)
  }
}
await log?.close()
