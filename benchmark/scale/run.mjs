#!/usr/bin/env node
// How the cost of opening, reading and looking up grows with the log.
//   node run.mjs [--suite wal|log] [--quick] [--rounds n] [--dir where] [--out where]
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { describeMachine } from '../machine.mjs'
import { plot } from './plot.mjs'

const here = path.dirname(fileURLToPath(import.meta.url))
const { values: flags } = parseArgs({
  options: {
    suite: { type: 'string', default: 'wal' },
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    dir: { type: 'string', default: path.join(here, '../.data') },
    out: { type: 'string' },
  },
})
if (!['wal', 'log'].includes(flags.suite)) {
  console.error(`no suite is called '${flags.suite}'; there are wal, log`)
  process.exit(2)
}
const suite = await import(`./${flags.suite}.mjs`)
const rounds = Number(flags.rounds ?? (flags.quick ? 2 : suite.rounds))
const out = flags.out ?? path.join(here, '../results')
const progress = (line) => process.stderr.write(process.stderr.isTTY ? `\r\x1b[K${line}` : `${line}\n`)

mkdirSync(flags.dir, { recursive: true })
const data = mkdtempSync(path.join(flags.dir, 'scale-'))
process.on('exit', () => rmSync(data, { recursive: true, force: true }))
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1))

/** The result of a task in a process of its own; undefined if it `dies`, as it shall. */
function child(task, dies = false) {
  const { stdout, stderr, status, signal } = spawnSync(process.execPath, [path.join(here, `${flags.suite}-child.mjs`), JSON.stringify(task)], { encoding: 'utf8', timeout: 300_000 })
  if (dies && signal === 'SIGKILL') return undefined
  if (status !== 0) throw new Error(`${task.job}: ${stderr.trim().split('\n').slice(-5).join('\n') || signal}`)
  return JSON.parse(stdout)
}

/** Minimum and median of each number over the rounds. */
function summary(results) {
  const both = (values) => ({ min: Math.min(...values), median: values.toSorted((a, b) => a - b)[values.length >> 1] })
  return Object.fromEntries(Object.keys(results[0]).map((name) => [name, both(results.map((result) => result[name]))]))
}

function fresh(name) {
  const dir = path.join(data, name)
  rmSync(dir, { recursive: true, force: true })
  mkdirSync(dir)
  return dir
}

const us = (value) => value.toFixed(value < 10 ? 1 : 0)
const cell = ({ min, median } = {}, unit = '') => (min === undefined ? '–' : `${us(min)} (${us(median)})${unit}`)

const result = {
  date: new Date().toISOString().slice(0, 10), machine: describeMachine(flags.dir), rounds, size: 138,
  ...suite.measure({ rounds, quick: flags.quick, sizes: flags.quick ? [1e5, 1e6] : [1e5, 1e6, 1e7], progress, child, fresh, summary }),
}
if (process.stderr.isTTY) progress('')
const text = suite.render(result, { machine: Object.entries(result.machine).map(([name, value]) => (/^\d/.test(value) ? `${name} ${value}` : value)).join(', '), cell })
if (flags.quick || !existsSync(out)) {
  console.log(text)
} else {
  const name = flags.suite === 'wal' ? 'scale' : `scale-${flags.suite}`
  writeFileSync(path.join(out, `${name}.json`), `${JSON.stringify(result, undefined, 1)}\n`)
  writeFileSync(path.join(out, `${name}.md`), text)
  writeFileSync(path.join(out, `${name}.svg`), plot({ date: result.date, sizes: result.scale.map(({ records }) => records), ...suite.lines(result) }))
  console.error(`results are in ${path.relative(process.cwd(), path.join(out, `${name}.md`))}`)
}
