import { fileURLToPath } from 'node:url'
import type { ExecutionContext } from 'ava'
import { program, runCommand } from './child.ts'

/**
 * Runs the program `name` on a log in `dir` under strace, which fails the syncs that `when` says (`30+`: from the 30th on) with EIO, and gives what the
 * program met. Undefined, and the test passes with a word, where strace is missing or may not trace.
 */
export async function runWithFailingSync<T>(t: ExecutionContext, when: string, dir: string, name: 'sync-fails' | 'sync-fails-log' = 'sync-fails'): Promise<T | undefined> {
  const trace = ['-f', '-qq', '-o', '/dev/null', '-e', 'trace=fdatasync,fsync', '-e', `inject=fdatasync,fsync:error=EIO:when=${when}`]
  const usable = await runCommand('strace', [...trace, 'true']).then(({ code }) => code === 0, () => false)
  if (!usable) {
    t.log('strace is not here, or may not trace: no failing sync could be made, so this was not tried')
    t.pass()
    return undefined
  }
  const end = await runCommand('strace', [...trace, process.execPath, fileURLToPath(program(name)), dir])
  t.is(end.code, 0, end.stderr)
  return JSON.parse(end.stdout) as T
}
