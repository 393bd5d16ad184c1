// Is killed: several worker threads append to one log, and each acknowledgement goes through a pipe. Arguments: directory, round.
//   os <index> <text>     at 'os': survives the end of the process
//   disk <index> <text>   at 'disk'
import { writeSync } from 'node:fs'
import { isMainThread, Worker, workerData } from 'node:worker_threads'
import { Wal } from 'varve'

if (isMainThread) {
  const [dir, round] = process.argv.slice(2)
  for (const name of ['a', 'b']) new Worker(new URL(import.meta.url), { workerData: { dir, name: `${round}${name}` } })
  await append(dir, `${round}m`)
} else {
  await append(workerData.dir, workerData.name)
}

async function append(dir, name) {
  const log = Wal.openSync(dir, { durability: 'os' })
  let n = 0
  const text = () => `${name}:${n++}:${'.'.repeat((n * 37) % 300)}`
  // One write(2) each, of less than PIPE_BUF, past all streams: an acknowledgement is either out, or was not given.
  const acknowledge = (level, index, record) => tell(`${level} ${index} ${record.split(':', 2).join(':')}\n`)
  for (;;) {
    const one = text()
    acknowledge('os', log.append(one), one)
    const batch = Array.from({ length: 1 + (n % 40) }, text)
    acknowledge('os', log.appendBatch(batch), batch[0])
    const durable = Array.from({ length: 5 }, text)
    await Promise.all(durable.map(async (record) => acknowledge('disk', await log.appendAsync(record, { durability: 'disk' }), record)))
    if (n % 7 === 0) log.rotate()
  }
}

/** Waits where the pipe is full: whoever reads it may be behind. */
function tell(line) {
  for (;;) {
    try {
      writeSync(1, line)
      return
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1)
    }
  }
}
