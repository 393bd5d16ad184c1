// Longer forms of tests that run with every commit.
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { bin, root } from '../scripts/run.mjs'
import { runChild } from './child.mjs'

/** The kill tests of an engine. */
const kills = (engine) => readdirSync(join(root, '__test__', engine)).filter((name) => name.includes('kill') && name.endsWith('.spec.ts')).map((name) => join('__test__', engine, name))

/** Each with what a minute is good for on two slow cores; a quicker machine is done sooner. */
const tests = [
  { what: 'crash explorer', aMinute: 60_000, cargo: ['-p', 'varve-testkit', '--test', 'crash'], rounds: 'VARVE_IMAGES', seed: 'VARVE_FIRST_SEED' },
  { what: 'crash explorer of logs', aMinute: 60_000, cargo: ['-p', 'varve-log', '--test', 'log', 'no_crash_breaks_a_promise_of_the_log'], rounds: 'VARVE_IMAGES' },
  { what: 'kill -9', aMinute: 60, specs: kills('wal'), rounds: 'VARVE_ROUNDS' },
  { what: 'kill -9 of logs', aMinute: 40, specs: kills('log'), rounds: 'VARVE_ROUNDS' },
  { what: 'kill -9 of logs of partitions', aMinute: 40, specs: kills('partitioned'), rounds: 'VARVE_ROUNDS' },
  { what: 'commands of two threads', aMinute: 60, specs: [join('__test__', 'log', 'commands.spec.ts')], rounds: 'VARVE_RUNS' },
  { what: 'commands of partitions', aMinute: 60, specs: [join('__test__', 'partitioned', 'model.spec.ts')], rounds: 'VARVE_RUNS' },
]

export async function longer({ minutes, seed }) {
  const share = minutes / tests.length
  const rows = []
  for (const { what, aMinute, cargo, specs, ...names } of tests) {
    const rounds = Math.ceil(share * aMinute)
    const [command, args] = cargo === undefined
      ? [bin('ava'), [`--timeout=${Math.ceil(share * 4) + 5}m`, ...specs]]
      : ['cargo', ['test', '--release', ...cargo, '--', '--nocapture']]
    const env = { [names.rounds]: String(rounds), [names.seed ?? 'VARVE_SEED']: String(seed) }
    const { code, signal, output } = await runChild(command, args, { cwd: root, env, show: true })
    const note = /^\d+ images of .*$/m.exec(output)?.[0] ?? /\d+ acknowledgements.*/.exec(output)?.[0] ?? /\{"lines":.*\}/.exec(output)?.[0]
    rows.push({ part: 'longer', what, rounds, failures: code === 0 ? [] : [`ends with ${signal ?? code}: ${output.slice(-3000)}`], note })
  }
  return rows
}
