// lmdb: integer keys, values as they are. Without sync it is opened with `noSync`.
import path from 'node:path'
import { open } from 'lmdb'
import { BATCH, createPayloads, createShuffle } from '../../payload.mjs'
import { measureAwaited, measurePasses, measureSteps } from '../../measure.mjs'

/** Puts that may be under way before their writer waits for them. */
const IN_FLIGHT = 1024

async function withStore(task, options, measured) {
  const store = open({ path: path.join(task.dir, 'lmdb'), encoding: 'binary', keyEncoding: 'uint32', ...options })
  try {
    return await measured(store, createPayloads(task.size))
  } finally {
    await store.close()
  }
}

/** Another thread writes what `put` was given, later: no more than the ring holds may be in flight. */
function putMany(store, payloads, first, count) {
  let last
  for (let i = first; i < first + count; i++) last = store.put(i, payloads.stamp(i))
  return last
}

export const appendSync = (task) =>
  withStore(task, { noSync: true }, (store, payloads) =>
    measureSteps(task, (i) => { store.putSync(i, payloads.stamp(i)) }, { stride: 16 }))

export const appendAsync = (task) =>
  withStore(task, { noSync: true }, (store, payloads) => {
    const each = Math.min(IN_FLIGHT, payloads.ring)
    return measureAwaited(task, (i) => putMany(store, payloads, i, each), { each })
  })

/** One transaction a batch. */
export const batchSync = (task) =>
  withStore(task, { noSync: true }, (store, payloads) =>
    measureSteps(task, (i) => {
      store.transactionSync(() => {
        for (let k = i; k < i + BATCH; k++) store.putSync(k, payloads.stamp(k))
      })
    }, { each: BATCH, stride: 1 }))

export const durable = (task) =>
  withStore(task, {}, (store, payloads) =>
    measureAwaited(task, async (i) => {
      await store.put(i, payloads.stamp(i))
      await store.flushed
    }))

export const group = (task) =>
  withStore(task, {}, (store, payloads) =>
    measureAwaited(task, async (i) => {
      await putMany(store, payloads, i, task.outstanding)
      await store.flushed
    }, { each: task.outstanding }))

export const fill = (task) =>
  withStore(task, { noSync: true }, async (store, payloads) => {
    for (let i = 0; i < task.records; i += BATCH) await putMany(store, payloads, i, Math.min(BATCH, task.records - i))
    return { ops: task.records }
  })

export const readRange = (task) =>
  withStore(task, { noSync: true }, (store, payloads) =>
    measurePasses(task, () => {
      let i = 0
      for (const { key, value } of store.getRange()) {
        payloads.check(value, 0, value.length, key)
        i++
      }
      return i
    }))

export const get = (task) =>
  withStore(task, { noSync: true }, (store, payloads) => {
    const next = createShuffle(task.records)
    return measureSteps({ ...task, records: task.gets }, () => {
      const index = next()
      const data = store.get(index)
      payloads.check(data, 0, data.length, index)
    }, { stride: 32 })
  })

/** Into a buffer that the next call uses again. */
export const getLent = (task) =>
  withStore(task, { noSync: true }, (store, payloads) => {
    const next = createShuffle(task.records)
    return measureSteps({ ...task, records: task.gets }, () => {
      const index = next()
      const data = store.getBinaryFast(index)
      payloads.check(data, 0, data.length, index)
    }, { stride: 32 })
  })
