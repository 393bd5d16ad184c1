// Installs the packed tarballs into an empty folder and uses them there, natively or under an emulator.
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { root, say } from '../run.mjs'
import { bareEnv, install } from './install.mjs'
import { packed } from './pack.mjs'
import { runtime } from './runtimes.mjs'

const programs = join(root, '__test__', 'package', 'app')

/** Installs the tarballs of one platform from `out` and runs every program of __test__/package/app. */
export function smoke(out, name, { runner = [process.execPath], options = [] } = {}) {
  const { main, platforms } = packed(out)
  const platform = platforms.get(name)
  if (platform === undefined) throw new Error(`there is no tarball for ${name} in ${out}: run \`npm run package -- --only ${name}\` first`)
  const folder = mkdtempSync(join(tmpdir(), 'varve-smoke-'))
  try {
    say(`installing ${main} and ${platform}`)
    install(folder, [main, platform], options)
    cpSync(programs, folder, { recursive: true })
    const [command, ...args] = runner
    for (const program of readdirSync(programs).filter((file) => /\.[cm]js$/.test(file))) {
      const { status, signal, stdout, stderr } = spawnSync(command, [...args, program, join(folder, `${program}.log`)], { cwd: folder, env: bareEnv(), encoding: 'utf8' })
      if (status !== 0 || !stdout.endsWith('ok\n')) throw new Error(`${program} ended with ${signal ?? status}:\n${stdout}${stderr}`)
      console.log(`${program}: ok`)
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const debs = ['qemu-user-static', 'libc6-arm64-cross', 'libgcc-s1-arm64-cross', 'libstdc++6-arm64-cross']

/** The same for linux-arm64-gnu, under qemu. The emulator and the libraries are unpacked into target/arm64, not installed. */
export async function smokeArm64(out) {
  const folder = join(root, 'target', 'arm64')
  const qemu = join(folder, 'usr', 'bin', 'qemu-aarch64-static')
  if (!existsSync(qemu)) {
    say('fetching qemu and the arm64 libraries into target/arm64')
    mkdirSync(folder, { recursive: true })
    const step = (command, args) => {
      const { status, error, stderr } = spawnSync(command, args, { cwd: folder, encoding: 'utf8' })
      if (status !== 0) throw new Error(`${command} ${args.join(' ')} failed: ${error?.message ?? stderr}\nThis needs Debian or Ubuntu with apt.`)
    }
    step('apt-get', ['download', ...debs])
    for (const deb of readdirSync(folder).filter((file) => file.endsWith('.deb'))) step('dpkg-deb', ['-x', deb, '.'])
  }
  const { command } = await runtime('Node 22 for arm64')
  const started = performance.now()
  smoke(out, 'linux-arm64-gnu', {
    runner: [qemu, '-L', join(folder, 'usr', 'aarch64-linux-gnu'), command],
    // npm would refuse what does not run here.
    options: ['--force'],
  })
  console.log(`linux-arm64-gnu works under qemu (${Math.round((performance.now() - started) / 1000)} s)`)
}
