// Follows a log and tells when it has seen each record: a worker of this process, or a process that follows it read-only.
import { parentPort, workerData } from 'node:worker_threads'
import { Wal } from '../../index.js'

const dir = workerData?.dir ?? process.argv[2]
const log = Wal.openSync(dir, { readOnly: parentPort === null })
const tail = log.tail({ from: 'end' })
const tell = parentPort === null ? (time) => process.send(String(time)) : (time) => parentPort.postMessage(time)
const first = tail.next()
tell(0n)
for (let next = first; ; next = tail.next()) {
  const { done } = await next
  const time = process.hrtime.bigint()
  if (done) break
  tell(time)
}
