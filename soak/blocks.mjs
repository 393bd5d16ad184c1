// Disks that lost their power: a log is written on ext4, xfs and btrfs over a recorded disk, and opened on what the disk may hold then.
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, openSync, closeSync, readFileSync, rmSync, statfsSync, ftruncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { root } from '../scripts/run.mjs'
import { begin, runChild } from './child.mjs'
import { undoLater } from './undo.mjs'

/** Each with the smallest disk that its mkfs takes willingly. */
const systems = [
  { name: 'ext4', mkfs: ['mkfs.ext4', '-q', '-F'], mebibytes: 96, mount: [] },
  { name: 'xfs', mkfs: ['mkfs.xfs', '-q', '-f'], mebibytes: 320, mount: ['-o', 'nouuid'] },
  { name: 'btrfs', mkfs: ['mkfs.btrfs', '-q', '-f'], mebibytes: 160, mount: [] },
]

const folder = process.env.CARGO_TARGET_DIR ?? join(root, 'target', 'soak-blocks')
const program = join(folder, 'release', 'varve-blocks')

/** Runs a command to its end, whatever is typed meanwhile: what it does is either undone later, or was not done. */
const finish = (command, args) => spawnSync(command, args, { encoding: 'utf8', detached: true })

/** The same; throws with what it said where it fails. */
function must(command, args) {
  const { status, stdout, stderr, error } = finish(command, args)
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${error?.message ?? `${stdout}${stderr}`.trim()}`)
  return stdout.trim()
}

/** Unmounts; a file system that is just being used by nobody we know of is waited for. */
function unmount(path) {
  for (let tries = 0; ; tries++) {
    const { status, stderr } = finish('umount', [path])
    if (status === 0) return
    if (tries === 40) throw new Error(stderr.trim())
    finish('sleep', ['0.1'])
  }
}

/** A loop device on `path`, and its end. */
function attach(path) {
  const device = must('losetup', ['--find', '--show', path])
  return { device, detach: undoLater(() => must('losetup', ['--detach', device])) }
}

/** Mounts, and gives the way back; throws where the file system refuses. */
function mount(device, at, options) {
  must('mount', [...options, device, at])
  return undoLater(() => unmount(at))
}

/** Why this machine cannot, if it cannot. */
function missing() {
  if (process.platform !== 'linux') return 'only on Linux'
  if (process.getuid() !== 0) return 'needs root'
  if (!existsSync('/dev/fuse')) return 'no /dev/fuse'
  if (!existsSync('/dev/loop-control') || spawnSync('losetup', ['--find']).status !== 0) return 'no loop device'
  return undefined
}

/** Where the disks lie: in memory, where there is room. */
function place() {
  const shm = '/dev/shm'
  if (!existsSync(shm)) return tmpdir()
  const { bavail, bsize } = statfsSync(shm)
  return bavail * bsize > 3 * 2 ** 30 ? shm : tmpdir()
}

/** Records a writer on a fresh disk; leaves base image, record and journal. */
async function recordWriter(system, dir, seed, steps) {
  const [base, record, journal, served, mounted] = ['base', 'record', 'journal', 'served', 'mounted'].map((name) => join(dir, name))
  for (const at of [served, mounted]) mkdirSync(at, { recursive: true })
  for (const file of [base, record, journal, `${record}.disk`]) rmSync(file, { force: true })
  const file = openSync(base, 'w')
  ftruncateSync(file, system.mebibytes * 2 ** 20)
  closeSync(file)
  must(system.mkfs[0], [...system.mkfs.slice(1), base])
  const { child: server, end: unserve } = begin(program, ['serve', served, base, record], { stdio: ['ignore', 'pipe', 'pipe'] })
  const ended = once(server, 'close')
  // Nothing, where it was never mounted.
  const away = undoLater(() => finish('umount', [served]))
  while (!existsSync(join(served, 'disk'))) {
    if (server.exitCode !== null) throw new Error(`the recorder ended with ${server.exitCode}: ${server.stdout.read() ?? ''}`)
    await sleep(5)
  }
  const { device, detach } = attach(join(served, 'disk'))
  const leave = mount(device, mounted, system.mount)
  const wrote = await runChild(program, ['write', join(mounted, 'deep', 'log'), join(served, 'seq'), journal, String(seed), String(steps)], { millis: 300_000 })
  leave()
  detach()
  away()
  await ended
  unserve()
  if (wrote.code !== 0) throw new Error(`the writer failed: ${wrote.output.trim()}`)
  return { base, record, journal, mounted, wrote: wrote.output.trim() }
}

/** Makes images of a recording, and looks at the log in each. */
async function lookAtImages(system, recorded, dir, { seed, count, until, progress, row, before }) {
  const image = join(dir, 'image')
  const { child: maker, end } = begin(program, ['images', recorded.base, recorded.record, recorded.journal, String(seed), String(count), image], { stdio: ['pipe', 'pipe', 'inherit'] })
  // What is wrong with it is told by its output.
  maker.stdin.on('error', () => {})
  const lines = createInterface({ input: maker.stdout })[Symbol.asyncIterator]()
  for (let number = 0; Date.now() < until; number++) {
    maker.stdin.write('next\n')
    const { value: line, done } = await lines.next()
    if (done || line === 'end') break
    if (line.startsWith('failed')) throw new Error(`images: ${line}`)
    const [told] = line.split(' ')
    const where = `seed ${seed}, image ${number} (${line})`
    const { device, detach } = attach(image)
    try {
      let away
      try {
        away = mount(device, recorded.mounted, system.mount)
      } catch (error) {
        row.unmountable++
        progress.say(`${system.name}: not mounted: ${error.message}`, true)
        continue
      }
      const looked = await runChild(program, ['look', join(recorded.mounted, 'deep', 'log'), recorded.journal, told, String(seed + number)], { millis: 120_000 })
      row.rounds++
      if (looked.output.includes('torn')) row.torn++
      if (looked.code !== 0) row.failures.push(`${where}: ${looked.hung ? 'hangs' : looked.output.trim()}`)
      away()
    } finally {
      detach()
    }
    progress.say(`${system.name}: ${before + number + 1} images, ${row.failures.length} failed`)
  }
  maker.stdin.end()
  if (maker.exitCode === null) await once(maker, 'close')
  end()
}

export async function blocks({ minutes, seed, progress, images = 100 }) {
  const why = missing()
  if (why !== undefined) return [{ part: 'blocks', what: 'all', rounds: 0, failures: [], note: `not run: ${why}` }]
  const build = await runChild('cargo', ['build', '--release', '--locked', '--manifest-path', join(root, 'soak', 'blocks', 'Cargo.toml')], { env: { CARGO_TARGET_DIR: folder }, show: true })
  if (build.code !== 0) return [{ part: 'blocks', what: 'build', rounds: 0, failures: ['the recorder does not build'] }]
  const rows = []
  const chosen = (process.env.VARVE_FILE_SYSTEMS ?? systems.map(({ name }) => name).join(',')).split(',')
  for (const system of systems.filter(({ name }) => chosen.includes(name))) {
    const row = { part: 'blocks', what: system.name, rounds: 0, failures: [], torn: 0, unmountable: 0 }
    rows.push(row)
    if (spawnSync(system.mkfs[0], ['-V']).status !== 0 || !(readFileSync('/proc/filesystems', 'utf8').includes(`\t${system.name}\n`) || spawnSync('modprobe', [system.name]).status === 0)) {
      row.note = `not run: no ${system.mkfs[0]}, or the kernel does not know it`
      continue
    }
    const dir = mkdtempSync(join(place(), 'varve-blocks-'))
    const remove = undoLater(() => rmSync(dir, { recursive: true, force: true }))
    const until = Date.now() + (minutes * 60_000) / chosen.length
    try {
      // Several recordings: each is another history of the log.
      for (let round = 0; Date.now() < until && row.rounds + row.unmountable < images; round++) {
        const recorded = await recordWriter(system, dir, seed + round, [40, 150, 600, 1500][round % 4])
        progress.say(`${system.name}, seed ${seed + round}: ${recorded.wrote}`, true)
        const count = Math.min(25, images - row.rounds - row.unmountable)
        await lookAtImages(system, recorded, dir, { seed: seed + round, count, until, progress, row, before: row.rounds })
      }
      if (row.rounds === 0) row.failures.push('no image could be mounted')
      row.note = `${row.torn} with a torn tail, ${row.unmountable} that ${system.name} itself does not mount`
    } catch (error) {
      row.failures.push(error.message)
    }
    remove()
  }
  return rows
}
