// Opens a log at every level that has threads or timers, writes, and ends without closing anything.
import { join } from 'node:path'
import { Wal } from 'varve'

const levels = ['buffered', 'os', 'disk', { syncEveryMs: 100_000 }, { syncEveryTurn: true }]
for (const [i, durability] of levels.entries()) {
  const log = Wal.openSync(join(process.argv[2], `${i}`), { durability })
  log.append('x')
  log.records().next()
  log.reader().advance()
  log.on('error', () => {})
}
console.log('idle')
