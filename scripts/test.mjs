// `npm test`: all tests of Rust and of TypeScript, then the lints. Its last line sums them up: "N passed, N failed".
import { stripVTControlCharacters } from 'node:util'
import { lint } from './lint.mjs'
import { ready } from './ready.mjs'
import { bin, capture, say } from './run.mjs'

await ready()
let passed = 0
let failed = 0

/** Adds up what a runner said. One that failed without naming a failed test counts as one. */
function count(code, output, passes, failures) {
  const sum = (pattern) => [...stripVTControlCharacters(output).matchAll(pattern)].reduce((total, [, number]) => total + Number(number), 0)
  passed += sum(passes)
  failed += Math.max(sum(failures), code === 0 ? 0 : 1)
}

say('cargo test')
const rust = await capture('cargo', ['test', '--workspace', '--no-fail-fast'])
count(rust.code, rust.output, /^test result: \w+\. (\d+) passed/gm, /^test result: \w+\. \d+ passed; (\d+) failed/gm)

say('ava')
const ava = await capture(bin('ava'), process.argv.slice(2))
count(ava.code, ava.output, /^ *(\d+) tests? passed$/gm, /^ *(\d+) (?:tests? failed|uncaught exceptions?|unhandled rejections?)$/gm)

failed += (await lint()).length
console.log(`\n${passed} passed, ${failed} failed`)
process.exitCode = failed === 0 ? 0 : 1
