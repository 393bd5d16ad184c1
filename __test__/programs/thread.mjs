// A worker thread that runs what it is sent: the body of an async function of `Wal`, of `Log`, of `state`, which it keeps between the calls, and of `args`.
import { parentPort } from 'node:worker_threads'
import { Log, Wal } from 'varve'

const AsyncFunction = (async () => {}).constructor
const state = {}
parentPort.on('message', async ({ id, body, args }) => {
  try {
    const value = await new AsyncFunction('Wal', 'Log', 'state', 'args', body)(Wal, Log, state, args)
    parentPort.postMessage({ id, value })
  } catch ({ name, message, code }) {
    parentPort.postMessage({ id, error: { name, message, code } })
  }
})
