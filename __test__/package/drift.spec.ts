import { readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import * as varve from 'varve'

const root = new URL('../../', import.meta.url)
const read = (path: string): string => readFileSync(new URL(path, root), 'utf8')
const load = createRequire(import.meta.url)

test('every code of the native side is one of ErrorCode', (t) => {
  const native = load(fileURLToPath(new URL('native.cjs', root))) as { errorCodes(): string[] }
  const declared = new Set(read('facade/errors.ts').match(/(?<=\| ')VARVE_[A-Z_]+(?=')/g))
  t.true(declared.size >= 18)
  for (const code of native.errorCodes()) t.true(declared.has(code), code)
})

test('docs/errors.md has every code, and no other', (t) => {
  const declared = new Set(read('facade/errors.ts').match(/(?<=\| ')VARVE_[A-Z_]+(?=')/g))
  const native = load(fileURLToPath(new URL('native.cjs', root))) as { errorCodes(): string[] }
  const described = new Set(read('docs/errors.md').match(/(?<=^\| `)VARVE_[A-Z_]+/gm))
  for (const code of described) t.true(declared.has(code), code)
  for (const code of native.errorCodes()) t.true(described.has(code), code)
})

test('every test that docs/durability.md names exists', (t) => {
  const table = /<!-- promises -->(.*)<!-- \/promises -->/s.exec(read('docs/durability.md'))?.[1] ?? ''
  const sources = ['__test__', 'crates'].flatMap((folder) => readdirSync(new URL(folder, root), { recursive: true, encoding: 'utf8' })
    .filter((path) => /\.(spec\.ts|rs)$/.test(path)).map((path) => read(`${folder}/${path}`))).join('\n')
  const rows = [...table.matchAll(/^\| P\d+ \|[^|]*\|(.*)\|$/gm)]
  t.is(rows.length, 39)
  for (const [, tests = ''] of rows) {
    for (const [, name = ''] of tests.matchAll(/`([^`]{12,})`/g)) t.true(sources.includes(name), name)
  }
})

test('index.d.ts is what the facade says', async (t) => {
  const { face } = (await import(new URL('scripts/face.mjs', root).href)) as { face(): Promise<Record<string, string>> }
  t.is(read('index.d.ts'), (await face())['index.d.ts']!)
})

test('index.d.ts shows nothing of the native side', (t) => {
  t.false(/native|napi|binding/i.test(read('index.d.ts').replace('index.ts and facade/', '')))
})

test('the package exports what its declarations declare, and no more', (t) => {
  t.deepEqual(Object.keys(varve).sort(), ['VarveError', 'Wal', 'codecs', 'isVarveError', 'version'])
  t.is(varve.version, (JSON.parse(read('package.json')) as { version: string }).version)
})

test('no script runs at installation', (t) => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
  for (const name of ['preinstall', 'install', 'postinstall', 'prepare', 'prepublish']) t.false(name in scripts)
  t.false(read('package-lock.json').includes('hasInstallScript'))
})

test('only facade/native.ts knows the addon', (t) => {
  const knowing = readdirSync(new URL('facade/', root)).filter((name) => read(`facade/${name}`).includes('native.cjs'))
  t.deepEqual(knowing, ['native.ts'])
})
