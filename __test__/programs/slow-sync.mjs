// Runs where every fdatasync takes long: appends durably, turn after turn, until the first promise settles. Prints the turns it took.
import { setTimeout } from 'node:timers/promises'
import { Wal } from 'varve'

const log = Wal.openSync(process.argv[2])
let settled = false
const first = log.appendAsync('first', { durability: 'disk' }).then(() => (settled = true))
const others = []
let turns = 0
for (; turns < 2000 && !settled; turns++) {
  others.push(log.appendAsync(`${turns}`, { durability: 'disk' }))
  await setTimeout(1)
}
console.log(turns)
await Promise.all([first, ...others])
await log.close()
