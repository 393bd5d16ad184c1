// The packages as their users get them: packed, installed into an empty folder without the network, without a compiler within reach, and
// used under every runtime that is promised. The addon in them is the release build that `npm test` has made, not the one for older systems.
import { spawn } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { isVarveError, Wal } from 'varve'
import { ended, firstLine, runCommand } from '../support/child.ts'
import { freshDir } from '../support/directory.ts'
import { root, tools } from './tools.ts'

const { bareEnv, host, install, pack, packed, runtime, runtimesHere } = tools

const box = mkdtempSync(join(tmpdir(), 'varve-package-'))
const app = join(box, 'app')

test.before(() => {
  pack({ names: [host()], addons: fileURLToPath(root), out: box })
  const { main, platforms } = packed(box)
  install(app, [main, ...platforms.values()])
  cpSync(new URL('app/', import.meta.url), app, { recursive: true })
})
test.after.always(() => rmSync(box, { recursive: true, force: true }))

interface Lock {
  packages: Record<string, { version: string; hasInstallScript?: true; optionalDependencies?: Record<string, string> }>
}

const manifest = (name: string): Record<string, unknown> =>
  JSON.parse(readFileSync(join(app, 'node_modules', name, 'package.json'), 'utf8')) as Record<string, unknown>

test('the installation is varve and the addon of this platform, both of one version', (t) => {
  const { packages } = JSON.parse(readFileSync(join(app, 'package-lock.json'), 'utf8')) as Lock
  t.deepEqual(Object.keys(packages), ['', 'node_modules/varve', `node_modules/varve-${host()}`])
  const { version } = manifest('varve') as { version: string }
  t.deepEqual(packages['node_modules/varve']!.optionalDependencies, { [`varve-${host()}`]: version })
  t.is(packages[`node_modules/varve-${host()}`]!.version, version)
})

test('no package has a script of any kind', (t) => {
  for (const name of ['varve', `varve-${host()}`]) t.is(manifest(name)['scripts'], undefined)
  t.false(readFileSync(join(app, 'package-lock.json'), 'utf8').includes('hasInstallScript'))
})

const programs = [
  ['opens, appends, batches, syncs, reopens, reads, and names its errors', 'walk.mjs'],
  ['shares a log between worker threads', 'worker.mjs'],
  ['gives the same classes to import and to require', 'classes.cjs'],
] as const

/** How a runtime is started: the command and what comes before the path of a program. */
async function starter(name: string): Promise<{ command: string; args: readonly string[] }> {
  return name === here ? { command: process.execPath, args: [] } : runtime(name)
}
const here = 'this Node'

for (const name of [here, ...runtimesHere()]) {
  for (const [claim, program] of programs) {
    test(`under ${name}: ${claim}`, async (t) => {
      const { command, args } = await starter(name)
      const end = await runCommand(command, [...args, program, join(freshDir(t), 'log')], { cwd: app, env: bareEnv() })
      t.is(end.code, 0, `${end.stdout}\n${end.stderr}`)
      t.is(end.stdout, 'ok\n')
      // Neither deprecations nor a word about experimental features.
      t.is(end.stderr, '')
    })
  }

  test(`under ${name}: what was appended is there after an end without a close`, async (t) => {
    const { command, args } = await starter(name)
    // Bun ends at process.exit() by `quick_exit`, which does not run what an addon has registered with `atexit`.
    for (const way of name === 'Bun' ? ['return'] : ['return', 'exit']) {
      const dir = freshDir(t)
      t.is((await runCommand(command, [...args, 'leave.mjs', dir, way], { cwd: app, env: bareEnv() })).code, 0)
      const log = await Wal.open(dir)
      t.is(log.nextIndex, 1_000, way)
      await log.close()
    }
  })

  test(`under ${name}: another process is refused while it holds a log`, async (t) => {
    const { command, args } = await starter(name)
    const dir = freshDir(t)
    const child = spawn(command, [...args, 'leave.mjs', dir, 'hold'], { cwd: app, env: bareEnv() })
    const end = ended(child)
    t.is(await firstLine(child), 'ok')
    const error = await t.throwsAsync(Wal.open(dir))
    t.true(isVarveError(error, 'VARVE_LOCKED'))
    t.is((error as { pid?: number }).pid, child.pid)
    child.stdin.end()
    t.is((await end).code, 0)
  })
}
