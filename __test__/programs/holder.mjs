// Holds a log open until its standard input ends, or it is killed. Arguments: directory, milliseconds to hold it at the most.
import { Wal } from 'varve'

const log = Wal.openSync(process.argv[2])
log.append('of the holder')
log.syncSync()
console.log('open')
const timer = setTimeout(end, Number(process.argv[3] ?? 60_000))
process.stdin.on('end', end).resume()

function end() {
  clearTimeout(timer)
  log.closeSync()
  process.exit()
}
