// The process that gets killed. It appends batches at level 'os' — the system has them when the call returns — and says so on
// stdout; now and then it waits until all is on the disk, and says that. Arguments: directory, passes.
import { writeSync } from 'node:fs'
import { Wal } from 'varve'
import { recordsOfPass } from './source.ts'

const BATCH = 500
const BATCHES_A_SYNC = 10

const [dir = '', passes = '1'] = process.argv.slice(2)
const log = await Wal.open(dir, { durability: 'os' })

// Written with a plain write(2), so that no acknowledgement waits in this process while the record it is for does not.
const acknowledge = (level: 'os' | 'disk', records: number): void => {
  for (;;) {
    try {
      writeSync(1, `${level} ${records}\n`)
      return
    } catch (error) {
      // The pipe is full: whoever reads it is behind.
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1)
    }
  }
}

let batches = 0
for (let pass = 0; pass < Number(passes); pass++) {
  const records = recordsOfPass(pass)
  for (let at = 0; at < records.length; at += BATCH) {
    log.appendBatch(records.slice(at, at + BATCH))
    acknowledge('os', log.nextIndex)
    if (++batches % BATCHES_A_SYNC === 0) acknowledge('disk', await log.sync())
  }
}
// Waits to be killed; it ends by itself only when whoever started it is gone.
process.stdin.resume()
