// The messages that the programs of kill tests write: each says whose it is, by its headers, and all else of it follows from that. So whoever reads one knows what it must be.

/** FNV-1a. */
function hash(text) {
  let h = 0x811c9dc5
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193)
  return h >>> 0
}

/** Numbers from a seed: mulberry32. Each call gives one below its argument. */
export function randomOf(seed) {
  let state = seed | 0
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) % below
  }
}

export const KEYS = 30
/** Before all that tests do: a compaction finds all of it old enough. */
export const BEGIN = 1_600_000_000_000

/** Message `n` of thread `name`. */
export function messageOf(name, n) {
  const id = `${name}:${n}`
  const random = randomOf(hash(id))
  const key = random(8) === 0 ? null : `key ${random(KEYS)}`
  const length = random(64) === 0 ? 1000 + random(3000) : random(300)
  const value = key !== null && random(10) === 0 ? null : `${id} ${'some words again '.repeat(1 + length / 17).slice(0, length)}${random(1e9)}`
  // Times rise in the main, and go back now and then.
  const time = BEGIN + n * 10 + random(100) / 8
  const headers = random(3) === 0 ? { id, more: `${random(1e6)}` } : { id }
  return { key, value, time, headers }
}

/** A message as one text, by which any two can be compared. */
export function textOf({ key, value, time, headers }) {
  return JSON.stringify([key === null ? null : key.toString(), value === null ? null : value.toString(), time, Object.entries(headers).map(([name, bytes]) => `${name}=${bytes}`)])
}

/** Whose a message is, as `<name>:<n>`; throws if it is not what was written under that name, to the last byte. */
export function idOf(message) {
  const id = message.headers.id?.toString() ?? ''
  const [name, n] = id.split(':')
  const text = textOf(message)
  if (!/^\d+[a-z]$/.test(name) || !Number.isSafeInteger(Number(n)) || text !== textOf(messageOf(name, Number(n)))) throw new Error(`invented at ${message.offset}: ${text.slice(0, 300)}`)
  return id
}
