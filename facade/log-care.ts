// The care of message logs that nobody has open.
import { createError, invalid } from './errors.ts'
import { type Compression, readCompression } from './log-options.ts'
import { native, type NativeMigration } from './native.ts'
import { flag, integer, Read, readOwn } from './options.ts'
import { readRewriteOptions, stepThrough } from './steps.ts'

/** What is to be different; what is left out stays as it is. */
export interface Migration {
  /** Of the format: there is one so far, 1. */
  version?: number
  indexes?: { key?: boolean; time?: boolean }
  /** Of the messages that are there. */
  compression?: Compression
}

const VERSION = 1

/** Changes what the log at `path` is made with. */
export async function migrate(path: string, to: unknown, options: unknown): Promise<void> {
  const migration = readMigration(path, to)
  const given = readRewriteOptions(options)
  const work = native.migrateLog(path, migration)
  try {
    await stepThrough(work, given)
  } finally {
    work.end()
  }
}

function readMigration(path: string, value: unknown): NativeMigration {
  if (value === undefined) throw invalid('to must say what is to be different, got undefined')
  const { version, indexes, compression } = readOwn(value, ['version', 'indexes', 'compression'], 'to')
  if (version !== undefined && integer('to.version', version, 1) !== VERSION) {
    throw createError('VARVE_UNSUPPORTED', `to.version is ${String(version)}, which this version of varve does not know; it writes ${VERSION}`, { path })
  }
  const { key, time } = readOwn(indexes, ['key', 'time'], 'to.indexes')
  const migration: NativeMigration = new Read<object>()
  if (key !== undefined) migration.keyIndex = flag('to.indexes.key', key)
  if (time !== undefined) migration.timeIndex = flag('to.indexes.time', time)
  if (compression === undefined) return migration
  const { codec, level } = readCompression(compression)
  migration.codec = codec
  if (!Number.isNaN(level)) migration.level = level
  return migration
}
