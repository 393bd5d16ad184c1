// Memory and descriptors of a process that uses a log in every way: flat after the warm-up.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runChild } from './child.mjs'
import { undoLater } from './undo.mjs'

const program = fileURLToPath(new URL('programs/churn.mjs', import.meta.url))
const mebibyte = 2 ** 20

const median = (numbers) => numbers.toSorted((one, two) => one - two)[Math.floor(numbers.length / 2)]

/** What grows from the first third after the warm-up to the last one, more than noise does. */
function growth(samples) {
  const warm = samples.slice(Math.ceil(samples.length / 4))
  const third = Math.floor(warm.length / 3)
  if (third < 2) return { wrong: [`only ${samples.length} samples: give it more minutes`], note: '' }
  const [before, after] = [warm.slice(0, third), warm.slice(-third)]
  const wrong = []
  const say = (name, unit = 1) => `${name} ${Math.round(median(before.map((sample) => sample[name])) / unit)} to ${Math.round(median(after.map((sample) => sample[name])) / unit)}`
  const flat = (name, noise) => median(after.map((sample) => sample[name])) - median(before.map((sample) => sample[name])) <= noise || wrong.push(`grows: ${say(name)}`)
  flat('rss', 16 * mebibyte)
  flat('external', 4 * mebibyte)
  flat('heap', 4 * mebibyte)
  flat('files', 0)
  for (const { maps, deletedMaps, segments } of samples) {
    if (deletedMaps > 0) wrong.push(`${deletedMaps} maps of files that were removed`)
    // The file that is prepared, and the private maps of views, besides one a segment.
    if (maps > 2 * segments + 4) wrong.push(`${maps} maps of ${segments} segments`)
  }
  return { wrong: [...new Set(wrong)], note: `${samples.length} samples; MiB: ${say('rss', mebibyte)}, ${say('external', mebibyte)}; ${say('maps')}, ${say('files')}` }
}

export async function memory({ minutes, progress }) {
  if (process.platform !== 'linux') return [{ part: 'memory', what: 'all', rounds: 0, failures: [], note: 'not run: /proc is looked at, which only Linux has' }]
  const rows = []
  for (const shape of ['cycle', 'steady']) {
    const dir = mkdtempSync(join(tmpdir(), 'varve-memory-'))
    const remove = undoLater(() => rmSync(dir, { recursive: true, force: true }))
    progress.say(shape, true)
    const millis = (minutes * 60_000) / 2
    const { code, signal, output, hung } = await runChild(process.execPath, ['--expose-gc', program, join(dir, 'log'), shape, String(millis)], { millis: millis + 120_000 })
    const samples = output.split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line))
    const { wrong, note } = growth(samples)
    if (code !== 0) wrong.push(hung ? 'hangs' : `ends with ${signal ?? code}: ${output.slice(-2000)}`)
    rows.push({ part: 'memory', what: shape, rounds: samples.length * 3, failures: wrong, note })
    remove()
  }
  return rows
}
