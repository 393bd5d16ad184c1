import { fileURLToPath } from 'node:url'
import test from 'ava'
import { program, runCommand } from '../support/child.ts'
import { freshDir } from '../support/directory.ts'

test('logs that are forgotten are collected, and let go of their locks, though their retention runs by a timer', async (t) => {
  const end = await runCommand(process.execPath, ['--expose-gc', fileURLToPath(program('forgotten-timers')), freshDir(t), freshDir(t), freshDir(t)])
  t.is(end.code, 0, end.stderr)
  t.deepEqual(JSON.parse(end.stdout), { Wal: true, Log: true, PartitionedLog: true })
})
