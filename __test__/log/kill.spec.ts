import test from 'ava'
import { Log } from 'varve'
import { randomOf } from '../programs/log-chaos-message.mjs'
import { freshDir } from '../support/directory.ts'
import { type Found, Model, written } from './kill-model.ts'
import { Follower, hashOf, killed, lastOf, look } from './killed.ts'

/** As many as fit; a soak takes more. */
const ROUNDS = Number(process.env['VARVE_ROUNDS'] ?? 20)
/** Kills of the same log: what recovery made is itself killed and recovered. */
const ROUNDS_OF_A_LOG = 10

/** A producer's batch. */
interface ProducerBatch {
  name: string
  sequence: number
  from: number
  count: number
  offset?: number
}

/** Takes in what a writer said up to its kill; gives the batches of its producers. */
function replay(model: Model, lines: readonly string[]): ProducerBatch[] {
  const batches: ProducerBatch[] = []
  for (const [kind = '', ...words] of lines.map((line) => line.split(' '))) {
    const [at = 0, count = 0] = words.map(Number)
    if (kind === 'p') {
      const [name = '', from, size, how = ''] = words
      model.attempt(Array.from({ length: Number(size) }, (_, i) => `${name}:${Number(from) + i}`), how !== 's')
      if (how.startsWith('q')) batches.push({ name, sequence: Number(how.slice(1)), from: Number(from), count: Number(size) })
    } else if (kind === 'a') {
      const [, , name = '', from] = words
      for (let i = 0; i < count; i++) model.acknowledge(`${name}:${Number(from) + i}`, at + i)
      const batch = batches.find((one) => one.name === name && one.from === Number(from))
      if (batch !== undefined) batch.offset = at
    } else if (kind === 'i') model.begin(words[0]!, words[1] ?? '')
    else if (kind === 'd') model.end()
    else if (kind === 'c') model.cursor.may = at
    else if (kind === 'C') model.cursor.done = at
    else if (kind === 'h') model.mark.may = Math.max(model.mark.may, at)
    else if (kind === 'H') model.mark.done = Math.max(model.mark.done, at)
    else throw new Error(`a line of another kind: ${kind} ${words}`)
  }
  model.kill()
  return batches
}

/** A producer's batch that is sent again is not written again; one that was lost is written now. What is wrong, if something is. */
function sendAgain(log: Log, found: Found, { name, sequence, from, count, offset }: ProducerBatch): string | undefined {
  const before = log.nextOffset
  const batch = Array.from({ length: count }, (_, i) => written(`${name}:${from + i}`))
  const producer = { id: Number.parseInt(name, 10) * 2 + (name.endsWith('m') ? 0 : 1), epoch: 0, sequence }
  const at = log.appendBatch(batch, { producer })
  if (offset !== undefined && (at !== offset || log.nextOffset !== before)) return `batch ${sequence} of ${name} was written at ${offset}; sent again, at ${at}`
  const first = [...found.ids].find(([, id]) => id === `${name}:${from}`)?.[0]
  if (first !== undefined && at !== first) return `batch ${sequence} of ${name} is at ${first}, and was not known; sent again, at ${at}`
  return undefined
}

test(`${ROUNDS} rounds of kill -9 over threads that append, remove, compact and consume: what was acknowledged is there with its key, time and headers, what was removed stays so, indexes and messages agree, and a follower misses nothing`, async (t) => {
  t.timeout(Math.max(170_000, ROUNDS * 6000))
  const seed = Number(process.env['VARVE_SEED'] ?? Date.now() & 0x7fffffff)
  t.log(`VARVE_SEED=${seed}`)
  const random = randomOf(seed)
  let [dir, follower, model]: [string, Follower | undefined, Model] = ['', undefined, new Model()]
  const sum = { lines: 0, removals: 0, within: 0, again: 0, followed: 0, overtaken: 0, questions: 0 }
  for (let round = 0; round < ROUNDS; round++) {
    const retains = Math.floor(round / ROUNDS_OF_A_LOG) % 2 === 1
    if (round % ROUNDS_OF_A_LOG === 0) {
      await follower?.end()
      ;[dir, model] = [freshDir(t), new Model()]
      Log.openSync(dir, { indexes: { key: true, time: true } }).closeSync()
      follower = new Follower(t, 'log-chaos-follower', dir)
      t.is(await follower.line(), 'ready')
    }
    const lines = await killed('log-chaos', [dir, round, seed, retains], round, random(round % 4 === 2 ? 400 : 80))
    const batches = replay(model, lines)
    sum.lines += lines.length
    sum.within += model.isRemoving ? 1 : 0

    const log = await Log.open(dir)
    const gated = Log.openSync(dir, { commitGate: true })
    const lookAgain = (): Found => ({ ...look(log, random, model.isExact), mark: gated.highWaterMark })
    let found = lookAgain()
    let problem = model.wrong(found, retains)
    // The last five are remembered, and so is one that was under way.
    for (const name of [`${round}m`, `${round}w`]) {
      for (const batch of batches.filter((one) => one.name === name).slice(-5)) {
        problem ??= sendAgain(log, found, batch)
        sum.again++
      }
    }
    if (problem !== undefined) return t.fail(`round ${round}: ${problem}; ${lastOf(lines)}`)
    if (log.nextOffset > found.next) found = lookAgain()
    await gated.close()
    await log.close()
    const { ok, damage } = await Log.check(dir)
    t.true(ok, JSON.stringify(damage))

    const answer = await follower!.ask(`${found.start} ${found.next} ${hashOf(found)}`)
    if (!answer.startsWith('ok ')) return t.fail(`round ${round}: the follower: ${answer}`)
    if (round % ROUNDS_OF_A_LOG === ROUNDS_OF_A_LOG - 1 || round === ROUNDS - 1) {
      const [followed = 0, overtaken = 0, questions = 0] = answer.split(' ').slice(1).map(Number)
      sum.followed += followed
      sum.overtaken += overtaken
      sum.questions += questions
      sum.removals += model.removals
    }
    model.settle(found)
  }
  await follower?.end()
  t.log(JSON.stringify(sum))
  t.true(sum.lines > ROUNDS && sum.followed > ROUNDS && sum.again > 0)
})
