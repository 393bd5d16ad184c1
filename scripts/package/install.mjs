// Installs tarballs as a user would, but without the network and without a compiler within reach.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, realpathSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'

/** How npm is started by Node alone, without a PATH. */
export function npmCommand() {
  const beside = dirname(realpathSync(process.execPath))
  const candidates = [
    process.env.npm_execpath,
    join(beside, 'node_modules', 'npm', 'bin', 'npm-cli.js'),
    join(beside, '..', 'lib', 'node_modules', 'npm', 'bin', 'npm-cli.js'),
    ...(process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, 'npm')).filter(existsSync).map((path) => realpathSync(path)),
  ]
  const cli = candidates.find((path) => path !== undefined && /npm-cli\.c?js$/.test(path) && existsSync(path))
  if (cli === undefined) throw new Error('npm was not found')
  return [process.execPath, cli]
}

/** The environment with nothing on its PATH, and without what a test runner or an npm above tells its children. */
export function bareEnv() {
  const kept = Object.entries(process.env).filter(([name]) => !/^(npm_|path$|node_|cargo|rustup|ava)/i.test(name))
  return { ...Object.fromEntries(kept), PATH: '' }
}

/** Installs `tarballs` into the empty folder `folder`; `options` are more of npm's. Install scripts would run. */
export function install(folder, tarballs, options = []) {
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'package.json'), '{ "name": "app", "private": true }\n')
  const [command, ...args] = npmCommand()
  const flags = ['--offline', '--ignore-scripts=false', '--no-audit', '--no-fund', '--loglevel=error']
  const { status, stdout, stderr, error } = spawnSync(command, [...args, 'install', ...flags, ...options, ...tarballs], { cwd: folder, env: bareEnv(), encoding: 'utf8' })
  if (status !== 0) throw new Error(`npm install failed: ${error?.message ?? `${stdout}${stderr}`}`)
}
