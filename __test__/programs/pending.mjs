// Nothing but a pending promise keeps this process alive.
import { Wal } from 'varve'

const log = Wal.openSync(process.argv[2])
log.appendAsync('x', { durability: 'disk' }).then((index) => console.log(`durable ${index}`))
