// `npm run package`: builds the addons for other machines and packs what is published into target/package/. `--help` says the rest.
import { mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { pack } from './package/pack.mjs'
import { crossBuilt, host, platforms } from './package/platforms.mjs'
import { ready } from './ready.mjs'
import { root, say } from './run.mjs'

const help = `npm run package [-- options]

Builds the addon for ${crossBuilt.join(', ')} with cargo-zigbuild, and packs the tarballs of \`varve\` and of
these platforms into target/package/. Needs rustup, Python 3 with venv and pip; the first time it fetches zig into target/zig.

  --only <platform,…>   these platforms instead; of ${Object.keys(platforms).join(', ')}
  --addons <folder>     builds nothing: packs the varve.<platform>.node that lie there. "." are those of \`npm run build\`
  --out <folder>        instead of target/package
  --smoke               builds nothing: installs the tarballs into an empty folder, and uses them under this Node
  --smoke-arm64         the same for linux-arm64-gnu, under qemu, on linux-x64 with apt
`

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    addons: { type: 'string' },
    out: { type: 'string', default: join('target', 'package') },
    smoke: { type: 'boolean' },
    'smoke-arm64': { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  },
})

const out = resolve(values.out)

/** The platforms that were asked for by name. */
function named() {
  const names = values.only?.split(',').map((name) => name.trim())
  for (const name of names ?? []) {
    if (!(name in platforms)) throw new Error(`--only ${name}: there is no such platform; there are ${Object.keys(platforms).join(', ')}`)
  }
  return names
}

async function build(names) {
  const { prepare, zigbuild } = await import('./package/zigbuild.mjs')
  prepare(names)
  await ready()
  const addons = join(out, 'addons')
  mkdirSync(addons, { recursive: true })
  for (const name of names) zigbuild(name, addons)
  return addons
}

async function main() {
  if (values.help) return console.log(help)
  if (values.smoke || values['smoke-arm64']) {
    const { smoke, smokeArm64 } = await import('./package/smoke.mjs')
    return values.smoke ? smoke(out, host()) : smokeArm64(out)
  }
  const names = named()
  const addons = values.addons === undefined ? await build(names ?? crossBuilt) : resolve(values.addons)
  say(`packing into ${out}`)
  for (const line of pack({ names: names ?? (values.addons === undefined ? crossBuilt : undefined), addons, out })) console.log(line)
}

process.chdir(root)
try {
  await main()
} catch (error) {
  console.error(`\n${error.message}`)
  process.exitCode = 1
}
