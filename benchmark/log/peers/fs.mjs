// What one writes by hand with node:fs, gathered to 256 KiB: a line of JSON for each message, or a frame of bytes (length, four bytes for a checksum that nobody
// fills, the message as one run of bytes). Where each message lies, the last message of each key (a Map) and all times are in memory alone: an open reads the whole file.
import fs from 'node:fs'
import path from 'node:path'
import { BATCH, createShuffle } from '../../payload.mjs'
import { measureOpens, measurePasses, measureSteps } from '../../measure.mjs'
import { createMessages, timeOf } from '../messages.mjs'

const HEADER = 8
const GATHER = 256 << 10
const CHUNK = 1 << 20
/** More than any message takes here. */
const LONGEST = 512
const LINE_END = 10

const frames = {
  file: 'frames.log',
  put(buffer, at, key, value, time) {
    const length = 9 + (key?.length ?? 0) + value.length
    buffer.writeUInt32LE(length, at)
    buffer.writeUInt32LE(0, at + 4)
    buffer.writeDoubleLE(time, at + 8)
    buffer[at + 16] = key?.length ?? 0
    if (key !== undefined) buffer.set(key, at + 17)
    buffer.set(value, at + 17 + (key?.length ?? 0))
    return at + HEADER + length
  },
  /** Where the message ends that begins at `at`; -1 if not all of it is there. */
  end(buffer, at, held) {
    if (held - at < HEADER) return -1
    const end = at + HEADER + buffer.readUInt32LE(at)
    return end > held ? -1 : end
  },
  time: (buffer, at) => buffer.readDoubleLE(at + HEADER),
  key: (buffer, at) => buffer.latin1Slice(at + 17, at + 17 + buffer[at + 16]),
  name: (key) => key.latin1Slice(0, key.length),
  check: (messages, i, buffer, at, end, timed) => messages.checkEncoded(i, buffer, at + HEADER, end, timed),
}

const lines = {
  file: 'lines.json',
  put(buffer, at, key, value, time) {
    const message = { time, key: key?.toString('base64'), value: value.toString('base64') }
    return at + buffer.latin1Write(`${JSON.stringify(message)}\n`, at)
  },
  end(buffer, at, held) {
    const end = buffer.indexOf(LINE_END, at)
    return end < 0 || end >= held ? -1 : end + 1
  },
  time: (buffer, at, end) => JSON.parse(buffer.latin1Slice(at, end)).time,
  key: (buffer, at, end) => JSON.parse(buffer.latin1Slice(at, end)).key,
  name: (key) => key.toString('base64'),
  check(messages, i, buffer, at, end, timed) {
    const { time, key, value } = JSON.parse(buffer.latin1Slice(at, end))
    messages.checkParts(i, Buffer.from(value, 'base64'), key === undefined ? undefined : Buffer.from(key, 'base64'), timed ? time : undefined)
  },
}

/** Chunks of 1 MiB: `visit(buffer, start, end, position)`. */
function scan(fd, format, visit) {
  const buffer = Buffer.alloc(CHUNK + LONGEST)
  let held = 0
  let position = 0
  for (;;) {
    const got = fs.readSync(fd, buffer, held, buffer.length - held, position)
    if (got === 0) return
    position += got
    held += got
    let at = 0
    for (;;) {
      const end = format.end(buffer, at, held)
      if (end < 0) break
      visit(buffer, at, end, position - held + at)
      at = end
    }
    buffer.copyWithin(0, at, held)
    held -= at
  }
}

/** Where messages lie; which is the last of a key, and when each was, as far as that is wanted. */
function createIndexes(fd, format, { byKey = false, byTime = false }) {
  const places = []
  const keys = new Map()
  const times = []
  let end = 0
  scan(fd, format, (buffer, from, to, position) => {
    if (byKey) keys.set(format.key(buffer, from, to), places.length)
    if (byTime) times.push(format.time(buffer, from, to))
    places.push(position)
    end = position + to - from
  })
  return { places, keys, times, end }
}

function createAppender(fd, format, indexes) {
  const buffer = Buffer.alloc(GATHER)
  let at = 0
  let written = indexes?.end ?? 0
  const flush = () => {
    if (at > 0) fs.writeSync(fd, buffer, 0, at, written)
    written += at
    at = 0
  }
  const append = (key, value, time) => {
    if (at + LONGEST > GATHER) flush()
    if (indexes !== undefined) {
      if (key !== undefined) indexes.keys.set(format.name(key), indexes.places.length)
      indexes.places.push(written + at)
      indexes.times.push(time)
    }
    at = format.put(buffer, at, key, value, time)
  }
  return { append, flush }
}

async function withFile(task, format, measured) {
  const file = path.join(task.dir, format.file)
  const fd = fs.openSync(file, fs.constants.O_RDWR | fs.constants.O_CREAT)
  try {
    return await measured(fd, createMessages(task))
  } finally {
    fs.closeSync(fd)
  }
}

function readOne(fd, { places, end }, format, i, buffer, messages, timed = true) {
  const length = (places[i + 1] ?? end) - places[i]
  fs.readSync(fd, buffer, 0, length, places[i])
  format.check(messages, i, buffer, 0, length, timed)
}

function verify(fd, format, messages, indexes, result) {
  if (indexes === undefined) return result
  const last = messages.base + result.next - 1
  if (indexes.keys.get(format.name(messages.key(last))) !== last) throw new Error(`message ${last} is not found by its key`)
  readOne(fd, { ...indexes, end: fs.fstatSync(fd).size }, format, last, Buffer.alloc(LONGEST), messages, false)
  return result
}

const appends = (format) => (task) =>
  withFile(task, format, async (fd, messages) => {
    const indexes = task.indexed ? createIndexes(fd, format, { byKey: true, byTime: true }) : undefined
    const { append, flush } = createAppender(fd, format, indexes)
    const { base } = messages
    const step = (i) => append(messages.key(base + i), messages.value(base + i), Date.now())
    return verify(fd, format, messages, indexes, await measureSteps(task, step, { finish: flush }))
  })

const batches = (format) => (task) =>
  withFile(task, format, async (fd, messages) => {
    const indexes = task.indexed ? createIndexes(fd, format, { byKey: true, byTime: true }) : undefined
    const { append, flush } = createAppender(fd, format, indexes)
    const step = (i) => {
      const now = Date.now()
      for (const { key, value } of messages.batch(messages.base + i)) append(key, value, now)
    }
    return verify(fd, format, messages, indexes, await measureSteps(task, step, { each: BATCH, stride: 4, finish: flush }))
  })

const fills = (format) => (task) =>
  withFile(task, format, async (fd, messages) => {
    const { append, flush } = createAppender(fd, format)
    for (let i = 0; i < task.records; i++) append(messages.key(i), messages.value(i), timeOf(i))
    flush()
    return { ops: task.records }
  })

const reads = (format) => (task) =>
  withFile(task, format, (fd, messages) =>
    measurePasses(task, () => {
      let i = 0
      scan(fd, format, (buffer, at, end) => format.check(messages, i++, buffer, at, end, true))
      return i
    }))

const lookups = (format, wanted, find) => (task) =>
  withFile(task, format, async (fd, messages) => {
    const indexes = createIndexes(fd, format, wanted)
    const next = createShuffle(task.records)
    const buffer = Buffer.alloc(LONGEST)
    return measureSteps({ ...task, records: task.gets }, () => {
      const i = next()
      readOne(fd, indexes, format, find(indexes, i, format, messages), buffer, messages)
    }, { stride: 32 })
  })

/** The first whose time is `time` or later: times rise here. */
function firstAt(times, time) {
  let low = 0
  let high = times.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (times[middle] < time) low = middle + 1
    else high = middle
  }
  return low
}

const findOffset = (_indexes, i) => i
const findKey = ({ keys }, i, format, messages) => keys.get(format.name(messages.keyNamed(i)))
const findTime = ({ times }, i) => firstAt(times, timeOf(i))

const misses = (format) => (task) =>
  withFile(task, format, async (fd, messages) => {
    const { keys } = createIndexes(fd, format, { byKey: true })
    const next = createShuffle(task.records)
    return measureSteps({ ...task, records: task.gets }, () => {
      if (keys.has(format.name(messages.keyNamed(2 ** 31 + next())))) throw new Error('found what is not there')
    }, { stride: 32 })
  })

const opens = (format) => (task) => {
  const messages = createMessages(task)
  const buffer = Buffer.alloc(LONGEST)
  const i = task.records >> 1
  return measureOpens(task, () => {
    const fd = fs.openSync(path.join(task.dir, format.file), 'r+')
    const indexes = createIndexes(fd, format, { byKey: true, byTime: true })
    readOne(fd, indexes, format, findKey(indexes, i, format, messages), buffer, messages)
    return fd
  }, (fd) => fs.closeSync(fd))
}

export const [appendFrames, appendLines] = [frames, lines].map(appends)
export const [batchFrames, batchLines] = [frames, lines].map(batches)
export const [fillFrames, fillLines] = [frames, lines].map(fills)
export const [readFrames, readLines] = [frames, lines].map(reads)
export const [getFrames, getLines] = [frames, lines].map((format) => lookups(format, {}, findOffset))
export const [keyFrames, keyLines] = [frames, lines].map((format) => lookups(format, { byKey: true }, findKey))
export const [timeFrames, timeLines] = [frames, lines].map((format) => lookups(format, { byTime: true }, findTime))
export const [missFrames, missLines] = [frames, lines].map(misses)
export const [openFrames, openLines] = [frames, lines].map(opens)
