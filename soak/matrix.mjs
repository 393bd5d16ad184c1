// The worker matrix: how threads end, in what they are doing then, where the addon was loaded, under which Node.
import { mkdtempSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runtime, runtimesHere } from '../scripts/package/runtimes.mjs'
import { runChild } from './child.mjs'
import { undoLater } from './undo.mjs'

const endings = ['terminate', 'exit', 'throw', 'natural', 'main first']
const states = ['idle', 'async', 'tail', 'iterator', 'views', 'removal']
const places = ['main', 'workers']
const rounds = 2
const program = (name) => fileURLToPath(new URL(`programs/${name}.mjs`, import.meta.url))

/** This Node, and the others that are here or can be fetched. */
async function nodes(progress) {
  const found = [{ name: `Node ${process.versions.node.split('.')[0]}`, command: process.execPath, args: [] }]
  for (const name of runtimesHere().filter((name) => name.startsWith('Node ') && name !== found[0].name)) {
    try {
      found.push({ name, ...(await runtime(name)) })
    } catch (error) {
      progress.say(`${name} is left out: ${error.message}`, true)
    }
  }
  return found
}

/** One process of a cell, and a look at what it leaves. `undefined`, or what is wrong. */
async function cell({ command, args }, dir, { ending, state, place, seed }) {
  const log = join(dir, `log-${seed}`)
  const ran = await runChild(command, [...args, program('cell'), log, ending, state, place, String(rounds), String(seed)], { millis: 120_000 })
  if (ran.hung) return `hangs: ${ran.output}`
  if (ran.code !== 0) return `ends with ${ran.signal ?? ran.code}: ${ran.output}`
  const looked = await runChild(command, [...args, program('verify'), log], { millis: 120_000 })
  rmSync(dir, { recursive: true, force: true })
  return looked.code === 0 ? undefined : looked.hung ? `its log hangs: ${looked.output}` : looked.output
}

/** The same in an order that the seed decides. */
function shuffled(cells, seed) {
  let last = seed >>> 0
  const random = () => (last = (Math.imul(last, 1664525) + 1013904223) >>> 0)
  return cells.map((cell) => [random(), cell]).sort(([one], [two]) => one - two).map(([, cell]) => cell)
}

export async function matrix({ minutes, seed, progress }) {
  const versions = await nodes(progress)
  const rows = versions.flatMap((version) => endings.map((ending) => ({ part: 'matrix', what: `${version.name}, ${ending}`, rounds: 0, failures: [], version, ending })))
  const until = Date.now() + minutes * 60_000
  let number = 0
  let passes = 0
  const all = rows.flatMap((row) => states.flatMap((state) => places.map((place) => ({ row, state, place }))))
  const cells = function* () {
    for (;; passes++) {
      // In another order each time, so that a short run meets something of everything.
      for (const cell of shuffled(all, seed + passes)) yield { ...cell, seed: (seed + number++) >>> 0 }
    }
  }
  const work = cells()
  const worker = async () => {
    while (Date.now() < until) {
      const { row, state, place, seed: own } = work.next().value
      const dir = mkdtempSync(join(tmpdir(), 'varve-matrix-'))
      const remove = undoLater(() => rmSync(dir, { recursive: true, force: true }))
      const wrong = await cell(row.version, dir, { ending: row.ending, state, place, seed: own })
      remove()
      row.rounds += rounds
      if (wrong !== undefined) {
        row.failures.push(`${state}, addon in ${place}, seed ${own}: ${wrong.slice(0, 2000)}`)
        progress.say(`${row.what}, ${state}, addon in ${place}: ${wrong.slice(0, 300)}`, true)
      }
      progress.say(`${number} cells of ${all.length}`)
    }
  }
  await Promise.all(Array.from({ length: availableParallelism() }, worker))
  for (const row of rows) row.note = `${states.length} states, addon in ${places.join(' or ')}${passes > 0 ? '' : ': not all of them yet'}`
  return rows
}
