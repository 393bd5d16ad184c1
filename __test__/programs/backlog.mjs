// Appends 200 MB, half of it while a slow tail looks at one record a turn, and prints how far memory grew meanwhile, as JSON. Mapped files do not count.
import { readFileSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { Wal } from 'varve'

const RECORDS = 3200
const record = Buffer.alloc(65_536, 7)
const log = Wal.openSync(process.argv[2])
const measure = () => {
  try {
    return Number(/RssAnon:\s*(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))[1]) / 1024
  } catch {
    const { heapTotal, external } = process.memoryUsage()
    return (heapTotal + external) / 2 ** 20
  }
}
const append = async (count) => {
  for (let i = 0; i < count; i++) {
    log.append(record)
    if (i % 16 === 0) await log.sync()
  }
}
await append(RECORDS / 2)
const before = measure()
let most = before
let records = 0
const appended = append(RECORDS / 2)
for await (const { index, data } of log.tail()) {
  if (index !== records || data[65_535] !== 7) throw new Error(`${index}, where ${records} should come`)
  if (++records === RECORDS) break
  if (records % 8 === 0) await setImmediate()
  if (records % 64 === 0) most = Math.max(most, measure())
}
await appended
await log.close()
console.log(JSON.stringify({ records, megabytes: Math.round(most - before) }))
