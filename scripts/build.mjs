// `npm run build` makes the addon in release mode with its loader, index.js with index.d.ts, and cli.js; `--debug` makes a debug addon.
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { face } from './face.mjs'
import { bin, must, root, run, say } from './run.mjs'

/** Says how the addon was last built, and by its age when. */
export const addonStamp = join(root, 'target', 'addon')

/** Bundles `files` of index.js, index.d.ts and cli.js. */
export async function buildFace(files) {
  say(`bundling ${files.join(', ')}`)
  const fresh = await face()
  for (const file of files) {
    writeFileSync(join(root, file), fresh[file])
    if (file === 'cli.js') chmodSync(join(root, file), 0o755)
  }
}

export function buildAddon({ debug }) {
  if (run('cargo', ['--version'], { stdio: 'ignore' }) !== 0) {
    console.error('The core of varve is written in Rust. Install it (rustup and a C compiler), and come again.')
    process.exit(1)
  }
  say(debug ? 'building the addon for debugging' : 'building the addon in release mode: a minute or two, the first time')
  must(bin('napi'), [
    'build', '--platform', ...(debug ? [] : ['--release']),
    '--js', 'native.cjs', '--dts', 'native.d.cts', '--manifest-path', 'crates/node/Cargo.toml', '--output-dir', '.',
  ])
  mkdirSync(dirname(addonStamp), { recursive: true })
  writeFileSync(addonStamp, debug ? 'debug' : 'release')
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  buildAddon({ debug: process.argv.includes('--debug') })
  await buildFace(['index.js', 'index.d.ts', 'cli.js'])
}
