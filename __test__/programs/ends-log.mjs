// Appends 1,000 messages in one turn, at 'buffered', and ends in the way that it is told. Arguments: directory, way.
import { isMainThread, Worker } from 'node:worker_threads'
import { Log } from 'varve'

const [dir, way] = process.argv.slice(2)

function write() {
  const log = Log.openSync(dir)
  for (let i = 0; i < 500; i++) log.append(`value ${i}`, 'key')
  log.appendBatch(Array.from({ length: 500 }, (_, i) => ({ value: `value ${500 + i}`, key: 'key' })))
  return log
}

const ways = {
  return: write,
  exit: () => {
    write()
    process.exit(3)
  },
  throw: () => {
    write()
    throw new Error('on purpose')
  },
  // With everything that may be outstanding.
  outstanding: () => {
    const log = write()
    log.subscribe({ from: 'end' }).next()
    log.consumeBlocking('end').catch(() => {})
    for (let i = 0; i < 100; i++) log.getAsync(i).catch(() => {})
    log.consumeAsync(0).catch(() => {})
    log.messagesAsync().next().catch(() => {})
    log.cursor('c').saveAsync(5).catch(() => {})
    log.sync().catch(() => {})
    log.close().catch(() => {})
    process.exit(3)
  },
  idle: () => {
    const log = write()
    log.consume(0)
    log.on('rotate', () => {})
  },
  worker: () => new Worker(new URL(import.meta.url), { argv: [dir, 'return'] }),
  'worker-exit': () => new Worker(new URL(import.meta.url), { argv: [dir, 'exit'] }).on('exit', (code) => (process.exitCode = code)),
}
ways[way]()
if (isMainThread && way === 'return') console.log('written')
