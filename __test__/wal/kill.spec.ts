import { once } from 'node:events'
import { setTimeout } from 'node:timers/promises'
import test from 'ava'
import { Wal } from 'varve'
import { start } from '../support/child.ts'
import { freshDir } from '../support/directory.ts'

const ROUNDS = Number(process.env['VARVE_ROUNDS'] ?? 100)

test('100 rounds of kill -9 under several workers lose nothing acknowledged, and invent, double or tear nothing', async (t) => {
  t.timeout(Math.max(170_000, ROUNDS * 5_000))
  let dir = freshDir(t)
  let verified = 0
  let acknowledgements = 0
  for (let round = 0; round < ROUNDS; round++) {
    // The same log for some rounds, so that what recovery made is itself killed and recovered.
    if (round % 20 === 0) [dir, verified] = [freshDir(t), 0]
    const writer = start('writer', [dir, round])
    let output = ''
    writer.stdout!.setEncoding('utf8').on('data', (text: string) => (output += text))
    let complaint = ''
    writer.stderr!.setEncoding('utf8').on('data', (text: string) => (complaint += text))
    // Usually when all threads are at it; now and then while they begin.
    const begun = (): boolean => (round % 10 === 0 ? ['m'] : ['m', 'a', 'b']).every((name) => output.includes(` ${round}${name}:`))
    while (!begun() && writer.exitCode === null) await setTimeout(1)
    await setTimeout((round * 7) % 40)
    writer.kill('SIGKILL')
    if (writer.exitCode !== null) t.fail(`the writer ended by itself: ${complaint}`)
    await once(writer, 'close')

    const acknowledged = new Map<number, string>()
    // What follows the last line break was cut off by the kill.
    for (const line of output.split('\n').slice(0, -1)) {
      const [, index, record] = line.split(' ')
      acknowledged.set(Number(index), record!)
    }
    acknowledgements += acknowledged.size

    const log = await Wal.open(dir)
    t.deepEqual(log.stats().recovery.gaps, [])
    const next = new Map<string, number>()
    let index = verified
    for (const { index: at, data } of log.records({ from: verified })) {
      const [name, n, filling] = data.toString().split(':')
      const expected = next.get(name!) ?? 0
      if (at !== index || Number(n) !== expected || filling !== '.'.repeat(((expected + 1) * 37) % 300)) t.fail(`round ${round}, ${at}: ${data.toString().slice(0, 40)}, where number ${expected} should come`)
      next.set(name!, expected + 1)
      const given = acknowledged.get(at)
      if (given !== undefined && given !== `${name}:${n}`) t.fail(`round ${round}: ${at} was acknowledged as ${given}, and is ${name}:${n}`)
      acknowledged.delete(at)
      index++
    }
    if (acknowledged.size > 0) t.fail(`round ${round}: ${acknowledged.size} acknowledged records are gone, the first at ${[...acknowledged.keys()][0]}; the log ends at ${log.nextIndex}`)
    verified = log.nextIndex
    await log.close()
  }
  t.log(`${acknowledgements} acknowledgements in ${ROUNDS} rounds`)
  t.true(acknowledgements > ROUNDS)
})
