// `npm test`: all tests of Rust and of TypeScript, then the lints. Its last line sums them up: "N passed, N failed".
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { lint } from './lint.mjs'
import { ready } from './ready.mjs'
import { bin, capture, root, say } from './run.mjs'

await ready()
let passed = 0
let failed = 0

/** Adds up what a runner said. One that failed without naming a failed test counts as one. */
function count(code, output, passes, failures) {
  const matches = (pattern) => [...stripVTControlCharacters(output).matchAll(pattern)]
  // A line that names no number is one test.
  const sum = (pattern) => matches(pattern).reduce((total, [, number = 1]) => total + Number(number), 0)
  passed += sum(passes)
  failed += Math.max(sum(failures), code === 0 ? 0 : 1)
}

say('cargo test')
const rust = await capture('cargo', ['test', '--workspace', '--no-fail-fast'])
count(rust.code, rust.output, /^test result: \w+\. (\d+) passed/gm, /^test result: \w+\. \d+ passed; (\d+) failed/gm)

say('cargo test: mutants of the crash explorer')
const mutants = await capture('cargo', ['test', '--release', '-p', 'varve-testkit', '--features', 'mutants', '--test', 'mutants'])
count(mutants.code, mutants.output, /^test result: \w+\. (\d+) passed/gm, /^test result: \w+\. \d+ passed; (\d+) failed/gm)

say('fuzz: the bodies of the targets, 10 s each')
const fuzz = await capture('cargo', ['test', '--release', '--locked', '--manifest-path', 'fuzz/Cargo.toml'], {
  env: { ...process.env, CARGO_TARGET_DIR: join(root, 'target', 'fuzz'), VARVE_FUZZ_SECONDS: process.env['VARVE_FUZZ_SECONDS'] ?? '10' },
})
count(fuzz.code, fuzz.output, /^test result: \w+\. (\d+) passed/gm, /^test result: \w+\. \d+ passed; (\d+) failed/gm)

say('ava')
const ava = await capture(bin('ava'), process.argv.slice(2))
// Its own sum leaves out the passed tests when others fail, so its lines are counted.
count(ava.code, ava.output, /^ *[✔√] /gm, /^ *[✘✖×] /gm)

failed += (await lint()).length
console.log(`\n${passed} passed, ${failed} failed`)
process.exitCode = failed === 0 ? 0 : 1
