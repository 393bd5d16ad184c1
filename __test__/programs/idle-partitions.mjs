// Opens a log of partitions, and has nothing more to do.
import { PartitionedLog } from 'varve'

const log = await PartitionedLog.open(process.argv[2], { partitions: 3 })
log.append('x')
log.logs[1].append('y')
log.subscribe()
await log.sync()
