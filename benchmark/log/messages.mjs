// The messages that every contender writes and reads: a value of 138 pseudo-random bytes that begin with a sequence number, mostly a key of 16 bytes, and a time.
// Each that is read is looked at: value, key and time must be those of the message that was asked for.
import { BATCH, createPayloads } from '../payload.mjs'

export const VALUE = 138
export const KEY = 16
/** What stands before key and value where a contender keeps a message as one run of bytes: time (8), length of the key (1). */
const HEAD = 9

/** Messages that may be under way before their writer waits for them: as many as have memory of their own. */
export const IN_FLIGHT = 1024

const FIRST_TIME = Date.UTC(2001, 0, 1)
/** Milliseconds; a log that is made before the clock starts has one message a millisecond. */
export const timeOf = (i) => FIRST_TIME + i

/** A bijection of 32 bits: neighbours among keys lie far apart. */
function mix(number) {
  let n = number ^ (number >>> 16)
  n = Math.imul(n, 0x85ebca6b)
  n ^= n >>> 13
  n = Math.imul(n, 0xc2b2ae35)
  return (n ^ (n >>> 16)) >>> 0
}

/** Room for `count` buffers of `size` bytes, each of its own. */
export function createRing(size, count = IN_FLIGHT) {
  const area = Buffer.alloc(size * count)
  const buffers = Array.from({ length: count }, (_, i) => area.subarray(i * size, (i + 1) * size))
  return (i) => buffers[i & (count - 1)]
}

/**
 * task.keys: how many keys there are; 0: messages have none. The first messages take each key in turn, later ones any. task.base: messages that are there before
 * the first that is appended. All functions take the number of a message in the log, counted from 0.
 */
export function createMessages(task) {
  const { keys = 0, base = 0 } = task
  const payloads = createPayloads(VALUE)
  const words = new Uint32Array((KEY / 4) * IN_FLIGHT)
  const area = Buffer.from(words.buffer)
  const names = Array.from({ length: IN_FLIGHT }, (_, i) => area.subarray(i * KEY, (i + 1) * KEY))
  const sought = Buffer.alloc(KEY)
  const soughtWords = new Uint32Array(sought.buffer, sought.byteOffset, KEY / 4)
  const keyOf = (i) => (i < keys ? i : (Math.imul(i, 0x9e3779b1) >>> 0) % keys)

  function writeKey(into, at, name) {
    const first = mix(name)
    into[at] = first
    into[at + 1] = mix(first + 1)
    into[at + 2] = name
    into[at + 3] = first ^ 0x5bd1e995
  }

  /** The key of message i, in memory that another message takes 1,024 later; undefined where messages have none. */
  function key(i) {
    if (keys === 0) return undefined
    const at = i & (IN_FLIGHT - 1)
    writeKey(words, at * (KEY / 4), keyOf(i))
    return names[at]
  }

  const ring = createRing(HEAD + KEY + VALUE)
  const objects = Array.from({ length: IN_FLIGHT }, (_, i) =>
    (keys === 0 ? { value: payloads.stamp(i) } : { key: names[i], value: payloads.stamp(i) }))
  const batches = Array.from({ length: IN_FLIGHT / BATCH }, (_, i) => objects.slice(i * BATCH, (i + 1) * BATCH))

  const value = (i) => payloads.stamp(i)

  /** Throws unless these are value and key of message i, and its time where that is known. */
  function check(i, data, start, end, name, from, to, time) {
    payloads.check(data, start, end, i)
    if (keys > 0) {
      const first = name[from] + name[from + 1] * 0x100 + name[from + 2] * 0x10000 + name[from + 3] * 0x1000000
      if (to - from !== KEY || first !== mix(keyOf(i))) throw new Error(`the key of message ${i} came back as another`)
    }
    if (time !== undefined && time !== timeOf(i)) throw new Error(`the time of message ${i} came back as ${time}`)
  }

  return {
    base,
    key,
    value,
    /** A key by its number, in memory that the next call takes. No message has one from 2^31 on. */
    keyNamed(number) {
      writeKey(soughtWords, 0, number)
      return sought
    },
    /** 64 messages as objects, the first of them message i, whose number is a multiple of 64. */
    batch(i) {
      for (let k = i; k < i + BATCH; k++) {
        value(k)
        key(k)
      }
      return batches[(i & (IN_FLIGHT - 1)) / BATCH]
    },
    /** One run of bytes of a message, in memory that another takes 1,024 later. */
    encode(i, name, data, time) {
      const bytes = ring(i)
      bytes.writeDoubleLE(time, 0)
      let at = HEAD
      bytes[8] = 0
      if (name !== undefined) {
        bytes[8] = name.length
        bytes.set(name, at)
        at += name.length
      }
      bytes.set(data, at)
      return name === undefined ? bytes.subarray(0, at + data.length) : bytes
    },
    /** Takes it apart again, as views, and looks at them. `timed`: it was written with `timeOf`. */
    checkEncoded(i, bytes, start, end, timed = true) {
      const time = bytes.readDoubleLE(start)
      const at = start + HEAD + bytes[start + 8]
      const name = bytes.subarray(start + HEAD, at)
      const data = bytes.subarray(at, end)
      check(i, data, 0, data.length, name, 0, name.length, timed ? time : undefined)
    },
    check,
    /** Value, key and time as they were handed out. */
    checkParts: (i, data, name, time) => check(i, data, 0, data.length, name, 0, name?.length ?? 0, time),
  }
}
