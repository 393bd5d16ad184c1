import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { Wal } from 'varve'
import { start } from '../support/child.ts'
import { freshDir } from '../support/directory.ts'

/** As many as fit; a soak takes more. */
const ROUNDS = Number(process.env['VARVE_ROUNDS'] ?? 40)
/** Kills of the same log: what recovery made is itself killed and recovered. */
const ROUNDS_OF_A_LOG = 10

interface Intention {
  operation: string
  argument: number
}

/** What was acknowledged. */
interface Model {
  first: number
  next: number
  committed: number
  /** The record at an index, by its thread and number; what is not acknowledged is not in it. */
  records: Map<number, string>
  /** Records of a thread whose fate has been told: all later ones may be there or not. */
  told: Map<string, number>
}

function apply(model: Model, { operation, argument }: Intention): void {
  const { records } = model
  if (operation === 'truncateAfter') model.next = argument + 1
  else if (operation === 'truncateBefore') model.first = Math.max(model.first, argument)
  else if (operation === 'reset') [model.first, model.next, model.committed] = [argument, argument, argument - 1]
  else if (operation === 'commit') model.committed = Math.max(model.committed, argument)
  if (operation === 'truncateAfter' || operation === 'reset') {
    for (const index of records.keys()) if (index >= model.next || operation === 'reset') records.delete(index)
    model.committed = Math.min(model.committed, model.next - 1)
  }
  for (const index of records.keys()) if (index < model.first) records.delete(index)
  model.committed = Math.max(model.committed, model.first - 1)
}

/** Applies the lines of a writer; returns what it was about to do when it was killed. */
function replay(model: Model, lines: readonly string[]): Intention | undefined {
  let intention: Intention | undefined
  for (const line of lines) {
    const [kind, ...words] = line.split(' ')
    if (kind === 'a') {
      const [index = 0, count = 0] = words.map(Number)
      const [, , name = '', from] = words
      for (let i = 0; i < count; i++) if (index + i >= model.first) model.records.set(index + i, `${name}:${Number(from) + i}`)
      model.next = Math.max(model.next, index + count)
      model.told.set(name, Math.max(model.told.get(name) ?? 0, Number(from) + count))
    } else if (kind === 'i') {
      intention = { operation: words[0]!, argument: Number(words[1]) }
    } else if (kind === 'd') {
      apply(model, intention!)
      intention = undefined
    }
  }
  return intention
}

interface Found {
  first: number
  next: number
  committed: number
  records: Map<number, string>
  hash: string
}

async function look(dir: string): Promise<Found> {
  const log = await Wal.open(dir, { commitGate: true })
  const open = Wal.openSync(dir)
  try {
    if (log.stats().recovery.gaps.length > 0) throw new Error('there are gaps')
    const records = new Map<number, string>()
    const hash = createHash('sha1')
    let next = open.firstIndex
    for (const { index, data } of open.records()) {
      const [name, n, filling] = data.toString().split(':')
      if (index !== next++) throw new Error(`a hole: ${index}, where ${next - 1} should come`)
      if (filling !== '.'.repeat(((Number(n) + 1) * 37) % 300)) throw new Error(`torn at ${index}: ${data.toString().slice(0, 60)}`)
      records.set(index, `${name}:${n}`)
      hash.update(`${index}\n`).update(data)
    }
    if (next !== open.nextIndex) throw new Error(`records end at ${next}, the log at ${open.nextIndex}`)
    if (new Set(records.values()).size !== records.size) throw new Error('a record is there twice')
    return { first: open.firstIndex, next, committed: log.committedIndex, records, hash: hash.digest('hex') }
  } finally {
    await open.close()
    await log.close()
  }
}

/** What is wrong with a log, seen from what was acknowledged; undefined if nothing is. */
function wrong(model: Model, found: Found, retains: boolean): string | undefined {
  if (retains ? found.first < model.first : found.first !== model.first) return `begins at ${found.first}, and not at ${model.first}`
  if (found.committed < Math.max(model.committed, found.first - 1)) return `committed to ${found.committed}, and not to ${model.committed}`
  for (const [index, record] of model.records) {
    if (index >= found.first && found.records.get(index) !== record) return `${index} was acknowledged as ${record}, and is ${found.records.get(index)}; the log ends at ${found.next}`
  }
  for (const [index, record] of found.records) {
    if (model.records.has(index)) continue
    const [name = '', n] = record.split(':')
    if (Number(n) < (model.told.get(name) ?? 0)) return `${index} is ${record}, which was cut, or is elsewhere`
  }
  return undefined
}

const copy = (model: Model): Model => ({ ...model, records: new Map(model.records), told: new Map(model.told) })

class Follower {
  readonly #child
  readonly #lines: AsyncIterator<string>
  readonly #t: ExecutionContext
  constructor(t: ExecutionContext, dir: string) {
    this.#t = t
    this.#child = start('chaos-follower', [dir])
    this.#lines = createInterface({ input: this.#child.stdout! })[Symbol.asyncIterator]()
    this.#child.stderr!.setEncoding('utf8').on('data', (text: string) => t.log(text))
    t.teardown(() => this.#child.kill('SIGKILL'))
  }

  async line(): Promise<string> {
    for (;;) {
      const { value, done } = await this.#lines.next()
      if (done) return 'ended'
      if (!value.startsWith('waits')) return value
      this.#t.log(value)
    }
  }

  async agree({ first, next, hash }: Found): Promise<string> {
    this.#child.stdin!.write(`${first} ${next} ${hash}\n`)
    return this.line()
  }

  async end(): Promise<void> {
    this.#child.stdin!.end()
    await once(this.#child, 'close')
  }
}

test(`${ROUNDS} rounds of kill -9 under all operations lose nothing acknowledged, and a follower in another process sees no hole, no change and no invention`, async (t) => {
  t.timeout(Math.max(170_000, ROUNDS * 5000))
  const seed = Number(process.env['VARVE_SEED'] ?? Date.now() & 0x7fffffff)
  t.log(`VARVE_SEED=${seed}`)
  let [dir, follower]: [string, Follower | undefined] = ['', undefined]
  let model: Model
  let [acknowledged, intended, followed, overtaken] = [0, 0, 0, 0]
  for (let round = 0; round < ROUNDS; round++) {
    const begins = round % ROUNDS_OF_A_LOG === 0
    const retains = Math.floor(round / ROUNDS_OF_A_LOG) % 2 === 1
    if (begins) {
      await follower?.end()
      ;[dir, follower] = [freshDir(t), undefined]
      model = { first: 0, next: 0, committed: -1, records: new Map(), told: new Map() }
      Wal.openSync(dir).closeSync()
    }
    if (follower === undefined) {
      follower = new Follower(t, dir)
      t.is(await follower.line(), 'ready')
    }
    const writer = start('chaos', [dir, round, seed, retains])
    let [output, complaint] = ['', '']
    let isReady = false
    writer.stdout!.setEncoding('utf8').on('data', (text: string) => {
      output += text
      // Every other time while one is about to truncate, reset, commit or remove.
      if (isReady && round % 2 === 1 && output.lastIndexOf('\ni ') > output.lastIndexOf('\nd')) writer.kill('SIGKILL')
    })
    writer.stderr!.setEncoding('utf8').on('data', (text: string) => (complaint += text))
    // Usually when all threads are at it; now and then while they begin.
    const names = round % 10 === 5 ? ['m'] : ['m', 'a', 'b']
    while (!names.every((name) => output.includes(` ${round}${name} `)) && writer.exitCode === null) await setTimeout(1)
    isReady = true
    const closed = once(writer, 'close')
    await Promise.race([closed, setTimeout(round % 2 === 1 ? 1000 : (round * 37 + seed) % 60)])
    writer.kill('SIGKILL')
    await closed
    if (writer.exitCode !== null) return t.fail(`round ${round}: the writer ended by itself: ${complaint}`)

    // What follows the last line break was cut off by the kill.
    const lines = output.split('\n').slice(0, -1)
    const intention = replay(model!, lines)
    acknowledged += lines.length
    const found = await look(dir)
    let problem = wrong(model!, found, retains)
    if (intention !== undefined) {
      intended++
      // What was under way has happened, or has not.
      const after = copy(model!)
      apply(after, intention)
      if (problem !== undefined) problem = wrong(after, found, retains) && `${problem}; with ${intention.operation}(${intention.argument}): ${wrong(after, found, retains)}`
    }
    if (problem !== undefined) return t.fail(`round ${round}: ${problem}; the last lines: ${lines.slice(-5).join(' | ')}`)
    const answer = await follower.agree(found)
    if (!answer.startsWith('ok ')) return t.fail(`round ${round}: the follower: ${answer}`)
    if (round % ROUNDS_OF_A_LOG === ROUNDS_OF_A_LOG - 1 || round === ROUNDS - 1) {
      const [seen = 0, cuts = 0] = answer.split(' ').slice(1).map(Number)
      ;[followed, overtaken] = [followed + seen, overtaken + cuts]
    }
    model = { ...model!, first: found.first, next: found.next, committed: found.committed, records: found.records }
  }
  await follower?.end()
  t.log(`${acknowledged} lines, ${intended} kills in the middle of an operation, ${followed} records followed, ${overtaken} times overtaken`)
  t.true(acknowledged > ROUNDS && followed > ROUNDS)
})
