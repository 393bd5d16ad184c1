// One cell of the worker matrix: threads that have a log open end in one way, in one state, again and again; then the process has to end by itself.
// Arguments: directory, ending, state, where the addon is loaded, rounds, seed. Acknowledgements go into <directory>.acks, a line each.
import { once } from 'node:events'
import { appendFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'

/** Small ones: some states begin a new one with every record. */
const options = { segmentSize: 65_536 }

if (isMainThread) await main(...process.argv.slice(2))
else await thread(workerData)

async function main(dir, ending, state, where, rounds, seed) {
  const held = where === 'main' ? (await import('varve')).Wal.openSync(dir, options) : undefined
  let last = Number(seed)
  const random = (limit) => (last = (Math.imul(last, 1664525) + 1013904223) >>> 0) % limit
  for (let round = 0; round < Number(rounds); round++) {
    const workers = ['a', 'b'].map((name) => new Worker(new URL(import.meta.url), { workerData: { dir, state, name: `${seed}-${round}${name}` } }))
    // A worker that throws on purpose is no error of ours; any other is told.
    for (const worker of workers) worker.on('error', (error) => error.message === 'on purpose' || (console.error(error), (process.exitCode = 3)))
    // Not `once`, which would reject with the error that comes first.
    const exits = workers.map((worker) => new Promise((resolve) => worker.on('exit', resolve)))
    await Promise.all(workers.map((worker) => once(worker, 'message')))
    held?.append(`${seed}-${round}m`)
    await sleep(random(12))
    if (ending === 'main first') {
      if (random(2) === 0) process.exit(0)
      // As an uncaught exception would, with all its handlers.
      setImmediate(() => process.exit(0))
      await sleep(60_000)
    }
    for (const worker of workers) {
      if (ending === 'terminate') worker.terminate()
      else worker.postMessage(ending)
    }
    await Promise.all(exits)
  }
  await held?.close()
}

async function thread({ dir, state, name }) {
  const { Wal } = await import('varve')
  const log = Wal.openSync(dir, options)
  const controller = new AbortController()
  const { signal } = controller
  let goesOn = true
  let number = 0
  const text = () => `${name}:${number++}:${'.'.repeat((number * 37) % 400)}`
  const kept = []
  const tell = (lines) => appendFileSync(`${dir}.acks`, lines.map(([index, record]) => `${index} ${record}\n`).join(''))

  /** What is acknowledged as durable is told. */
  async function acknowledged(count) {
    const records = Array.from({ length: count }, text)
    const indexes = records.map((record) => log.append(record))
    await log.sync()
    tell(records.map((record, i) => [indexes[i], record]))
  }

  /** What an end in the middle of it may bring about is no failure: all of these are outstanding then. */
  const outstanding = async (work) => {
    try {
      while (goesOn) await work()
    } catch (error) {
      if (goesOn && !['VARVE_CLOSED', 'VARVE_OUT_OF_RANGE', 'ABORT_ERR'].includes(error.code)) throw error
    }
  }

  const states = {
    idle: () => {},
    async: () => {
      outstanding(async () => {
        const records = Array.from({ length: 20 }, text)
        const given = await Promise.all(records.map((record, i) => log.appendAsync(record, { durability: i % 2 === 0 ? 'os' : 'disk' })))
        tell(records.map((record, i) => [given[i], record]))
      })
      outstanding(() => log.getAsync(log.nextIndex - 1))
      outstanding(() => log.sync())
    },
    tail: () => {
      outstanding(async () => {
        for await (const { data } of log.tail({ from: 'end', signal })) kept[0] = data
      })
      outstanding(() => log.waitFor(log.nextIndex + 1e6, { signal }))
    },
    iterator: async () => {
      kept.push(log.records(), log.recordsAsync(), log.reader({ from: log.firstIndex }))
      kept[0].next()
      await kept[1].next()
      kept[2].advance()
      outstanding(async () => {
        // At its end an iterator answers at once, for ever: others have to have their turn.
        await sleep(1)
        await kept[1].next()
      })
    },
    views: () => {
      const first = Math.max(log.firstIndex, log.nextIndex - 100)
      for (const { data } of log.records({ from: first, zeroCopy: true })) if (kept.push(data) === 50) break
    },
    removal: () => {
      let count = 0
      outstanding(async () => {
        log.append(text())
        log.rotate()
        if (log.nextIndex - log.firstIndex > 400) log.truncateBefore(log.nextIndex - 200)
        await log.enforceRetention()
      })
      outstanding(() => log.backup(`${dir}.backup-${name}-${count++}`, { signal }))
    },
  }

  const endings = {
    exit: () => process.exit(0),
    throw: () => {
      throw new Error('on purpose')
    },
    natural: () => {
      goesOn = false
      controller.abort()
      parentPort.close()
    },
  }

  await acknowledged(60)
  await states[state]()
  parentPort.on('message', (how) => endings[how]())
  parentPort.postMessage('ready')
}
