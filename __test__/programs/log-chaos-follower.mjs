// Follows a message log whose writer does everything and is killed, and checks what it sees: no change, no invention, nothing out of order, and nothing passed over that is still there. Argument: directory.
// For each line `<startOffset> <nextOffset> <hash>` on its standard input it waits until it has come to that state by itself, and answers 'ok'.
import { createHash } from 'node:crypto'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import { isVarveError, Log } from 'varve'
import { idOf, randomOf } from './log-chaos-message.mjs'

const log = await Log.open(process.argv[2], { readOnly: true })
const random = randomOf(1)
/** All that was ever seen, by offset: an offset is given once, so none of it may change. */
const known = new Map()
/** Offset of the newest message seen of a key. */
const newest = new Map()
/** Where the subscription that runs now began, and stands. */
let [began, stands] = [0, -1]
let [seen, overtaken, questions] = [0, 0, 0]

const fail = (message) => {
  console.log(`bad ${message.replaceAll('\n', ' ')}`)
  process.exit(1)
}

/** Whatever is read by whatever way goes through here. */
function check(message, way) {
  let id
  try {
    id = idOf(message)
  } catch (error) {
    fail(`${way}: ${error.message}`)
  }
  const before = known.get(message.offset)?.id
  if (before !== undefined && before !== id) fail(`${way}: ${message.offset} was ${before}, and is ${id}`)
  const key = message.key?.toString() ?? null
  known.set(message.offset, { id, time: message.time })
  newest.set(key, Math.max(newest.get(key) ?? -1, message.offset))
  return key
}

/** Whether an offset that was there is gone. */
function isGone(offset) {
  try {
    const message = log.get(offset)
    if (message !== undefined) check(message, 'get')
    return message === undefined
  } catch (error) {
    if (!isVarveError(error, 'VARVE_OUT_OF_RANGE')) throw error
    return true
  }
}

/** Answers by key and by time are not behind what was seen before they were asked for. */
function ask() {
  questions++
  const key = [...newest.keys()][random(newest.size)]
  const last = newest.get(key)
  const byKey = log.getByKey(key)
  if (byKey !== undefined && check(byKey, 'getByKey') !== key) fail(`getByKey(${key}) is of another key`)
  if ((byKey?.offset ?? -1) < last && !isGone(last)) fail(`getByKey(${key}) is ${byKey?.offset}, and ${last} is there`)
  const offsets = [...known.keys()]
  const { time } = known.get(offsets[random(offsets.length)])
  const byTime = log.getByTime(time)
  if (byTime !== undefined && (check(byTime, 'getByTime'), byTime.time < time)) fail(`getByTime(${time}) is ${byTime.time}`)
  for (const [offset, one] of known) {
    if (one.time < time || offset >= (byTime?.offset ?? Infinity)) continue
    if (!isGone(offset)) fail(`getByTime(${time}) is ${byTime?.offset}, and ${offset} is there, of ${one.time}`)
  }
}

async function follow() {
  for (;;) {
    try {
      const { startOffset } = log
      const messages = log.subscribe({ from: startOffset })
      ;[began, stands] = [startOffset, startOffset]
      for await (const message of messages) {
        if (message.offset < stands) fail(`${message.offset} behind ${stands - 1}`)
        check(message, 'subscribe')
        stands = message.offset + 1
        if (++seen % 199 === 0) ask()
      }
      return
    } catch (error) {
      if (!isVarveError(error, 'VARVE_OUT_OF_RANGE')) fail(`${error.stack} ${JSON.stringify(error)}`)
      overtaken++
      // What it knows may be behind the writer for a moment.
      await setTimeout(1)
    }
  }
}

/** Start, end and hash of all that is there; and whether the subscription has come by all of it. */
function state() {
  const hash = createHash('sha1')
  let isSeen = true
  for (const message of log.messages()) {
    const { offset } = message
    const wasKnown = known.has(offset)
    check(message, 'messages')
    hash.update(`${offset} ${known.get(offset).id}\n`)
    if (wasKnown) continue
    known.delete(offset)
    isSeen = false
    if (offset >= began && offset < stands) fail(`${offset} was passed over by a subscription that began at ${began} and stands at ${stands}`)
  }
  return [`${log.startOffset} ${log.nextOffset} ${hash.digest('hex')}`, isSeen]
}

void follow()
console.log('ready')
for await (const wanted of createInterface({ input: process.stdin })) {
  for (let tries = 0; ; tries++) {
    let [is, isSeen] = ['', false]
    try {
      ;[is, isSeen] = state()
    } catch (error) {
      // Overtaken while it looked.
      if (!isVarveError(error, 'VARVE_OUT_OF_RANGE')) fail(`${error.stack}`)
    }
    if (is === wanted && isSeen) break
    if (tries === 1500) fail(`waits for ${wanted}, and stays at ${is}; the subscription stands at ${stands}`)
    await setTimeout(2)
  }
  console.log(`ok ${seen} ${overtaken} ${questions}`)
}
process.exit()
