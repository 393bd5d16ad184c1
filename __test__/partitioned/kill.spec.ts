import test from 'ava'
import { PartitionedLog } from 'varve'
import { Model } from '../log/kill-model.ts'
import { Follower, hashOf, killed, lastOf, look } from '../log/killed.ts'
import { randomOf } from '../programs/log-chaos-message.mjs'
import { freshDir } from '../support/directory.ts'

/** As many as fit; a soak takes more. */
const ROUNDS = Number(process.env['VARVE_ROUNDS'] ?? 10)
/** Kills of the same log: what recovery made is itself killed and recovered. */
const ROUNDS_OF_A_LOG = 5
const PARTITIONS = 6
const INDEXES = { key: true, time: true }

/** Takes in what a writer said up to its kill. */
function replay(models: readonly Model[], lines: readonly string[]): void {
  for (const [kind, ...words] of lines.map((line) => line.split(' '))) {
    const partition = Number(words[0])
    const concerned = partition < 0 ? models : [models[partition]!]
    if (kind === 'p') {
      const [name = '', from, count, how] = words
      const numbers = Array.from({ length: Number(count) }, (_, i) => Number(from) + i)
      // Where one goes by its key is told when it is there; a batch is one in each partition.
      models.forEach((model, at) => model.attempt(numbers.filter((n) => how === 's' || n % 5 === at).map((n) => `${name}:${n}`), how === 'b'))
    } else if (kind === 'a') words.slice(2).forEach((id, i) => models[partition]!.acknowledge(id, Number(words[1]) + i))
    else if (kind === 'i') for (const model of concerned) model.begin(words[1]!, words[2] ?? '')
    else if (kind === 'd') for (const model of concerned) model.end()
    else throw new Error(`a line of another kind: ${kind} ${words}`)
  }
  for (const model of models) model.kill()
}

test(`${ROUNDS} rounds of kill -9 over a log of partitions: each has what was acknowledged, whole in batches, and what one sync made durable in all; a follower sees each in its order, and misses nothing`, async (t) => {
  t.timeout(Math.max(170_000, ROUNDS * 6000))
  const seed = Number(process.env['VARVE_SEED'] ?? Date.now() & 0x7fffffff)
  t.log(`VARVE_SEED=${seed}`)
  const random = randomOf(seed)
  let [dir, follower, models]: [string, Follower | undefined, Model[]] = ['', undefined, []]
  const sum = { lines: 0, removals: 0, followed: 0, overtaken: 0 }
  for (let round = 0; round < ROUNDS; round++) {
    if (round % ROUNDS_OF_A_LOG === 0) {
      await follower?.end()
      ;[dir, models] = [freshDir(t), Array.from({ length: PARTITIONS }, () => new Model())]
      await PartitionedLog.open(dir, { partitions: PARTITIONS, indexes: INDEXES }).then((log) => log.close())
      follower = new Follower(t, 'log-chaos-partitions-follower', dir)
      t.is(await follower.line(), 'ready')
    }
    const lines = await killed('log-chaos-partitions', [dir, round, seed], round, random(round % 4 === 2 ? 400 : 80))
    replay(models, lines)
    sum.lines += lines.length

    const log = await PartitionedLog.open(dir, { indexes: INDEXES })
    const all = log.logs.map((one, partition) => look(one, random, models[partition]!.isExact))
    for (const [partition, found] of all.entries()) {
      const problem = models[partition]!.wrong(found, false)
      if (problem !== undefined) return t.fail(`round ${round}: partition ${partition}: ${problem}; ${lastOf(lines)}`)
    }
    const ids = all.flatMap((found) => [...found.ids.values()])
    t.is(new Set(ids).size, ids.length, 'a message is in two partitions')
    await log.close()
    const { ok, damage } = await PartitionedLog.check(dir)
    t.true(ok, JSON.stringify(damage))

    const answer = await follower!.ask(JSON.stringify(all.map((found) => [found.start, found.next, hashOf(found)])))
    if (!answer.startsWith('ok ')) return t.fail(`round ${round}: the follower: ${answer}`)
    if (round % ROUNDS_OF_A_LOG === ROUNDS_OF_A_LOG - 1 || round === ROUNDS - 1) {
      const [followed = 0, overtaken = 0] = answer.split(' ').slice(1).map(Number)
      sum.followed += followed
      sum.overtaken += overtaken
      for (const { removals } of models) sum.removals += removals
    }
    models.forEach((model, partition) => model.settle(all[partition]!))
  }
  await follower?.end()
  t.log(JSON.stringify(sum))
  t.true(sum.lines > ROUNDS && sum.followed > ROUNDS)
})
