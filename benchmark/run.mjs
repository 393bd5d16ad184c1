#!/usr/bin/env node
// The benchmark: each (contender, job, column) in a process of its own, rounds interleaved, minimum and median reported.
//   node run.mjs [--suite wal|log] [--quick] [--only job] [--size bytes] [--rounds n] [--minutes n] [--dir where] [--out where]
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { describeMachine } from './machine.mjs'
import { plot } from './plot.mjs'
import { prepare, rustBinary } from './prepare.mjs'
import { key, render, summarize } from './report.mjs'

const here = path.dirname(fileURLToPath(import.meta.url))
const { values: flags } = parseArgs({
  options: {
    suite: { type: 'string', default: 'wal' },
    quick: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true },
    size: { type: 'string', multiple: true },
    rounds: { type: 'string' },
    minutes: { type: 'string' },
    dir: { type: 'string', default: path.join(here, '.data') },
    out: { type: 'string' },
  },
})
const refuse = (reason) => {
  console.error(reason)
  process.exit(2)
}
if (!['wal', 'log'].includes(flags.suite)) refuse(`no suite is called '${flags.suite}'; there are wal, log`)
if (flags.size !== undefined && flags.suite !== 'wal') refuse('sizes are of the suite wal alone')
const { createSuite } = await import(`./${flags.suite}/suite.mjs`)
const suite = createSuite({ quick: flags.quick, only: flags.size?.map(Number) })
const names = [...suite.jobs, ...suite.extras].map(({ id }) => id)
const unknown = (flags.only ?? []).find((id) => !names.includes(id))
if (unknown !== undefined) refuse(`no job is called '${unknown}'; there are ${names.join(', ')}`)
const wanted = ({ id }) => flags.only === undefined || flags.only.includes(id)

const most = Number(flags.rounds ?? suite.rounds)
const budget = Number(flags.minutes ?? suite.minutes) * 60_000
/** Nanoseconds that one measurement may take. */
const limit = flags.quick ? 100e6 : 200e6
const say = (line) => process.stderr.write(`${process.stderr.isTTY ? '\r\x1b[K' : ''}${line}\n`)
const progress = (line) => process.stderr.write(process.stderr.isTTY ? `\r\x1b[K${line}` : `${line}\n`)

const { dependencies } = JSON.parse(readFileSync(path.join(here, 'package.json'), 'utf8'))
if (Object.keys(dependencies).some((name) => !existsSync(path.join(here, 'node_modules', name)))) {
  say('installing the rivals …')
  const npm = spawnSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: here, stdio: ['ignore', 'ignore', 'inherit'] })
  if (npm.status !== 0) say('the rivals could not be installed; going on without them')
}

const missing = new Map()
const lose = (peer, reason) => {
  if (missing.has(peer)) return
  missing.set(peer, reason)
  say(`without ${peer}: ${reason}`)
}
for (const peer of suite.prepare) {
  const reason = prepare[peer](say)
  if (reason !== undefined) lose(peer, reason)
}

/** Runs one task in a fresh process; undefined where its peer is not there, or fails. */
function measure({ peer, label }, given) {
  const task = { limit, ...given }
  const [command, ...args] = peer === 'rust'
    ? [rustBinary, ...Object.entries(task).map(([name, value]) => `${name}=${value}`)]
    : [process.execPath, ...process.execArgv, path.join(here, 'child.mjs'), JSON.stringify({ ...task, suite: flags.suite, peer })]
  const child = spawnSync(command, args, { encoding: 'utf8', timeout: 120_000 })
  if (child.status !== 0) {
    const reason = child.error?.message ?? (child.stderr.trim().split('\n').find((line) => /error|panic/i.test(line)) || `ended with ${child.status ?? child.signal}`)
    say(`${label}: ${reason}`)
    return undefined
  }
  const result = JSON.parse(child.stdout.trim().split('\n').at(-1))
  if (result.unavailable === undefined) return result
  lose(peer, result.unavailable)
  return undefined
}

const cells = suite.jobs.filter(wanted).flatMap((job) =>
  job.columns.flatMap((column) =>
    job.contenders.filter((contender) => contender.columns?.includes(column) ?? true).map((contender) => ({ job, column, contender, rounds: [] }))))

mkdirSync(flags.dir, { recursive: true })
const data = mkdtempSync(path.join(flags.dir, 'run-'))
const clear = () => rmSync(data, { recursive: true, force: true })
process.on('exit', clear)
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1))

/** `work` with a directory of its own, which is removed afterwards. */
function fresh(work) {
  const dir = path.join(data, 'fresh')
  mkdirSync(dir)
  try {
    return work(dir)
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

const filled = new Map()
/** What jobs read is written once, and kept to the end; undefined if it could not be written. */
function dataset({ name, fill }, { peer, label }) {
  if (!filled.has(name)) {
    const dir = path.join(data, name)
    mkdirSync(dir)
    filled.set(name, measure({ peer, label: `${label} (fill)` }, { run: 'fill', ...fill, dir }) && dir)
  }
  return filled.get(name)
}

function measureCell({ job, column, contender }) {
  if (missing.has(contender.peer)) return undefined
  const task = { run: contender.runs?.[column] ?? contender.run, ...suite.task(job, column, contender) }
  const named = { ...contender, label: `${job.id}, ${suite.label(column)}, ${contender.label}` }
  const source = suite.dataset(job, column, contender)
  const dir = source && dataset(source, named)
  if (source && dir === undefined) return undefined
  if (source && !source.copied) return measure(named, { ...task, dir })
  return fresh((own) => {
    if (dir !== undefined) cpSync(dir, own, { recursive: true })
    return measure(named, { ...task, dir: own })
  })
}

const begin = Date.now()
let done = 0
let longest = 0
for (let round = 0; round < most && cells.length > 0; round++) {
  const started = Date.now()
  // A round that would not end in time is not begun.
  if (round > 0 && started - begin + longest > budget) break
  // There and back, so that nobody always comes after the same neighbour.
  const turn = round % 2 === 0 ? cells : cells.toReversed()
  turn.forEach((cell, i) => {
    progress(`round ${round + 1}, ${i + 1} of ${cells.length}: ${cell.job.id}, ${suite.label(cell.column)}, ${cell.contender.label}`)
    const result = measureCell(cell)
    if (result) cell.rounds.push(result)
  })
  longest = Math.max(longest, Date.now() - started)
  done = round + 1
}
for (const name of filled.keys()) rmSync(path.join(data, name), { recursive: true, force: true })
// What is measured apart has minutes of its own, and begins no further round either when they are over.
const end = Date.now() + (flags.quick ? 0.5 : 2.5) * 60_000
const extras = {}
for (const extra of suite.extras.filter(wanted)) {
  const found = extra.run({ measure, fresh, progress, quick: flags.quick, most: flags.rounds === undefined ? Infinity : most, isLate: () => Date.now() > end })
  if (found !== undefined) extras[extra.id] = found
}
if (process.stderr.isTTY) progress('')
clear()

// As it was asked for, but where its files lie is nobody's business.
const given = ['suite', 'quick', 'only', 'size', 'rounds', 'minutes'].flatMap((name) => {
  if (name === 'suite' && flags.suite === 'wal') return []
  return [flags[name] ?? []].flat().flatMap((value) => (value === true ? [`--${name}`] : value === false ? [] : [`--${name} ${value}`]))
})
const date = new Date().toISOString().slice(0, 10)
const file = flags.suite === 'wal' ? date : `${flags.suite}-${date}`
const run = {
  date,
  file,
  suite: flags.suite,
  machine: describeMachine(flags.dir, suite.rivals),
  command: ['npm run bench', ...(given.length > 0 ? ['--', ...given] : [])].join(' '),
  rounds: done,
  minutes: Math.round((Date.now() - begin) / 6000) / 10,
  missing: Object.fromEntries(missing),
  cells: cells.map(({ job, column, contender, rounds }) => ({ job: job.id, column, contender: key(contender), label: contender.label, kind: contender.kind, rounds })),
  extras,
}
const summary = summarize(run, suite)
// Only a whole run is a result to keep; a part of one is printed.
const whole = !flags.only && !flags.size && !flags.quick
const out = flags.out ?? (whole ? path.join(here, 'results') : undefined)
const text = render(run, suite, summary, out !== undefined)
if (out === undefined) {
  console.log(text)
} else {
  mkdirSync(out, { recursive: true })
  writeFileSync(path.join(out, `${file}.json`), `${JSON.stringify({ ...run, goals: summary.goals }, undefined, 1)}\n`)
  writeFileSync(path.join(out, `${file}.svg`), plot(run, suite, summary))
  for (const name of [file, flags.suite === 'wal' ? 'latest' : `${flags.suite}-latest`]) writeFileSync(path.join(out, `${name}.md`), text)
  say(`results are in ${path.relative(process.cwd(), path.join(out, `${file}.md`))}`)
}
// Goals never fail a run; a run without varve is none.
if (missing.has('varve')) process.exitCode = 1
