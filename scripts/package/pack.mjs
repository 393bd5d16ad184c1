// Lays out the packages that are published, and packs them: `varve`, and one package a platform with nothing but its addon.
import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../run.mjs'
import { npmCommand } from './install.mjs'
import { addonName, platforms } from './platforms.mjs'

const readJson = (path) => JSON.parse(readFileSync(join(root, path), 'utf8'))
const writeJson = (path, value) => writeFileSync(path, `${JSON.stringify(value, undefined, 2)}\n`)

/**
 * Packs `varve` and the packages of the platforms `names` (of all whose addons are there, if not given) into `out`, and takes away
 * what an earlier run has left there. Returns lines about what came out.
 */
export function pack({ names, addons, out }) {
  const taken = names ?? Object.keys(platforms).filter((name) => existsSync(join(addons, addonName(name))))
  if (taken.length === 0) throw new Error(`there is no addon in ${addons}`)
  const stage = join(out, 'stage')
  rmSync(stage, { recursive: true, force: true })
  mkdirSync(out, { recursive: true })
  for (const name of tarballs(out)) rmSync(join(out, name))
  const folders = [stageMain(join(stage, 'varve'), taken), ...taken.map((name) => stagePlatform(join(stage, name), name, addons))]
  return folders.map((folder) => packFolder(folder, out))
}

/** The manifest of `varve` is that of the repository without what is for developers, and with the packages of its platforms. */
function stageMain(folder, names) {
  const manifest = readJson('package.json')
  for (const name of ['scripts', 'devDependencies', 'napi']) delete manifest[name]
  for (const file of [...manifest.files, 'README.md', 'LICENSE']) copy(join(root, file), join(folder, file))
  // Exactly this version: the loader and the addon are of one build.
  manifest.optionalDependencies = Object.fromEntries(names.map((name) => [`${manifest.name}-${name}`, manifest.version]))
  writeJson(join(folder, 'package.json'), { ...manifest, ...repository() })
  return folder
}

function stagePlatform(folder, name, addons) {
  const manifest = readJson(`npm/${name}/package.json`)
  const { version } = readJson('package.json')
  if (manifest.version !== version) throw new Error(`npm/${name}/package.json has version ${manifest.version}, package.json ${version}: run \`npx napi version\``)
  if (!existsSync(join(addons, addonName(name)))) throw new Error(`there is no ${addonName(name)} in ${addons}`)
  copy(join(addons, addonName(name)), join(folder, addonName(name)))
  copy(join(root, 'npm', name, 'README.md'), join(folder, 'README.md'))
  copy(join(root, 'LICENSE'), join(folder, 'LICENSE'))
  writeJson(join(folder, 'package.json'), { ...manifest, ...repository() })
  return folder
}

/** Provenance binds a package to the repository that its manifest names; the workflow that publishes knows which it is. */
function repository() {
  const { GITHUB_SERVER_URL: server, GITHUB_REPOSITORY: name } = process.env
  return server === undefined || name === undefined ? {} : { repository: { type: 'git', url: `git+${server}/${name}.git` } }
}

function copy(from, to) {
  if (!existsSync(from)) throw new Error(`${from} is missing: run \`npm run build\``)
  mkdirSync(join(to, '..'), { recursive: true })
  copyFileSync(from, to)
}

function packFolder(folder, out) {
  const [command, ...args] = npmCommand()
  const { status, stdout, stderr, error } = spawnSync(command, [...args, 'pack', '--json', '--pack-destination', out], { cwd: folder, encoding: 'utf8' })
  if (status !== 0) throw new Error(`npm pack in ${folder} failed: ${error?.message ?? stderr}`)
  // One object in a list, or by the package's name: it depends on npm.
  const [{ filename, size, unpackedSize, files }] = Object.values(JSON.parse(stdout))
  const kib = (bytes) => `${Math.ceil(bytes / 1024)} KiB`
  return `${filename}: ${kib(size)}, installed ${kib(unpackedSize)}: ${files.map(({ path }) => path).join(', ')}`
}

const tarballs = (folder) => (existsSync(folder) ? readdirSync(folder).filter((name) => /^varve-.*\.tgz$/.test(name)) : [])

/** What `pack` left in `out`: the path of the main tarball, and those of the platforms by name. */
export function packed(out) {
  const { name, version } = readJson('package.json')
  const suffix = `-${version}.tgz`
  const names = tarballs(out)
  const main = `${name}${suffix}`
  if (!names.includes(main)) throw new Error(`there is no ${main} in ${out}: run \`npm run package\` first`)
  const others = names.filter((file) => file !== main && file.endsWith(suffix))
  return { main: join(out, main), platforms: new Map(others.map((file) => [file.slice(name.length + 1, -suffix.length), join(out, file)])) }
}
