// `npm run lint`: formatting, clippy, the TypeScript linter, types, and the committed declarations against a fresh build of them.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { face } from './face.mjs'
import { ready } from './ready.mjs'
import { bin, root, run, say } from './run.mjs'

const steps = {
  'cargo fmt': () => run('cargo', ['fmt', '--all', '--check']),
  'cargo clippy': () => run('cargo', ['clippy', '--workspace', '--lib', '--tests', '--quiet', '--', '-D', 'warnings']),
  oxlint: () => run(bin('oxlint'), ['--deny-warnings']),
  'types (tsc)': () => run(bin('tsc'), ['--project', '.']),
  'index.d.ts against facade/': async () => {
    const fresh = (await face())['index.d.ts']
    if (readFileSync(join(root, 'index.d.ts'), 'utf8') === fresh) return 0
    console.error('index.d.ts is not what facade/ says: run `npm run build`, and commit it')
    return 1
  },
}

/** Runs every step; returns the names of those that failed. */
export async function lint() {
  const failed = []
  for (const [name, step] of Object.entries(steps)) {
    say(name)
    if ((await step()) !== 0) failed.push(name)
  }
  return failed
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await ready()
  const failed = await lint()
  if (failed.length > 0) console.error(`\nfailed: ${failed.join(', ')}`)
  process.exitCode = failed.length > 0 ? 1 : 0
}
