// A user's program that appends 1,000 records at 'buffered' and ends without closing. Arguments: directory; `exit` calls process.exit,
// `hold` waits for the end of its input.
import { Wal } from 'varve'

const [dir, way] = process.argv.slice(2)
const log = Wal.openSync(dir)
for (let i = 0; i < 1_000; i++) log.append(`record ${i}`)
console.log('ok')
if (way === 'hold') process.stdin.resume()
if (way === 'exit') process.exit(0)
