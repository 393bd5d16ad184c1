import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ExecutionContext } from 'ava'
import { Log, type LogOptions, type Message, Wal, type WalOptions } from 'varve'

/** An empty directory, gone after the test. */
export function freshDir(t: ExecutionContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'varve-'))
  // Again, where an open that was given up is just making its last file.
  t.teardown(() => rmSync(dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 20 }))
  return dir
}

/** A log in a directory of its own, closed after the test. */
export function freshWal(t: ExecutionContext, options?: WalOptions): Wal {
  return closedAfter(t, Wal.openSync(freshDir(t), options))
}

/** A message log in a directory of its own, closed after the test. */
export function freshLog(t: ExecutionContext, options?: LogOptions): Log {
  return closedAfter(t, Log.openSync(freshDir(t), options))
}

/** Offset, key and value of a message as text. */
export function lineOf({ offset, key, value }: Message): string {
  return `${offset} ${key === null ? '-' : key.toString()} ${value === null ? '-' : value.toString()}`
}

/** The messages of a log as text. */
export function lines(log: Log, options?: { from?: number; to?: number; key?: string | null }): string[] {
  return Array.from(log.messages(options), lineOf)
}

/** `log`, closed after the test whatever has become of it. */
export function closedAfter<L extends { close(): Promise<void> }>(t: ExecutionContext, log: L): L {
  t.teardown(() => log.close().catch(() => {}))
  return log
}

/** The segment files of a directory, in order. */
export function segments(dir: string): string[] {
  return readdirSync(dir).filter((name) => name.endsWith('.seg')).sort().map((name) => join(dir, name))
}

/** Every file of a directory with its bytes, but for the lock, which says only who held it last. */
export function contents(dir: string): Map<string, Buffer> {
  const files = readdirSync(dir).filter((name) => name !== 'LOCK' && statSync(join(dir, name)).isFile())
  return new Map(files.sort().map((name) => [name, readFileSync(join(dir, name))]))
}

/** The same without the durable slots, which are written after a sync was told. */
export function contentsButSlots(dir: string): Map<string, Buffer> {
  const files = contents(dir)
  files.delete('durable')
  return files
}

/** The records of a log as text. */
export function texts(log: Wal, from?: number): string[] {
  return Array.from(log.records(from === undefined ? {} : { from }), ({ data }) => data.toString())
}
