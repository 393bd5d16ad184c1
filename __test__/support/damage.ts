import { copyFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ExecutionContext } from 'ava'
import { Wal } from 'varve'
import { closedAfter, freshDir, texts } from './directory.ts'

/** The directory as the end of its process at this moment would leave it. */
export function crashed(t: ExecutionContext, dir: string): string {
  const to = freshDir(t)
  for (const name of readdirSync(dir)) {
    if (name === 'LOCK') continue
    try {
      copyFileSync(join(dir, name), join(to, name))
    } catch (error) {
      // What is prepared ahead, or has been dropped, comes and goes in the background.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }
  return to
}

/** Changes the bytes of a file in place. */
export function edit(path: string, change: (bytes: Buffer) => void): void {
  const bytes = readFileSync(path)
  change(bytes)
  writeFileSync(path, bytes)
}

/** Flips a bit of the first place where a file says `text`. */
export function flip(path: string, text: string, at = 5): void {
  edit(path, (bytes) => (bytes[bytes.indexOf(text) + at]! ^= 1))
}

/** Opens, looks and closes, twice: with and without a look at every checksum. */
export async function holds(t: ExecutionContext, dir: string, expected: readonly string[], first = 0): Promise<void> {
  for (const verify of [false, true]) {
    const log = closedAfter(t, Wal.openSync(dir, { verify }))
    t.is(log.firstIndex, first)
    t.deepEqual(texts(log), expected)
    expected.forEach((text, i) => t.is(log.get(first + i)!.toString(), text))
    await log.close()
  }
}
