// `npm run fuzz -- [seconds] [target,…]`: each target for so long (default 30). By cargo-fuzz on a nightly compiler; where one of the two is missing, the
// same bodies run as an ordinary test on the compiler that is there.
import { spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { capture, root, run, say } from '../scripts/run.mjs'
import { table } from '../soak/report.mjs'

const folder = join(root, 'fuzz')
const targets = ['frames', 'sidecar', 'directory', 'entries', 'pieces', 'keys', 'log']
const [given = '30', names = targets.join(',')] = process.argv.slice(2)
const seconds = Number(given)
const chosen = names.split(',')

/** One input may take so long, and all of the process so much; what is in proportion the bodies say more closely. */
const limits = ['-timeout=60', '-rss_limit_mb=2048', '-malloc_limit_mb=256', '-max_len=1024', '-len_control=20', '-print_final_stats=1', '-verbosity=1']

function usage(problem) {
  console.error(`${problem}\n\nnpm run fuzz -- [seconds] [target,…]\n\n  targets: ${targets.join(', ')}`)
  process.exit(2)
}
if (!(seconds > 0)) usage(`${given}: a number of seconds is wanted`)
for (const name of chosen) if (!targets.includes(name)) usage(`${name}: there is no such target`)

/** Build output lies with all other. */
const env = { ...process.env, CARGO_TARGET_DIR: process.env.CARGO_TARGET_DIR ?? join(root, 'target', 'fuzz') }

const works = (args) => spawnSync('cargo', args, { cwd: folder, stdio: 'ignore' }).status === 0

/** On whatever compiler there is. */
function seeded() {
  say('no cargo-fuzz on a nightly compiler: the bodies run as a test')
  return run('cargo', ['test', '--release', '--locked'], { cwd: folder, env: { ...env, VARVE_FUZZ_SECONDS: String(seconds) } })
}

async function fuzz(name) {
  say(`${name}, ${seconds} s`)
  const corpus = join(folder, 'corpus', name)
  mkdirSync(corpus, { recursive: true })
  // Without the address sanitizer: what is fuzzed forbids unsafe code, and is ten times faster so.
  const args = ['+nightly', 'fuzz', 'run', '--sanitizer', 'none', '--features', 'libfuzzer', '--target-dir', env.CARGO_TARGET_DIR, name, corpus, join(folder, 'seeds', name), '--', `-max_total_time=${seconds}`, ...limits]
  const { code, output } = await capture('cargo', args, { cwd: folder, env })
  const last = (pattern) => [...output.matchAll(pattern)].at(-1)?.[1] ?? '?'
  return { code, row: [name, last(/stat::number_of_executed_units:\s*(\d+)/g), last(/cov: (\d+)/g), last(/ft: (\d+)/g), last(/stat::peak_rss_mb:\s*(\d+)/g), code === 0 ? '' : 'see fuzz/artifacts; keep what is mended in fuzz/regressions'] }
}

async function main() {
  if (!works(['+nightly', 'fuzz', '--version'])) return seeded()
  const made = run('cargo', ['run', '--release', '--locked', '--example', 'seeds'], { cwd: folder, env })
  if (made !== 0) return made
  const done = []
  for (const name of chosen) done.push(await fuzz(name))
  console.log('')
  for (const line of table([['target', 'runs', 'edges', 'features', 'MiB', 'found'], ...done.map(({ row }) => row)])) console.log(line)
  return Math.max(...done.map(({ code }) => code)) === 0 ? 0 : 1
}

process.exitCode = await main()
