// Appends 1,000 records in one turn, at 'buffered', and ends in the way that it is told. Arguments: directory, way.
import { isMainThread, Worker } from 'node:worker_threads'
import { Wal } from 'varve'

const [dir, way] = process.argv.slice(2)

function write(from, count) {
  const log = Wal.openSync(dir)
  for (let i = from; i < from + count; i++) log.append(`record ${i}`)
  return log
}

const ways = {
  return: () => write(0, 1000),
  exit: () => {
    write(0, 1000)
    process.exit(3)
  },
  throw: () => {
    write(0, 1000)
    throw new Error('on purpose')
  },
  reject: () => {
    write(0, 1000)
    Promise.reject(new Error('on purpose'))
  },
  // With everything that may be outstanding.
  outstanding: () => {
    const log = write(0, 1000)
    for (let i = 1000; i < 1500; i++) log.appendAsync(`record ${i}`, { durability: i % 2 === 0 ? 'os' : 'disk' }).catch(() => {})
    for (let i = 0; i < 100; i++) log.getAsync(i).catch(() => {})
    log.sync().catch(() => {})
    log.close().catch(() => {})
    Wal.check(dir).catch(() => {})
    process.exit(3)
  },
  worker: () => new Worker(new URL(import.meta.url), { argv: [dir, 'return'] }),
  'worker-exit': () => new Worker(new URL(import.meta.url), { argv: [dir, 'exit'] }).on('exit', (code) => (process.exitCode = code)),
  'worker-throw': () => new Worker(new URL(import.meta.url), { argv: [dir, 'throw'] }).on('error', () => (process.exitCode = 1)),
}
ways[way]()
if (isMainThread && way === 'return') console.log('written')
