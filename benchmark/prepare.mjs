// What has to be made before contenders run: the Rust side, and the one rival whose package brings sources only. Nothing is downloaded.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const here = path.dirname(fileURLToPath(import.meta.url))

const firstLine = (child) => (child.error?.message ?? child.stderr).trim().split('\n')[0]

/** Each says why it could not be made, or nothing. */
export const prepare = {
  rust(say) {
    say('building the Rust side …')
    const cargo = spawnSync('cargo', ['build', '--release', '--quiet', '--locked'], { cwd: path.join(here, 'rust'), encoding: 'utf8' })
    return cargo.status === 0 ? undefined : firstLine(cargo)
  },
  /** Its own install step would look for a binary on the net: it is compiled here, against the headers that came with Node. */
  sqlite(say) {
    const dir = path.join(here, 'node_modules/better-sqlite3')
    if (!existsSync(dir)) return 'it is not installed'
    if (existsSync(path.join(dir, 'build/Release/better_sqlite3.node'))) return undefined
    const prefix = path.resolve(process.execPath, '../..')
    const gyp = path.join(prefix, 'lib/node_modules/npm/node_modules/node-gyp/bin/node-gyp.js')
    if (!existsSync(path.join(prefix, 'include/node/node.h')) || !existsSync(gyp)) return 'it has to be compiled, and the headers of Node or node-gyp are not there'
    say('building better-sqlite3 from its sources, once …')
    const built = spawnSync(process.execPath, [gyp, 'rebuild', '--release', `--nodedir=${prefix}`], { cwd: dir, encoding: 'utf8' })
    return built.status === 0 ? undefined : `it could not be compiled: ${built.stderr.split('\n').find((line) => /error/i.test(line)) ?? 'no reason given'}`
  },
}

export const rustBinary = path.join(process.env.CARGO_TARGET_DIR ?? path.join(here, 'rust/target'), 'release/varve-benchmark')
