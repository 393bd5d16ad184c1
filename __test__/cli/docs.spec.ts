import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import test from 'ava'
import { engines } from '../../cli/engines.ts'
import { markdown } from '../../cli/help.ts'

const root = new URL('../../', import.meta.url)

test('docs/cli.md says what the help says', (t) => {
  const page = new URL('docs/cli.md', root)
  const fresh = markdown(engines)
  if (process.env['UPDATE_DOCS'] === '1') writeFileSync(page, fresh)
  t.is(existsSync(page) ? readFileSync(page, 'utf8') : '', fresh)
})

test('cli.js is what cli/ says, starts by itself, and is published', async (t) => {
  const { face } = (await import(new URL('scripts/face.mjs', root).href)) as { face(): Promise<Record<string, string>> }
  const cli = new URL('cli.js', root)
  t.is(readFileSync(cli, 'utf8'), (await face())['cli.js']!)
  t.true(readFileSync(cli, 'utf8').startsWith('#!/usr/bin/env node\n'))
  if (process.platform !== 'win32') t.is(statSync(cli).mode & 0o111, 0o111)
  const { bin, files } = JSON.parse(readFileSync(new URL('package.json', root), 'utf8')) as { bin: unknown; files: string[] }
  t.deepEqual(bin, { varve: './cli.js' })
  t.true(files.includes('cli.js'))
})
