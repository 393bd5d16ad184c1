#!/usr/bin/env node
// How the cost of opening, recovering, reading and following grows with the log, how soon a reader sees a record, and how much memory it takes.
//   node run.mjs [--quick] [--rounds n] [--dir where] [--out where]
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
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    dir: { type: 'string', default: path.join(here, '../.data') },
    out: { type: 'string', default: path.join(here, '../results') },
  },
})
const rounds = Number(flags.rounds ?? (flags.quick ? 2 : 5))
const sizes = flags.quick ? [1e5, 1e6] : [1e5, 1e6, 1e7]
const progress = (line) => process.stderr.write(process.stderr.isTTY ? `\r\x1b[K${line}` : `${line}\n`)

mkdirSync(flags.dir, { recursive: true })
const data = mkdtempSync(path.join(flags.dir, 'scale-'))
process.on('exit', () => rmSync(data, { recursive: true, force: true }))
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1))

function child(task, dies = false) {
  const { stdout, stderr, status, signal } = spawnSync(process.execPath, [path.join(here, 'child.mjs'), JSON.stringify(task)], { encoding: 'utf8', timeout: 300_000 })
  if (dies && signal === 'SIGKILL') return undefined
  if (status !== 0) throw new Error(`${task.job}: ${stderr.trim().split('\n').slice(-5).join('\n') || signal}`)
  return JSON.parse(stdout)
}

/** Minimum and median of each number over the rounds. */
function summary(results) {
  const both = (values) => ({ min: Math.min(...values), median: values.toSorted((a, b) => a - b)[values.length >> 1] })
  return Object.fromEntries(Object.keys(results[0]).map((name) => [name, both(results.map((result) => result[name]))]))
}

const fresh = (name) => {
  const dir = path.join(data, name)
  rmSync(dir, { recursive: true, force: true })
  mkdirSync(dir)
  return dir
}

const result = { date: new Date().toISOString().slice(0, 10), machine: describeMachine(flags.dir), rounds, size: 138, scale: [], live: {}, memory: undefined }
for (const records of sizes) {
  progress(`${records} records: filling`)
  const dir = fresh('log')
  child({ job: 'fill', dir, records })
  const jobs = { open: [], get: [], scan: [] }
  for (let round = 0; round < rounds; round++) {
    for (const job of Object.keys(jobs)) {
      progress(`${records} records, round ${round + 1}: ${job}`)
      jobs[job].push(child({ job, dir }))
    }
  }
  rmSync(dir, { recursive: true })
  const unsealed = {}
  for (const end of ['closed', 'synced', 'unsynced']) {
    const opened = []
    for (let round = 0; records <= 1e6 && round < rounds; round++) {
      progress(`${records} records, round ${round + 1}: open an unsealed segment, ${end}`)
      const left = fresh('unsealed')
      child({ job: 'unsealed', dir: left, records, end }, end !== 'closed')
      const { ms, entries } = child({ job: 'open', dir: left })
      if (entries !== records) throw new Error(`found ${entries} of ${records}`)
      opened.push({ ms })
      rmSync(left, { recursive: true })
    }
    if (opened.length > 0) unsealed[end] = summary(opened)
  }
  result.scale.push({
    records, open: summary(jobs.open), get: summary(jobs.get), scan: summary(jobs.scan), unsealed,
  })
}
for (const job of ['same', 'worker', 'process']) {
  const laps = []
  for (let round = 0; round < rounds; round++) {
    progress(`live, round ${round + 1}: ${job}`)
    laps.push(child({ job, dir: fresh('live') }))
  }
  result.live[job] = summary(laps)
}
if (!flags.quick) {
  progress('memory: 2 GB')
  result.memory = child({ job: 'memory', dir: fresh('memory') })
}
if (process.stderr.isTTY) progress('')

const us = (value) => value.toFixed(value < 10 ? 1 : 0)
const cell = ({ min, median } = {}, unit = '') => (min === undefined ? '–' : `${us(min)} (${us(median)})${unit}`)
const text = `# Cost against size, ${result.date}

${Object.values(result.machine).join(', ')}. Records of 138 B; minimum (median) of ${rounds} rounds, each in a fresh process, page cache warm. \`npm run bench:scale\`.

| records | open, in sealed segments | open, all in one unsealed segment: closed | after \`kill -9\`, synced | after \`kill -9\`, nothing synced: all is written and synced again | get at random, copy | get, view | tail, from the start | recordsAsync | records as views |
|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|
${result.scale.map(({ records, open, get, scan, unsealed }) => `| ${records.toLocaleString('en')} | ${cell(open.ms, ' ms')} | ${cell(unsealed.closed?.ms, ' ms')} | ${cell(unsealed.synced?.ms, ' ms')} | ${cell(unsealed.unsynced?.ms, ' ms')} | ${cell(get.ns, ' ns')} | ${cell(get.views, ' ns')} | ${cell(scan.tail, ' ns')} | ${cell(scan.ahead, ' ns')} | ${cell(scan.views, ' ns')} |`).join('\n')}

| seen by a waiting \`for await\` after | p50 | p99 |
|---|---:|---:|
${Object.entries(result.live).map(([job, { p50, p99 }]) => `| ${{ same: 'the append, in the same thread', worker: 'the append, in another worker', process: 'the write, in another process' }[job]} | ${cell(p50, ' µs')} | ${cell(p99, ' µs')} |`).join('\n')}
${result.memory === undefined ? '' : `
Memory of its own (RssAnon), MB, while 2 GB are appended: ${result.memory.append.join(', ')}; while a tail reads them: ${result.memory.read.join(', ')}. Pages of mapped files are not counted: they are the page cache's, and the system takes them back.
`}
![Cost against size](scale.svg)
`
if (flags.quick || !existsSync(flags.out)) {
  console.log(text)
} else {
  writeFileSync(path.join(flags.out, 'scale.json'), `${JSON.stringify(result, undefined, 1)}\n`)
  writeFileSync(path.join(flags.out, 'scale.md'), text)
  writeFileSync(path.join(flags.out, 'scale.svg'), plot(result))
  console.error('results are in benchmark/results/scale.md')
}
