// A worker thread that runs what it is sent: the body of an async function of `Wal`, of `state`, which it keeps between the calls, and of `args`.
import { parentPort } from 'node:worker_threads'
import { Wal } from 'varve'

const AsyncFunction = (async () => {}).constructor
const state = {}
parentPort.on('message', async ({ id, body, args }) => {
  try {
    const value = await new AsyncFunction('Wal', 'state', 'args', body)(Wal, state, args)
    parentPort.postMessage({ id, value })
  } catch ({ name, message, code }) {
    parentPort.postMessage({ id, error: { name, message, code } })
  }
})
