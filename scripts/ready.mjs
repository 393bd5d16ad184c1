// Installs and builds what is missing or older than its sources, and nothing else.
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { addonStamp, buildAddon, buildFace } from './build.mjs'
import { npm, root, say } from './run.mjs'

/** When what lies there was last changed; 0 where nothing is. Of a folder: its newest file. */
function changed(path) {
  const full = join(root, path)
  const stats = statSync(full, { throwIfNoEntry: false })
  if (stats === undefined) return 0
  if (!stats.isDirectory()) return stats.mtimeMs
  const names = readdirSync(full).filter((name) => name !== 'node_modules' && name !== 'target')
  return Math.max(stats.mtimeMs, ...names.map((name) => changed(join(path, name))))
}

const newest = (...paths) => Math.max(...paths.map(changed))

/** When the addon that lies there was built in release mode; 0 if it was not, or by other hands since. */
function builtInRelease() {
  const built = changed('target/addon')
  const addons = readdirSync(root).filter((name) => name.endsWith('.node'))
  if (built === 0 || addons.length === 0 || changed('native.cjs') === 0 || newest(...addons) > built) return 0
  return readFileSync(addonStamp, 'utf8') === 'release' ? built : 0
}

/** Ready to run: packages installed, addon built in release mode, index.js and cli.js bundled. */
export async function ready() {
  const installed = changed('node_modules/.package-lock.json')
  if (installed === 0 || installed < newest('package-lock.json')) {
    say('installing packages')
    // Warnings are about the engines of packages that are not used here.
    npm(['ci', '--loglevel=error'])
  }
  if (builtInRelease() < newest('crates', 'Cargo.toml', 'Cargo.lock')) buildAddon({ debug: false })
  // Not index.d.ts: it is committed, and `lint` has to see where it differs.
  const stale = [
    ...(changed('index.js') < newest('facade', 'index.ts', 'scripts/face.mjs') ? ['index.js'] : []),
    ...(changed('cli.js') < newest('cli', 'scripts/face.mjs') ? ['cli.js'] : []),
  ]
  if (stale.length > 0) await buildFace(stale)
}
