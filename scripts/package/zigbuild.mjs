// Builds the addon for another system: zig is the C compiler and the linker, and brings the libraries of every system along.
import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'
import { root, run, say } from '../run.mjs'
import { addonName, platforms } from './platforms.mjs'

// Versions that are known to work together.
const tools = ['ziglang==0.17.1', 'cargo-zigbuild==0.24.0']
const venv = join(root, 'target', 'zig')
const programs = join(venv, process.platform === 'win32' ? 'Scripts' : 'bin')
const targetDir = process.env.CARGO_TARGET_DIR ?? join(root, 'target')

const has = (command) => spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0

function step(what, command, args, options) {
  if (run(command, args, options) !== 0) throw new Error(`${what} failed`)
}

/** Fetches what is missing: the linker and the standard library of each target. */
export function prepare(names) {
  const foreign = names.filter((name) => !platforms[name].zig)
  if (foreign.length > 0) throw new Error(`${foreign} cannot be built by zig: run \`npm run build\` on such a machine, then package with --addons .`)
  if (!has('cargo') || !has('rustup')) throw new Error('cargo and rustup are needed: see https://rustup.rs')
  const zigbuild = join(programs, process.platform === 'win32' ? 'cargo-zigbuild.exe' : 'cargo-zigbuild')
  if (!existsSync(zigbuild)) {
    const python = ['python3', 'python'].find(has)
    if (python === undefined) throw new Error('Python 3 is needed: its package index has zig and cargo-zigbuild')
    say('fetching zig and cargo-zigbuild into target/zig')
    step('`python3 -m venv` (on Debian it is in the package python3-venv)', python, ['-m', 'venv', venv])
    step('pip install', join(programs, 'pip'), ['install', '--quiet', '--disable-pip-version-check', ...tools])
  }
  say(`standard libraries for ${names.join(', ')}`)
  step('rustup target add', 'rustup', ['target', 'add', ...names.map((name) => platforms[name].target)])
}

/** Builds the addon for one platform and puts it into `folder`. */
export function zigbuild(name, folder) {
  const { target, glibc } = platforms[name]
  const started = performance.now()
  say(`building for ${name}${glibc === undefined ? '' : `, glibc ${glibc}`}: one to four minutes, the first time`)
  // The paths of this machine have no place in the messages of a panic.
  const flags = [`--remap-path-prefix=${root}=varve`, `--remap-path-prefix=${process.env.CARGO_HOME ?? join(homedir(), '.cargo')}=cargo`]
  // A library that is loaded into a process must use the libc of that process.
  if (target.endsWith('musl')) flags.push('-Ctarget-feature=-crt-static')
  const env = {
    ...process.env,
    PATH: `${programs}${delimiter}${process.env.PATH}`,
    CARGO_TARGET_DIR: targetDir,
    CARGO_ENCODED_RUSTFLAGS: flags.join('\x1f'),
  }
  const triple = glibc === undefined ? target : `${target}.${glibc}`
  step(`building for ${name}`, 'cargo-zigbuild', ['zigbuild', '--release', '--locked', '--package', 'varve-node', '--target', triple], { env })
  const built = join(targetDir, target, 'release', target.includes('darwin') ? 'libvarve_node.dylib' : 'libvarve_node.so')
  if (glibc !== undefined) checkGlibc(built, glibc)
  copyFileSync(built, join(folder, addonName(name)))
  console.error(`built ${addonName(name)} in ${Math.round((performance.now() - started) / 1000)} s`)
}

/** Fails where the addon asks for a newer glibc than it promises. */
export function checkGlibc(file, most) {
  const number = (version) => version.split('.').reduce((sum, part) => sum * 1000 + Number(part), 0)
  const asked = [...readFileSync(file, 'latin1').matchAll(/GLIBC_(\d+\.\d+)/g)].map(([, version]) => version)
  const newest = asked.sort((a, b) => number(b) - number(a))[0]
  if (newest !== undefined && number(newest) > number(most)) throw new Error(`${file} asks for glibc ${newest}; at most ${most} is promised`)
  console.error(`newest glibc symbol: ${newest ?? 'none'}`)
}
