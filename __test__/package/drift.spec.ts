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

/** First cells of the tables' headings. */
const HEADINGS: ReadonlySet<string> = new Set(['', 'walfs', 'klevdb', 'streambus', 'defect'])

/** The rows of the tables between the marks: their first cell, and the last one with the names of tests that it has. */
function rowsOf(path: string, mark: string): { row: string; last: string; tests: string[] }[] {
  const part = new RegExp(`<!-- ${mark} -->(.*)<!-- /${mark} -->`, 's').exec(read(path))?.[1] ?? ''
  const rows = [...part.matchAll(/^\| (.+?) \|(?:.*\|)? (.+) \|$/gm)].filter(([, row]) => !HEADINGS.has(row ?? ''))
  return rows.map(([, row = '', last = '']) => ({ row, last, tests: last.split('`').filter((part, i) => i % 2 === 1 && part.length >= 12) }))
}

/** Whether there is a test of this name, in words or in Rust. */
const isTest: (name: string) => boolean = (() => {
  const sources = ['__test__', 'crates'].flatMap((folder) => readdirSync(new URL(folder, root), { recursive: true, encoding: 'utf8' })
    .filter((path) => /\.(spec\.ts|rs)$/.test(path)).map((path) => read(`${folder}/${path}`))).join('\n').replaceAll("\\'", "'")
  return (name) => [`test('${name}'`, `test("${name}"`, `test(\`${name}\``, `.serial('${name}'`, `fn ${name}(`].some((form) => sources.includes(form))
})()

test('every test that docs/durability.md names exists', (t) => {
  const rows = rowsOf('docs/durability.md', 'promises').filter(({ row }) => /^P\d+$/.test(row))
  t.is(rows.length, 39)
  for (const { tests } of rows) for (const name of tests) t.true(isTest(name), name)
})

test('every promise of message logs has its row in docs/durability.md, and tests, or is one of a Wal; and they exist', (t) => {
  const rows = rowsOf('docs/durability.md', 'promises of logs').filter(({ row }) => /^L\d+$/.test(row))
  t.deepEqual(rows.map(({ row }) => row), Array.from({ length: 50 }, (_, i) => `L${i + 1}`))
  for (const { row, last, tests } of rows) {
    t.true(tests.length > 0 || /^as P\d/.test(last), row)
    for (const name of tests) t.true(isTest(name), `${row}: ${name}`)
  }
})

for (const [of, least] of [['walfs', 150], ['klevdb', 55], ['streambus', 45]] as const) {
  test(`docs/parity/${of}.md says of every test of ${of} which test here is its like, or why there is none; and they exist`, (t) => {
    const rows = rowsOf(`docs/parity/${of}.md`, 'parity')
    t.true(rows.length >= least, `${rows.length}`)
    for (const { row, last, tests } of rows) {
      t.true(tests.length > 0 || last.startsWith('not applicable'), row)
      for (const name of tests) t.true(isTest(name), `${row}: ${name}`)
    }
  })
}

const numbered = (group: string, count: number): string[] => Array.from({ length: count }, (_, i) => `${group}.${i + 1}`)

for (const [of, numbers, files] of [
  ['klevdb', [...numbered('B2', 16), ...numbered('B3', 8), ...numbered('B4', 14)], ['log/klevdb-meaning', 'log/klevdb-recovery', 'log/klevdb-defects']],
  ['streambus', numbered('C4', 9), ['partitioned/streambus-defects']],
] as const) {
  test(`docs/parity/${of}.md has every defect of ${of}, and the tests that it is none here; and they exist`, (t) => {
    const rows = rowsOf(`docs/parity/${of}.md`, 'defects')
    t.deepEqual(rows.map(({ row }) => row), [...numbers])
    const named = new Set(rows.flatMap(({ tests }) => tests))
    for (const { row, tests } of rows) t.true(tests.length > 0, row)
    for (const name of named) t.true(isTest(name), name)
    for (const [, name] of files.flatMap((file) => [...read(`__test__/${file}.spec.ts`).matchAll(/^test\('(defect .+?)', /gm)])) t.true(named.has(name!), `${name} is in no row`)
  })
}

test('each of the 21 defects has one test', (t) => {
  const numbers = [...read('__test__/wal/walfs-defects.spec.ts').matchAll(/^test\('defect (\d+): /gm)].map(([, number]) => Number(number))
  t.deepEqual(numbers, Array.from({ length: 21 }, (_, i) => i + 1))
})

test('index.d.ts is what the facade says', async (t) => {
  const { face } = (await import(new URL('scripts/face.mjs', root).href)) as { face(): Promise<Record<string, string>> }
  t.is(read('index.d.ts'), (await face())['index.d.ts']!)
})

test('index.d.ts shows nothing of the native side', (t) => {
  t.false(/native|napi|binding/i.test(read('index.d.ts').replace('index.ts and facade/', '')))
})

test('the package exports what its declarations declare, and no more', (t) => {
  t.deepEqual(Object.keys(varve).sort(), ['Log', 'PartitionedLog', 'VarveError', 'Wal', 'codecs', 'isVarveError', 'version'])
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
