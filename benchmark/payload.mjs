// The records that every contender writes and reads: pseudo-random bytes, the first four of them a sequence number.
// The Rust side (rust/src/payload.rs) makes the same ones.

/** Records stay near the processor, as those of a busy program do: 2 MiB of them, in turn; but never fewer than may be in flight. */
const AREA = 2 << 20
const FEWEST = 256

export const BATCH = 64

/**
 * A ring of records of `size` bytes, packed one behind the other in one buffer, as `appendPacked` wants them.
 * `stamp(i)` writes the sequence number into record `i` of the log, and returns its bytes.
 */
export function createPayloads(size) {
  let count = 1024
  while (count > FEWEST && count * size > AREA) count /= 2
  const mask = count - 1
  const area = Buffer.alloc(count * size)
  let state = size
  for (let i = 0; i < area.length; i++) {
    // mulberry32: small, the same in every language, and good enough against compression and constant folding
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    area[i] = (t ^ (t >>> 14)) & 0xff
  }
  const view = new DataView(area.buffer, area.byteOffset, area.length)
  const records = Array.from({ length: count }, (_, i) => area.subarray(i * size, (i + 1) * size))
  const lasts = Uint8Array.from(records, (record) => record[size - 1])
  const batches = Array.from({ length: count / BATCH }, (_, i) => records.slice(i * BATCH, (i + 1) * BATCH))
  const packed = Array.from({ length: count / BATCH }, (_, i) => area.subarray(i * BATCH * size, (i + 1) * BATCH * size))
  const ends = Uint32Array.from({ length: BATCH }, (_, i) => (i + 1) * size)

  return {
    ring: count,
    ends,
    stamp(i) {
      view.setUint32((i & mask) * size, i, true)
      return records[i & mask]
    },
    /** The batch that begins with record `i`, a multiple of 64. */
    stampBatch(i) {
      for (let k = i; k < i + BATCH; k++) view.setUint32((k & mask) * size, k, true)
      return batches[(i & mask) / BATCH]
    },
    stampPacked(i) {
      for (let k = i; k < i + BATCH; k++) view.setUint32((k & mask) * size, k, true)
      return packed[(i & mask) / BATCH]
    },
    /** Throws unless `buffer[start .. end]` is record `i`: its length, its sequence number and its last byte. */
    check(buffer, start, end, i) {
      const sequence = buffer[start] | (buffer[start + 1] << 8) | (buffer[start + 2] << 16) | (buffer[start + 3] << 24)
      if (sequence !== (i | 0) || end - start !== size || buffer[end - 1] !== lasts[i & mask]) {
        throw new Error(`record ${i} came back as another: length ${end - start}, sequence ${sequence}`)
      }
    },
  }
}

/** Numbers below `count` in an order that no read-ahead guesses. */
export function createShuffle(count) {
  let state = 1
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * count)
  }
}
