#!/usr/bin/env node
// The benchmark: each (contender, job, size) in a process of its own, rounds interleaved, minimum and median reported.
//   node run.mjs [--quick] [--only job] [--size bytes] [--rounds n] [--minutes n] [--dir where] [--out where]
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { jobs, key, sizes } from './jobs.mjs'
import { describeMachine } from './machine.mjs'
import { plot } from './plot.mjs'
import { render, summarize } from './report.mjs'

const here = path.dirname(fileURLToPath(import.meta.url))
const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true },
    size: { type: 'string', multiple: true },
    rounds: { type: 'string' },
    minutes: { type: 'string' },
    dir: { type: 'string', default: path.join(here, '.data') },
    out: { type: 'string' },
  },
})
const unknown = (flags.only ?? []).find((id) => !jobs.some((job) => job.id === id))
if (unknown !== undefined) {
  console.error(`no job is called '${unknown}'; there are ${jobs.map((job) => job.id).join(', ')}`)
  process.exit(2)
}

const most = Number(flags.rounds ?? (flags.quick ? 2 : 7))
const budget = Number(flags.minutes ?? (flags.quick ? 1.5 : 9)) * 60_000
/** Nanoseconds that one measurement may take. */
const limit = flags.quick ? 100e6 : 200e6
const asked = (flags.size ?? (flags.quick ? [138, 32768] : sizes)).map(Number)
const say = (line) => process.stderr.write(`${line}\n`)
const progress = (line) => process.stderr.write(process.stderr.isTTY ? `\r\x1b[K${line}` : `${line}\n`)

if (!existsSync(path.join(here, 'node_modules'))) {
  say('installing the rivals …')
  const npm = spawnSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: here, stdio: ['ignore', 'ignore', 'inherit'] })
  if (npm.status !== 0) say('the rivals could not be installed; going on without them')
}

const missing = new Map()
const lose = (peer, reason) => {
  if (missing.has(peer)) return
  missing.set(peer, reason)
  say(`${process.stderr.isTTY ? '\r\x1b[K' : ''}without ${peer}: ${reason}`)
}

say('building the Rust side …')
const cargo = spawnSync('cargo', ['build', '--release', '--quiet', '--locked'], { cwd: path.join(here, 'rust'), encoding: 'utf8' })
if (cargo.status !== 0) lose('rust', (cargo.error?.message ?? cargo.stderr).trim().split('\n')[0])
const binary = path.join(process.env.CARGO_TARGET_DIR ?? path.join(here, 'rust/target'), 'release/varve-benchmark')

/** Runs one task in a fresh process; undefined where its peer is not there. */
function measure(contender, task) {
  const [command, ...args] = contender.peer === 'rust'
    ? [binary, ...Object.entries(task).filter(([name]) => name !== 'peer').map(([name, value]) => `${name}=${value}`)]
    : [process.execPath, ...process.execArgv, path.join(here, 'child.mjs'), JSON.stringify(task)]
  const child = spawnSync(command, args, { encoding: 'utf8', timeout: 120_000 })
  if (child.status !== 0) {
    const reason = child.error?.message ?? (child.stderr.trim().split('\n').find((line) => /error|panic/i.test(line)) || `ended with ${child.status ?? child.signal}`)
    say(`${process.stderr.isTTY ? '\r\x1b[K' : ''}${contender.label}, ${task.size} B: ${reason}`)
    return undefined
  }
  const result = JSON.parse(child.stdout.trim().split('\n').at(-1))
  if (result.unavailable === undefined) return result
  lose(contender.peer, result.unavailable)
  return undefined
}

const cells = []
for (const job of jobs) {
  if (flags.only && !flags.only.includes(job.id)) continue
  for (const size of job.sizes?.filter((s) => asked.includes(s)) ?? asked) {
    for (const contender of job.contenders) cells.push({ job, size, contender, rounds: [] })
  }
}

mkdirSync(flags.dir, { recursive: true })
const data = mkdtempSync(path.join(flags.dir, 'run-'))
const clear = () => rmSync(data, { recursive: true, force: true })
process.on('exit', clear)
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1))

const filled = new Map()
/** What a reading job reads is written once, and kept to the end. */
function dataset({ peer, label }, size, task) {
  const name = `${peer}-${size}`
  if (!filled.has(name)) {
    const dir = path.join(data, name)
    mkdirSync(dir)
    filled.set(name, measure({ peer, label: `${label} (fill)` }, { ...task, peer, run: 'fill', dir }) && dir)
  }
  return filled.get(name)
}

function measureCell({ job, size, contender }) {
  if (missing.has(contender.peer)) return undefined
  const records = Math.ceil(Math.floor(job.records(size)) * (contender.share ?? 1))
  const task = {
    peer: contender.peer, run: contender.run, size, limit, records,
    warmup: job.warmup ?? 50_000, gets: 200_000, outstanding: 256,
  }
  if (job.reads) {
    const dir = dataset(contender, size, task)
    return dir && measure(contender, { ...task, dir })
  }
  const dir = path.join(data, 'fresh')
  mkdirSync(dir)
  try {
    return measure(contender, { ...task, dir })
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

const begin = Date.now()
let done = 0
let longest = 0
for (let round = 0; round < most; round++) {
  const started = Date.now()
  // A round that would not end in time is not begun.
  if (round > 0 && started - begin + longest > budget) break
  // There and back, so that nobody always comes after the same neighbour.
  const turn = round % 2 === 0 ? cells : cells.toReversed()
  turn.forEach((cell, i) => {
    progress(`round ${round + 1}, ${i + 1} of ${cells.length}: ${cell.job.id} ${cell.size} B, ${cell.contender.label}`)
    const result = measureCell(cell)
    if (result) cell.rounds.push(result)
  })
  longest = Math.max(longest, Date.now() - started)
  done = round + 1
}
if (process.stderr.isTTY) progress('')
clear()

// As it was asked for, but where its files lie is nobody's business.
const given = ['quick', 'only', 'size', 'rounds', 'minutes'].flatMap((name) =>
  [flags[name] ?? []].flat().flatMap((value) => (value === true ? [`--${name}`] : value === false ? [] : [`--${name} ${value}`])))
const date = new Date().toISOString().slice(0, 10)
const run = {
  date,
  machine: describeMachine(flags.dir),
  command: ['npm run bench', ...(given.length > 0 ? ['--', ...given] : [])].join(' '),
  rounds: done,
  minutes: Math.round((Date.now() - begin) / 6000) / 10,
  missing: Object.fromEntries(missing),
  cells: cells.map((cell) => ({
    job: cell.job.id, size: cell.size, contender: key(cell.contender), label: cell.contender.label, kind: cell.contender.kind, rounds: cell.rounds,
  })),
}
const summary = summarize(run)
// Only a whole run is a result to keep; a part of one is printed.
const whole = !flags.only && !flags.size && !flags.quick
const out = flags.out ?? (whole ? path.join(here, 'results') : undefined)
const text = render(run, summary, out !== undefined)
if (out === undefined) {
  console.log(text)
} else {
  mkdirSync(out, { recursive: true })
  writeFileSync(path.join(out, `${date}.json`), `${JSON.stringify({ ...run, goals: summary.goals }, undefined, 1)}\n`)
  writeFileSync(path.join(out, `${date}.svg`), plot(run, summary))
  for (const name of [date, 'latest']) writeFileSync(path.join(out, `${name}.md`), text)
  say(`results are in ${path.relative(process.cwd(), path.join(out, `${date}.md`))}`)
}
// Goals never fail a run; a run without varve is none.
if (missing.has('varve')) process.exitCode = 1
