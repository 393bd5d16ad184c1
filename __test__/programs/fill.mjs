// Fills a small file system with records until it is full, then makes room, and goes on. Prints what it met, as JSON.
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { Wal } from 'varve'

const [dir, ballast] = process.argv.slice(2)
const log = Wal.openSync(join(dir, 'log'), { segmentSize: 1 << 20 })
const events = []
log.on('error', (error) => events.push(error.code))
const record = Buffer.alloc(1000, 7)
const met = { events }

async function fill() {
  for (;;) {
    try {
      log.append(record)
      if (log.nextIndex % 500 === 0) await log.sync()
    } catch (error) {
      return { code: error.code, cause: error.cause?.code }
    }
  }
}

met.first = await fill()
met.held = log.nextIndex
met.durable = await log.sync()
met.again = await fill()
met.batch = await log.appendBatchAsync(Array.from({ length: 3000 }, () => record)).catch((error) => error.code)
met.afterBatch = log.nextIndex
met.read = [...log.records()].every(({ data }) => data.equals(record))
rmSync(ballast)
// The next segment is prepared in the background.
for (let tries = 0; tries < 200 && met.resumed === undefined; tries++) {
  try {
    met.resumed = log.append(record)
  } catch {
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
met.after = await log.sync()
await log.close()
console.log(JSON.stringify(met))
