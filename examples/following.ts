// Two processes, one log: one writes, the other follows it. The follower takes no lock and writes nothing, so there may be any number of them,
// and the writer does not know. This program is the follower, and starts itself as the writer.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Wal, codecs } from 'varve'

interface Tick {
  n: number
  /** Milliseconds since the epoch, with a fraction: the clock that two processes share. */
  at: number
}

const COUNT = 300
const codec = codecs.json<Tick>()
const now = (): number => performance.timeOrigin + performance.now()

const [given] = process.argv.slice(2)
if (given === undefined) await follow()
else await write(given)

async function write(dir: string): Promise<void> {
  // 'os': each record is handed to the system at once; followers see what the system has.
  await using log = await Wal.open(dir, { codec, durability: 'os' })
  console.log('open')
  for (let n = 0; n < COUNT; n++) {
    log.append({ n, at: now() })
    await delay(1)
  }
}

async function follow(): Promise<void> {
  const dir = mkdtempSync(path.join(tmpdir(), 'varve-following-'))
  const writer = spawn(process.execPath, [...process.execArgv, fileURLToPath(import.meta.url), dir], { stdio: ['ignore', 'pipe', 'inherit'] })
  // There has to be a log before it can be followed.
  await once(writer.stdout, 'data')

  await using log = await Wal.open(dir, { codec, readOnly: true })
  const latencies: number[] = []
  for await (const { index, data } of log.tail()) {
    latencies.push(now() - data.at)
    assert.equal(index, data.n) // each once, and in order
    if (data.n === COUNT - 1) break // a tail waits for more, for ever; break lets go of it
  }

  latencies.sort((a, b) => a - b)
  const micros = (share: number): string => `${Math.round(latencies[Math.floor(latencies.length * share)]! * 1000)} µs`
  console.log(`${COUNT} records followed; from the write to the body of the loop: half of them within ${micros(0.5)}, 99 % within ${micros(0.99)}`)
  await once(writer, 'exit')
  rmSync(dir, { recursive: true })
}
