import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { runCommand } from '../support/child.ts'

const examples = fileURLToPath(new URL('../../examples/', import.meta.url))
const cwd = fileURLToPath(new URL('../../', import.meta.url))
const runs: string[][] = [...readdirSync(examples).filter((name) => name.endsWith('.ts')).map((name) => [name]), ['flights/main.ts', '--passes', '2']]

for (const [name = '', ...args] of runs) {
  test(`examples/${name} runs, and finds what it expects`, async (t) => {
    const end = await runCommand(process.execPath, ['--import', '@oxc-node/core/register', `${examples}${name}`, ...args], { cwd })
    t.is(end.code, 0, `${end.stdout}\n${end.stderr}`)
  })
}
