import { execFileSync } from 'node:child_process'
import type { ExecutionContext } from 'ava'
import { freshDir } from './directory.ts'

/** An empty directory on a file system of its own with room for so many MiB; undefined, said, where none can be mounted. */
export function smallDisk(t: ExecutionContext, mebibytes: number): string | undefined {
  const dir = freshDir(t)
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'tmpfs', dir], { stdio: 'pipe' })
  } catch (error) {
    t.log(`no small file system could be mounted here, so this was not tried: ${String((error as Error).message).split('\n')[0]}`)
    return undefined
  }
  t.teardown(() => execFileSync('umount', ['--lazy', dir]))
  return dir
}
