// Takes views of a log, cuts its files to a length meanwhile, as nobody should, reads and writes the views, and reads the log in every way. Arguments:
// directory, length.
import { readdirSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { Wal } from 'varve'

const [dir, length] = process.argv.slice(2)
const log = Wal.openSync(dir)
const views = Array.from(log.records({ zeroCopy: true }), ({ data }) => data)
for (const name of readdirSync(dir)) if (name.endsWith('.seg')) truncateSync(join(dir, name), Number(length))
let sum = 0
for (const view of views) sum += view[0] + view[view.length - 1]
for (const view of views) view[0] = 1
for (const view of views) sum += view[0]
const attempt = (read) => {
  try {
    read()
  } catch (error) {
    if (!error.code?.startsWith('VARVE_')) throw error
  }
}
for (const zeroCopy of [true, false]) {
  attempt(() => log.get(5, { zeroCopy }))
  attempt(() => [...log.records({ zeroCopy })])
  attempt(() => {
    const reader = log.reader({ zeroCopy })
    while (reader.advance()) sum += reader.buffer[reader.start]
  })
}
await log.getAsync(5).catch(() => {})
if (Number.isNaN(sum)) throw new Error('never')
console.log('alive')
process.exit(0)
