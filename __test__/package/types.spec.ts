// What is published, as tools see it: its manifest, its declarations, and which file answers to which kind of import.
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core'
import test from 'ava'
import { publint } from 'publint'
import { runCommand } from '../support/child.ts'
import { root, tools } from './tools.ts'

const { crossBuilt, host, install, pack, packed, platforms } = tools

const box = mkdtempSync(join(tmpdir(), 'varve-types-'))
const app = join(box, 'app')
const path = (name: string): string => fileURLToPath(new URL(name, root))
const bytes = (file: string): Uint8Array => new Uint8Array(readFileSync(file))

interface Manifest {
  name: string
  version: string
  files: string[]
  bin?: Record<string, string>
  napi?: { targets: string[] }
  os?: string[]
  cpu?: string[]
  libc?: string[]
  main?: string
  engines?: { node: string }
}
const manifest = (file: string): Manifest => JSON.parse(readFileSync(file, 'utf8')) as Manifest

// A text, since its syntax is not allowed here, where types can be erased.
const commonJs = `
import varve = require('varve')
const log: varve.Wal = varve.Wal.openSync('log', { durability: 'os' })
const index: number = log.append('text')
const data: Buffer | undefined = log.get(index)
// @ts-expect-error there is no such level
varve.Wal.openSync('log', { durability: 'perhaps' })
async function same(): Promise<boolean> {
  const imported = await import('varve')
  const other: varve.Wal = await imported.Wal.open('log')
  return other instanceof varve.Wal && data !== undefined
}
export = same
`

test.before(() => {
  pack({ names: [host()], addons: path('.'), out: box })
  const { main, platforms: others } = packed(box)
  install(app, [main, ...others.values()])
  cpSync(new URL('app/user.mts', import.meta.url), join(app, 'user.mts'))
  writeFileSync(join(app, 'user.cts'), commonJs)
  // As every user of TypeScript under Node has them.
  for (const name of ['@types/node', 'undici-types']) {
    mkdirSync(join(app, 'node_modules', '@types'), { recursive: true })
    symlinkSync(path(`node_modules/${name}`), join(app, 'node_modules', name), 'junction')
  }
})
test.after.always(() => rmSync(box, { recursive: true, force: true }))

test('publint finds nothing in any tarball', async (t) => {
  const { main, platforms: others } = packed(box)
  for (const tarball of [main, ...others.values()]) {
    // To a package of one addon it suggests a "type", which says nothing about addons.
    const level = tarball === main ? 'suggestion' : 'warning'
    const { messages } = await publint({ pack: { tarball: bytes(tarball).buffer as ArrayBuffer }, strict: true, level })
    t.deepEqual(messages, [], tarball)
  }
})

test('the types are right, however the package is imported', async (t) => {
  const result = await checkPackage(createPackageFromTarballData(bytes(packed(box).main)))
  if (result.types === false) return t.fail('no types')
  // Every Node that the package supports lets CommonJS require a module, which this tool warns of.
  t.deepEqual(result.problems.filter(({ kind }) => kind !== 'CJSResolvesToESM'), [])
})

for (const [module, moduleResolution] of [['nodenext', 'nodenext'], ['esnext', 'bundler']] as const) {
  test(`TypeScript programs compile strictly against the installed package, with module ${module}`, async (t) => {
    const config = join(app, `tsconfig.${module}.json`)
    const options = { target: 'es2022', lib: ['es2022', 'esnext.disposable'], module, moduleResolution, strict: true, noEmit: true, types: [], preserveSymlinks: true }
    // A bundler takes modules alone.
    writeFileSync(config, JSON.stringify({ compilerOptions: options, files: module === 'esnext' ? ['user.mts'] : ['user.mts', 'user.cts'] }))
    const end = await runCommand(process.execPath, [path('node_modules/typescript/bin/tsc'), '--project', config], { cwd: app })
    t.is(end.stdout, '')
    t.is(end.code, 0)
  })
}

test('the main package holds what its users need, and no sources and no tests', (t) => {
  const folder = join(app, 'node_modules', 'varve')
  const { files } = manifest(path('package.json'))
  const there = readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort()
  t.deepEqual(there, [...new Set([...files, 'LICENSE', 'README.md', 'package.json'])].sort())
  for (const file of there) t.notRegex(file, /\.rs$|Cargo|crates|facade|__test__|(?<!\.d)\.[cm]?ts$|\.node$/)
  for (const name of ['scripts', 'devDependencies', 'napi', 'dependencies']) t.false(name in manifest(join(folder, 'package.json')), name)
  for (const program of Object.values(manifest(join(folder, 'package.json')).bin ?? {})) t.true(existsSync(join(folder, program)), program)
})

test('the package of a platform holds the addon, its licence and a line about itself', (t) => {
  const there = readdirSync(join(app, 'node_modules', `varve-${host()}`)).sort()
  t.deepEqual(there, ['LICENSE', 'README.md', 'package.json', `varve.${host()}.node`])
})

test('npm/ has a package for every target, with the version and the engines of the main one', (t) => {
  const main = manifest(path('package.json'))
  t.deepEqual(main.napi?.targets, Object.values(platforms).map(({ target }) => target))
  t.deepEqual(readdirSync(path('npm')).sort(), Object.keys(platforms).sort())
  for (const name of Object.keys(platforms)) {
    const [os = '', cpu = '', abi = ''] = name.split('-')
    const it = manifest(path(`npm/${name}/package.json`))
    t.like(it, { name: `${main.name}-${name}`, version: main.version, os: [os], cpu: [cpu], main: `varve.${name}.node`, files: [`varve.${name}.node`] })
    t.deepEqual(it.engines, main.engines)
    t.deepEqual(it.libc, os === 'linux' ? [abi === 'gnu' ? 'glibc' : 'musl'] : undefined)
  }
  for (const name of crossBuilt) t.true(platforms[name]?.zig)
})

test('the loader asks for the packages of npm/ by their names, and for nothing at installation', (t) => {
  const loader = readFileSync(path('native.cjs'), 'utf8')
  for (const name of Object.keys(platforms)) t.true(loader.includes(`require('varve-${name}')`), name)
})

for (const [args, complaint] of [
  [['--only', 'amiga-m68k'], 'there is no such platform'],
  [['--only', 'win32-x64-msvc'], 'cannot be built by zig'],
  [['--addons', '.', '--only', 'win32-x64-msvc'], 'there is no varve.win32-x64-msvc.node in'],
  [['--addons', 'docs'], 'there is no addon in'],
  [['--smoke'], 'run `npm run package` first'],
] as const) {
  test(`npm run package -- ${args.join(' ')} is refused with a reason`, async (t) => {
    const end = await runCommand(process.execPath, [path('scripts/package.mjs'), '--out', join(box, 'refused'), ...args])
    t.is(end.code, 1)
    t.true(end.stderr.includes(complaint), end.stderr)
  })
}
