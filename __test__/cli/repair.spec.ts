import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import ava, { type TestFn } from 'ava'
import { codecs, Wal } from 'varve'
import { firstLine, start } from '../support/child.ts'
import { contents, freshDir } from '../support/directory.ts'
import { exampleDir, logOf, repairs, varve } from './tools.ts'

/** An addon without these has nothing to test here. */
const test = (repairs ? ava : ava.skip) as TestFn

interface Report {
  ok: boolean
  entries: number
  keptEntries: number
  setAside: string[]
  damage: { path: string; position: number; reason: string }[]
}

const indexes = (dir: string): number[] => {
  using log = Wal.openSync(dir, { codec: codecs.utf8, onDamage: 'skip' })
  return Array.from(log.records(), ({ index }) => index)
}

ava('recover without --yes and without a terminal is refused with 2, and changes nothing', async (t) => {
  const cwd = exampleDir(t)
  const before = contents(join(cwd, 'data', 'damaged'))
  for (const more of [[], ['--json'], ['--quiet']]) {
    const { code, stdout, stderr } = await varve(['recover', 'data/damaged', ...more], cwd)
    t.is(code, 2)
    t.is(stdout, '')
    t.regex(stderr, /--yes/)
  }
  t.deepEqual(contents(join(cwd, 'data', 'damaged')), before)
})

test('recover keeps what is before the damage, sets the rest aside, and ends with 0', async (t) => {
  const cwd = exampleDir(t)
  const dir = join(cwd, 'data', 'damaged')
  const { code, stdout, stderr } = await varve(['recover', 'data/damaged', '--yes', '--json'], cwd)
  t.is(code, 0, stderr)
  t.is(stderr, '')
  const report = JSON.parse(stdout) as Report
  t.false(report.ok)
  t.true(report.damage.some(({ position }) => position === 8000))
  t.true(report.setAside.length > 0)
  for (const path of report.setAside) t.true(existsSync(path), path)
  t.is((await varve(['check', dir])).code, 0)
  t.deepEqual(indexes(dir), Array.from({ length: report.keptEntries }, (_, i) => i))
})

test('recover of a sound log says so, and changes nothing', async (t) => {
  const dir = logOf(t, ['a', 'b'])
  const before = contents(dir)
  const { code, stdout } = await varve(['recover', dir, '-y'])
  t.is(code, 0)
  t.regex(stdout, /^ok: nothing to repair; 2 records$/m)
  t.deepEqual(contents(dir), before)
})

test('recover of a log that another process has open is VARVE_LOCKED with its pid: 3', async (t) => {
  const dir = join(freshDir(t), 'log')
  const holder = start('holder', [dir])
  await firstLine(holder)
  const { code, stderr } = await varve(['recover', dir, '--yes', '--json'])
  t.is(code, 3)
  t.like((JSON.parse(stderr) as { error: object }).error, { code: 'VARVE_LOCKED', pid: holder.pid, exitCode: 3 })
  const text = await varve(['recover', dir, '--yes'])
  t.true(text.stderr.includes(String(holder.pid)), text.stderr)
  holder.stdin!.end()
})

test('salvage copies all that is intact at its index, and only reads the original', async (t) => {
  const cwd = exampleDir(t)
  const before = contents(join(cwd, 'data', 'damaged'))
  const { code, stdout, stderr } = await varve(['salvage', 'data/damaged', 'data/saved', '--json'], cwd)
  t.is(code, 0, stderr)
  const report = JSON.parse(stdout) as Report
  t.like(report, { ok: false, keptEntries: 2_999 })
  const unchanged = contents(join(cwd, 'data', 'damaged'))
  t.deepEqual([...unchanged.keys()], [...before.keys()])
  for (const [name, bytes] of unchanged) t.true(bytes.equals(before.get(name)!), name)
  const saved = indexes(join(cwd, 'data', 'saved'))
  t.is(saved.length, 2_999)
  t.deepEqual(saved, indexes(join(cwd, 'data', 'damaged')))
  // Not into what is there already.
  const again = await varve(['salvage', 'data/damaged', 'data/saved'], cwd)
  t.is(again.code, 2)
  t.true(again.stderr.includes('data/saved'), again.stderr)
})

test('backup copies the log, and the copy passes check; a second one adds', async (t) => {
  const cwd = freshDir(t)
  const append = (): void => {
    using log = Wal.openSync(join(cwd, 'log'), { segmentSize: 65_536 })
    log.appendBatch(Array.from({ length: 2_000 }, () => 'x'.repeat(60)))
  }
  append()
  const first = await varve(['backup', 'log', 'copy', '--active', '--json'], cwd)
  t.is(first.code, 0, first.stderr)
  t.is((JSON.parse(first.stdout) as { position: number }).position, 2_000)
  t.regex((await varve(['check', 'copy'], cwd)).stdout, /^ok: 2,000 intact records/m)
  append()
  const second = await varve(['backup', 'log', 'copy', '--active'], cwd)
  t.is(second.code, 0, second.stderr)
  t.regex(second.stdout, /the copy holds every record below index 4000/)
  t.regex((await varve(['check', 'copy'], cwd)).stdout, /^ok: 4,000 intact records/m)
})

test('backup of a log that another process has open is VARVE_LOCKED, and says who can', async (t) => {
  const dir = join(freshDir(t), 'log')
  const holder = start('holder', [dir])
  await firstLine(holder)
  const { code, stderr } = await varve(['backup', dir, `${dir}-copy`])
  t.is(code, 3)
  t.regex(stderr, /VARVE_LOCKED[^]*log\.backup\(\)/)
  t.false(existsSync(`${dir}-copy`))
  holder.stdin!.end()
})

test('backup --after copies later segments alone', async (t) => {
  const cwd = exampleDir(t)
  const all = JSON.parse((await varve(['backup', 'data/log', 'all', '--json'], cwd)).stdout) as { lastSegment: number }
  t.is(all.lastSegment, 2)
  const { code, stdout, stderr } = await varve(['backup', 'data/log', 'later', '--after', '1', '--json'], cwd)
  t.is(code, 0, stderr)
  const { files } = JSON.parse(stdout) as { files: string[] }
  t.true(files.some((path) => path.endsWith('0000000000000002.seg')))
  t.false(readdirSync(join(cwd, 'later')).includes('0000000000000001.seg'))
})
