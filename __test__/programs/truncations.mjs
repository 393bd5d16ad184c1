// Is killed: appends, truncates at both ends, resets, commits, rotates and syncs at random. Says what it begins, as a line of JSON, and that it is done, as an
// empty line. Arguments: directory, seed.
import { writeSync } from 'node:fs'
import { Wal } from 'varve'

const [dir, seed] = process.argv.slice(2)
let state = Number(seed) | 0
/** Mulberry32. */
function random(below) {
  state = (state + 0x6d2b79f5) | 0
  let t = Math.imul(state ^ (state >>> 15), 1 | state)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((t ^ (t >>> 14)) >>> 0) % below
}

const log = Wal.openSync(dir, { durability: 'os', segmentSize: 65_536 })
for (let step = 0; ; step++) {
  const { firstIndex, nextIndex } = log
  const held = nextIndex - firstIndex
  const texts = Array.from({ length: 1 + random(30) }, (_, i) => `${seed}.${step}.${i}${'.'.repeat(random(400))}`)
  const which = random(20)
  if (which < 11) await does(['append', texts], () => log.appendBatch(texts))
  else if (which < 14) await does(['after', firstIndex - 1 + random(held + 1)], (index) => index < log.nextIndex && log.truncateAfter(index))
  else if (which < 16) await does(['before', firstIndex + random(held + 1)], (index) => log.truncateBefore(index))
  else if (which < 17 && random(5) === 0) await does(['reset', random(1000)], (index) => log.reset(index))
  else if (which < 18 && held > 0) await does(['commit', firstIndex + random(held)], (index) => log.commit(index))
  else if (which < 19) await does(['rotate', 0], () => log.rotate())
  else await does(['sync', 0], () => log.sync())
}

async function does(operation, act) {
  tell(`${JSON.stringify(operation)}\n`)
  await act(operation[1])
  tell('\n')
}

/** Waits where the pipe is full: whoever reads it may be behind. */
function tell(line) {
  for (let rest = Buffer.from(line); rest.length > 0; ) {
    try {
      rest = rest.subarray(writeSync(1, rest))
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1)
    }
  }
}
