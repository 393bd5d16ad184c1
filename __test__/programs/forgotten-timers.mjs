// Run with --expose-gc: forgets open logs whose retention runs by a timer, and waits for them to be collected. Prints whose lock is free.
// Arguments: a directory for each of Wal, Log and PartitionedLog.
import { setTimeout } from 'node:timers/promises'
import { Log, PartitionedLog, Wal } from 'varve'

const retention = { intervalMs: 2, mayDelete: () => true }
const engines = { Wal: [Wal, {}, { maxSegments: 5 }], Log: [Log, {}, { maxMessages: 5 }], PartitionedLog: [PartitionedLog, { partitions: 2 }, { maxMessages: 5 }] }
const dirs = Object.fromEntries(Object.keys(engines).map((name, i) => [name, process.argv[2 + i]]))
for (const [name, [Engine, options, rules]] of Object.entries(engines)) {
  const log = await Engine.open(dirs[name], { ...options, retention: { ...retention, ...rules } })
  log.append('forgotten')
}
// The timers run.
await setTimeout(50)
const free = {}
for (let i = 0; i < 500 && Object.keys(free).length < 3; i++) {
  globalThis.gc()
  await setTimeout(5)
  for (const [name, [Engine, options]] of Object.entries(engines)) {
    if (free[name]) continue
    try {
      // Another size than the open log's is refused as long as it is open.
      const log = await Engine.open(dirs[name], { ...options, segmentSize: 65_536 })
      await log.close()
      free[name] = true
    } catch (error) {
      if (error.code !== 'VARVE_INVALID_ARGUMENT') throw error
    }
  }
}
console.log(JSON.stringify(free))
