// Longer forms of tests that run with every commit.
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { bin, root } from '../scripts/run.mjs'
import { runChild } from './child.mjs'

/** What a minute is good for on two slow cores; a quicker machine is done sooner. */
const imagesAMinute = 60_000
const killsAMinute = 60

export async function longer({ minutes, seed }) {
  const share = minutes / 2
  const kills = readdirSync(join(root, '__test__', 'wal')).filter((name) => name.includes('kill') && name.endsWith('.spec.ts'))
  const tests = [
    {
      what: 'crash explorer',
      rounds: Math.ceil(share * imagesAMinute),
      command: 'cargo',
      args: ['test', '--release', '-p', 'varve-testkit', '--test', 'crash', '--', '--nocapture'],
      env: (rounds) => ({ VARVE_IMAGES: String(rounds), VARVE_FIRST_SEED: String(seed) }),
    },
    {
      what: 'kill -9',
      rounds: Math.ceil(share * killsAMinute),
      command: bin('ava'),
      args: [`--timeout=${Math.ceil(share * 4) + 5}m`, ...kills.map((name) => join('__test__', 'wal', name))],
      env: (rounds) => ({ VARVE_ROUNDS: String(rounds), VARVE_SEED: String(seed) }),
    },
  ]
  const rows = []
  for (const { what, rounds, command, args, env } of tests) {
    const { code, signal, output } = await runChild(command, args, { cwd: root, env: env(rounds), show: true })
    const note = /^\d+ images of .*$/m.exec(output)?.[0] ?? /\d+ acknowledgements.*/.exec(output)?.[0]
    rows.push({ part: 'longer', what, rounds, failures: code === 0 ? [] : [`ends with ${signal ?? code}: ${output.slice(-3000)}`], note })
  }
  return rows
}
