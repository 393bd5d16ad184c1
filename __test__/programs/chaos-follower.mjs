// Follows a log whose writer does everything and is killed, and checks what it sees: no hole, no change, no invention. Argument: directory.
// For each line `<firstIndex> <nextIndex> <hash>` on its standard input it waits until it has come to that state by itself, and answers 'ok'.
import { createHash } from 'node:crypto'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import { isVarveError, Wal } from 'varve'

const log = await Wal.open(process.argv[2], { readOnly: true })
let stands = -1
let seen = 0
let overtaken = 0

const fail = (message) => {
  console.log(`bad ${message}`)
  process.exit(1)
}

/** Whether a record is one that a writer makes. */
function check(index, text) {
  const [name, n, filling] = text.split(':')
  if (!/^\d+[mab]$/.test(name) || filling !== '.'.repeat(((Number(n) + 1) * 37) % 300)) fail(`invented at ${index}: ${text.slice(0, 60)}`)
}

async function follow() {
  for (;;) {
    // What this tail has returned; only a cut may change it, and that ends the tail.
    const known = new Map()
    try {
      const { firstIndex } = log
      stands = firstIndex
      for await (const { index, data } of log.tail({ from: firstIndex })) {
        if (index !== stands) fail(`a hole: ${index}, where ${stands} should come`)
        const text = data.toString()
        check(index, text)
        known.set(index, text)
        stands = index + 1
        seen++
        // Now and then one of those before is looked at again.
        if (index % 97 === 0) again(known, index - (index % 89))
      }
      return
    } catch (error) {
      if (!isVarveError(error, 'VARVE_OUT_OF_RANGE')) fail(`${error.stack} ${JSON.stringify(error)}`)
      overtaken++
    }
  }
}

/** A record that has been returned is the same, or gone. One that has been cut since may have been replaced: then its tail is overtaken, too. */
function again(known, index) {
  const text = known.get(index)
  if (text === undefined) return
  let now
  try {
    now = log.get(index)?.toString()
  } catch (error) {
    if (!isVarveError(error, 'VARVE_OUT_OF_RANGE')) fail(`get ${index}: ${error.stack}`)
  }
  if (now !== undefined && now !== text) check(index, now)
}

function hash() {
  const hash = createHash('sha1')
  for (const { index, data } of log.records()) hash.update(`${index}\n`).update(data)
  return hash.digest('hex')
}

void follow()
console.log('ready')
for await (const line of createInterface({ input: process.stdin })) {
  const [firstIndex, nextIndex, wanted] = line.split(' ')
  for (let tries = 0; ; tries++) {
    let state
    try {
      state = `${log.firstIndex} ${log.nextIndex} ${hash()}`
    } catch (error) {
      // Overtaken while it looked.
      if (!isVarveError(error, 'VARVE_OUT_OF_RANGE')) fail(`${error.stack}`)
      state = error.message
    }
    if (state === `${firstIndex} ${nextIndex} ${wanted}` && stands === Number(nextIndex)) break
    if (tries % 1000 === 999) console.log(`waits for ${line}, is at ${state}, tail at ${stands}`)
    await setTimeout(2)
  }
  console.log(`ok ${seen} ${overtaken}`)
}
process.exit()
