// What one writes by hand with node:fs: a length, four bytes for a checksum, the record. Only the `…Checked` ones fill the four
// bytes, with the one checksum that Node brings along.
import fs from 'node:fs'
import path from 'node:path'
import { crc32 } from 'node:zlib'
import { BATCH, createPayloads, createShuffle } from '../../payload.mjs'
import { measureAwaited, measureEach, measurePasses, measureSteps } from '../../measure.mjs'

const HEADER = 8
const GATHER = 256 << 10
const CHUNK = 1 << 20

const file = (task) => path.join(task.dir, 'by-hand.log')

/** Gathers framed records in `buffer`; `put` writes it out first when there is no room. */
function gatherer(fd, { room = GATHER, checksum = () => 0 } = {}) {
  const buffer = Buffer.alloc(room)
  const view = new DataView(buffer.buffer)
  let at = 0
  const flush = () => {
    if (at > 0) fs.writeSync(fd, buffer, 0, at)
    at = 0
  }
  const put = (record) => {
    if (at + HEADER + record.length > buffer.length) flush()
    view.setUint32(at, record.length, true)
    view.setUint32(at + 4, checksum(record), true)
    buffer.set(record, at + HEADER)
    at += HEADER + record.length
  }
  return { put, flush }
}

function withFile(task, flags, measured) {
  const fd = fs.openSync(file(task), flags)
  return measured(fd, createPayloads(task.size)).finally(() => fs.closeSync(fd))
}

export const appendEach = (task) =>
  withFile(task, 'w', async (fd, payloads) => {
    const { put, flush } = gatherer(fd)
    return measureSteps(task, (i) => { put(payloads.stamp(i)); flush() })
  })

const gathered = (options) => (task) =>
  withFile(task, 'w', async (fd, payloads) => {
    const { put, flush } = gatherer(fd, options)
    return measureSteps(task, (i) => put(payloads.stamp(i)), { finish: flush })
  })

export const appendGathered = gathered()
export const appendChecked = gathered({ checksum: crc32 })

/** One write a batch. */
export const batchEach = (task) =>
  withFile(task, 'w', async (fd, payloads) => {
    const { put, flush } = gatherer(fd, { room: (HEADER + task.size) * BATCH })
    return measureSteps(task, (i) => {
      for (const record of payloads.stampBatch(i)) put(record)
      flush()
    }, { each: BATCH, stride: 4 })
  })

export const batchGathered = (task) =>
  withFile(task, 'w', async (fd, payloads) => {
    const { put, flush } = gatherer(fd)
    return measureSteps(task, (i) => {
      for (const record of payloads.stampBatch(i)) put(record)
    }, { each: BATCH, stride: 4, finish: flush })
  })

export const tailEach = (task) =>
  withFile(task, 'w', async (fd, payloads) => {
    const { put, flush } = gatherer(fd)
    return measureEach(task, (i) => { put(payloads.stamp(i)); flush() })
  })

export const tailGathered = (task) =>
  withFile(task, 'w', async (fd, payloads) => {
    const { put, flush } = gatherer(fd)
    return measureEach(task, (i) => put(payloads.stamp(i)), { finish: flush })
  })

/** The usual way: the file grows with each record. */
export const durableGrowing = (task) =>
  withFile(task, 'w', async (fd, payloads) => {
    const { put, flush } = gatherer(fd)
    return measureSteps(task, (i) => { put(payloads.stamp(i)); flush(); fs.fdatasyncSync(fd) }, { stride: 1 })
  })

/** The floor: pwrite and fdatasync on a file that was allocated and zero-written before, so that a sync writes data only. */
export const durableRaw = (task) =>
  withFile(task, 'w+', async (fd, payloads) => {
    const zeros = Buffer.alloc(CHUNK)
    const room = (task.records + task.records / 4 + 1) * (task.size + HEADER)
    for (let at = 0; at < room; at += CHUNK) fs.writeSync(fd, zeros, 0, CHUNK, at)
    fs.fsyncSync(fd)
    const frame = Buffer.alloc(HEADER + task.size)
    frame.writeUInt32LE(task.size)
    return measureSteps(task, (i) => {
      frame.set(payloads.stamp(i), HEADER)
      fs.writeSync(fd, frame, 0, frame.length, i * frame.length)
      fs.fdatasyncSync(fd)
    }, { stride: 1 })
  })

/** A group gathered, one write, one sync. */
export const groupGathered = (task) =>
  withFile(task, 'w', async (fd, payloads) => {
    const { put, flush } = gatherer(fd)
    return measureAwaited(task, (i) => {
      for (let k = i; k < i + task.outstanding; k++) put(payloads.stamp(k))
      flush()
      return new Promise((resolve, reject) => fs.fdatasync(fd, (error) => (error ? reject(error) : resolve())))
    }, { each: task.outstanding })
  })

export const fill = (task) =>
  withFile(task, 'w', async (fd, payloads) => {
    const { put, flush } = gatherer(fd, { checksum: crc32 })
    for (let i = 0; i < task.records; i++) put(payloads.stamp(i))
    flush()
    return { ops: task.records }
  })

/** Chunks of 1 MiB: `visit(buffer, start, end, position)`. */
function scan(fd, visit) {
  const buffer = Buffer.alloc(CHUNK + (64 << 10))
  let held = 0
  let position = 0
  for (;;) {
    const got = fs.readSync(fd, buffer, held, buffer.length - held, position)
    if (got === 0) return
    position += got
    held += got
    let at = 0
    while (held - at >= HEADER) {
      const length = buffer[at] | (buffer[at + 1] << 8) | (buffer[at + 2] << 16) | (buffer[at + 3] << 24)
      if (held - at < HEADER + length) break
      visit(buffer, at + HEADER, at + HEADER + length, position - held + at)
      at += HEADER + length
    }
    buffer.copyWithin(0, at, held)
    held -= at
  }
}

const chunks = (verify) => (task) =>
  withFile(task, 'r', async (fd, payloads) =>
    measurePasses(task, () => {
      let i = 0
      scan(fd, (buffer, start, end) => {
        const data = buffer.subarray(start, end)
        verify(data, buffer, start)
        payloads.check(data, 0, data.length, i++)
      })
      return i
    }))

export const readChunks = chunks(() => {})
export const readChecked = chunks((data, buffer, start) => {
  if (crc32(data) !== buffer.readUInt32LE(start - 4)) throw new Error('checksum')
})

/** Where each record lies is held in memory, found before the clock starts. */
export const get = (task) =>
  withFile(task, 'r', async (fd, payloads) => {
    const positions = new Float64Array(task.records)
    let found = 0
    scan(fd, (_buffer, _start, _end, position) => { positions[found++] = position })
    const next = createShuffle(task.records)
    const frame = Buffer.alloc(HEADER + task.size)
    return measureSteps({ ...task, records: task.gets }, () => {
      const index = next()
      fs.readSync(fd, frame, 0, frame.length, positions[index])
      payloads.check(frame, HEADER, HEADER + frame.readUInt32LE(0), index)
    }, { stride: 32 })
  })
