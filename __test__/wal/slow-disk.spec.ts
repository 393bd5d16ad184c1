import { fileURLToPath } from 'node:url'
import test from 'ava'
import { program, runCommand } from '../support/child.ts'
import { freshDir } from '../support/directory.ts'

test('a promise settles with the sync that made it durable, however many come behind it', async (t) => {
  const trace = ['-f', '-qq', '-o', '/dev/null', '-e', 'trace=fdatasync', '-e', 'inject=fdatasync:delay_enter=20000']
  const usable = await runCommand('strace', [...trace, 'true']).then(({ code }) => code === 0, () => false)
  if (!usable) {
    t.log('strace is not here, or may not trace: no slow sync could be made, so this was not tried')
    t.pass()
    return
  }
  const end = await runCommand('strace', [...trace, process.execPath, fileURLToPath(program('slow-sync')), freshDir(t)])
  t.is(end.code, 0, end.stderr)
  const turns = Number(end.stdout)
  // Two syncs of 20 ms, and a slow machine.
  t.true(turns < 1000, `${turns} turns`)
})
