import { existsSync, readFileSync } from 'node:fs'

const COUNTERS = '/proc/self/io'

/** What this process has written so far: calls of write(2) and its like, or their bytes. Undefined where the system does not tell. */
export function written(what: 'calls' | 'bytes'): number | undefined {
  if (!existsSync(COUNTERS)) return undefined
  const name = what === 'calls' ? 'syscw' : 'wchar'
  return Number(new RegExp(`^${name}: (\\d+)$`, 'm').exec(readFileSync(COUNTERS, 'utf8'))![1])
}
