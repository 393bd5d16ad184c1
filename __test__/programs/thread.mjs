// A worker thread that runs what it is sent: the body of an async function of `Wal`, of `Log`, of `PartitionedLog`, of `state`, which it keeps between the calls, and of `args`.
import { parentPort } from 'node:worker_threads'
import { Log, PartitionedLog, Wal } from 'varve'

const AsyncFunction = (async () => {}).constructor
const state = {}
parentPort.on('message', async ({ id, body, args }) => {
  try {
    const value = await new AsyncFunction('Wal', 'Log', 'PartitionedLog', 'state', 'args', body)(Wal, Log, PartitionedLog, state, args)
    parentPort.postMessage({ id, value })
  } catch ({ name, message, code }) {
    parentPort.postMessage({ id, error: { name, message, code } })
  }
})
