// Fills a small file system with messages until it is full, then makes room, and goes on. Prints what it met, as JSON.
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { Log } from 'varve'

const [dir, ballast] = process.argv.slice(2)
const log = Log.openSync(join(dir, 'log'), { segmentSize: 1 << 20, indexes: { key: true, time: true } })
const events = []
log.on('error', (error) => events.push(error.code))
const value = (offset) => `value ${offset}.`.padEnd(1000)
const append = () => log.append(value(log.nextOffset), `key ${log.nextOffset % 7}`, { time: log.nextOffset })
const batch = (count) => log.appendBatch(Array.from({ length: count }, (_, i) => ({ value: value(log.nextOffset + i), key: `key ${(log.nextOffset + i) % 7}`, time: log.nextOffset + i })))
const met = { events }

async function fill() {
  for (;;) {
    try {
      append()
      if (log.nextOffset % 500 === 0) await log.sync()
    } catch (error) {
      return error.code
    }
  }
}
const codeOf = (call) => {
  try {
    return call()
  } catch (error) {
    return error.code
  }
}

met.first = await fill()
met.held = log.nextOffset
met.durable = await log.sync()
met.batch = codeOf(() => batch(3000))
met.save = codeOf(() => log.cursor('c').save(5)) ?? 'saved'
met.afterBatch = log.nextOffset
met.consumed = [...log.messages()].every((message) => message.value.toString() === value(message.offset))
rmSync(ballast)
// The next segment is prepared in the background.
for (let tries = 0; tries < 500 && met.resumed === undefined; tries++) {
  try {
    met.resumed = append()
  } catch {
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
batch(100)
met.after = await log.sync()
await log.close()
console.log(JSON.stringify(met))
