// JSON through one codec: bytes on disk, and how fast it is written and read.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { Log } from '../../../index.js'

const EVENT = 138

/** 20,000 flights, as `examples/flights` has them. The package exports code only; its data lies beside it. */
function flights() {
  const entry = createRequire(import.meta.url).resolve('vega-datasets')
  const all = JSON.parse(readFileSync(path.join(path.dirname(entry), '../data/flights-20k.json'), 'utf8'))
  return all.map((flight) => ({ key: Buffer.from(flight.origin), value: Buffer.from(JSON.stringify(flight)) }))
}

/** What a service may log: names from a few, numbers from many; each 138 B, the last of them in a name that fills up. */
function events() {
  let state = 1
  const below = (count) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * count)
  }
  const routes = ['/login', '/orders', '/orders/items', '/search', '/health']
  return Array.from({ length: 20_000 }, (_, i) => {
    const host = `web-${below(16)}`
    const event = { id: i, host, route: routes[below(routes.length)], status: [200, 200, 200, 304, 404, 500][below(6)], micros: below(90_000), trace: below(2 ** 32).toString(16), note: '' }
    event.note = 'abcdefghijklmnopqrstuvwxyz'.repeat(3).slice(0, EVENT - JSON.stringify(event).length)
    return { key: Buffer.from(host), value: Buffer.from(JSON.stringify(event)) }
  })
}

export async function measure({ dir, set, codec, batch, bytes }) {
  const source = set === 'flights' ? flights() : events()
  if (set === 'events' && source.some(({ value }) => value.length !== EVENT)) throw new Error('an event has another length')
  const batches = []
  for (let at = 0; at + batch <= source.length; at += batch) batches.push(source.slice(at, at + batch))
  const log = await Log.open(dir, { compression: codec })
  const each = batches.map((messages) => messages.reduce((sum, { value }) => sum + value.length, 0))
  // A tenth before the clock starts.
  let count = 0
  const append = (upTo) => {
    let written = 0
    for (; written < upTo; count++) {
      log.appendBatch(batches[count % batches.length])
      written += each[count % batches.length]
    }
    return written
  }
  const warm = append(bytes / 10)
  await log.appendAsync('', undefined, { durability: 'os' })
  const marker = log.nextOffset - 1
  const begin = performance.now()
  const written = append(bytes)
  await log.appendAsync('', undefined, { durability: 'os' })
  const appended = performance.now() - begin
  const { bytes: stored } = log.stats()

  /** Reads the messages of the timed part; `look(value, reader)`. */
  const read = (look) => {
    const reader = log.reader({ from: marker + 1 })
    const from = performance.now()
    let i = marker % (batches.length * batch)
    let seen = 0
    while (seen < written && reader.advance()) {
      const { value } = source[i]
      if (!look(value, reader)) throw new Error('a value came back as another')
      seen += value.length
      if (++i === batches.length * batch) i = 0
    }
    if (seen !== written) throw new Error(`read ${seen} bytes of ${written}`)
    reader.close()
    return performance.now() - from
  }
  read((value, { buffer, start, end }) => value.compare(buffer, start, end) === 0)
  const look = (value, { buffer, start, end }) => end - start === value.length && buffer[end - 2] === value[value.length - 2]
  read(look)
  const took = read(look)
  await log.close()
  return { ratio: stored / (warm + written), append: written / appended / 1000, read: written / took / 1000 }
}
