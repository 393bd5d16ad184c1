// Run with --expose-gc: forgets an open log, with a promise outstanding, and waits for it to be collected. Prints whether its lock is free.
import { setImmediate } from 'node:timers/promises'
import { Wal } from 'varve'

const dir = process.argv[2]
const outstanding = (() => {
  const log = Wal.openSync(dir)
  log.append('forgotten')
  const reader = log.reader()
  reader.advance()
  log.records().next()
  return log.appendAsync('durable', { durability: 'disk' })
})()
for (let i = 0; i < 3; i++) globalThis.gc()
const index = await outstanding
let free = false
for (let i = 0; i < 500 && !free; i++) {
  globalThis.gc()
  await setImmediate()
  try {
    // Another size than the open log's is refused as long as it is open.
    const log = Wal.openSync(dir, { segmentSize: 65_536 })
    free = log.nextIndex === 2
    log.closeSync()
  } catch {
    // Still held.
  }
}
console.log(JSON.stringify({ index, free }))
