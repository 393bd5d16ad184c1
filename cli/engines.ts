// The engines, and how each is known by its directory. A new engine is a row here, and a list of commands beside `commands/wal.ts`.
import { open, readdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { Log, PartitionedLog, Wal } from 'varve'
import type { Care, Command } from './command.ts'
import { log, partitionedLog } from './commands/log.ts'
import { wal } from './commands/wal.ts'

export interface Engine {
  readonly name: string
  /** Whether the directory is one of this engine's. */
  probe(found: Found): boolean
  readonly care: Care
  /** What it holds. */
  readonly noun: 'record' | 'message'
  readonly commands: readonly Command[]
}

/** What a directory shows from outside. */
export interface Found {
  /** Whether it has files by names that varve gives. */
  readonly ours: boolean
  /** The kinds of engine that the segments name in their headers, as far as these can be read. */
  readonly kinds: ReadonlySet<number>
  /** Whether it is divided into partitions. */
  readonly divided: boolean
}

export const engines: readonly Engine[] = [
  // Where no header can be read it is taken for a Wal, which says what is wrong with it.
  { name: 'Wal', probe: ({ ours, kinds, divided }) => !divided && (kinds.has(1) || (ours && kinds.size === 0)), care: Wal, noun: 'record', commands: wal },
  { name: 'Log', probe: ({ kinds, divided }) => !divided && kinds.has(2), care: Log, noun: 'message', commands: log },
  { name: 'PartitionedLog', probe: ({ divided }) => divided, care: PartitionedLog, noun: 'message', commands: partitionedLog },
]

/** There is nothing of varve's where it was looked for. */
export class NoLogError extends Error {
  readonly path: string

  constructor(path: string, why: string) {
    super(`no log there: ${path} ${why}`)
    this.name = 'NoLogError'
    this.path = path
  }
}

/** The engine whose directory `dir` is. */
export async function engineOf(dir: string, known: readonly Engine[]): Promise<Engine> {
  const path = resolve(dir)
  const found = await look(path)
  const engine = known.find(({ probe }) => probe(found))
  if (engine !== undefined) return engine
  if (!found.ours) throw new NoLogError(path, 'has no files of varve')
  throw new NoLogError(path, `holds an engine (${[...found.kinds].join(', ')}) that this version does not know`)
}

const OURS = /^\d{16}(-\d{16})?\.(seg|idx|torn|lost)$|^durable$|^partitions$/
/** Segments whose headers are read, from the first on, until one says what it is. */
const LOOKED_AT = 16

async function look(path: string): Promise<Found> {
  const names = await readdir(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') throw new NoLogError(path, 'does not exist')
    if (error.code === 'ENOTDIR') throw new NoLogError(path, 'is not a directory')
    throw error
  })
  const ours = names.filter((name) => OURS.test(name))
  const kinds = new Set<number>()
  for (const name of ours.filter((name) => name.endsWith('.seg')).sort().slice(0, LOOKED_AT)) {
    const kind = await kindOf(join(path, name))
    if (kind === undefined) continue
    kinds.add(kind)
    break
  }
  return { ours: ours.length > 0, kinds, divided: names.includes('partitions') }
}

/** The kind in a segment's header, of which there are two copies. */
async function kindOf(path: string): Promise<number | undefined> {
  const file = await open(path).catch(() => undefined)
  if (file === undefined) return undefined
  try {
    const header = Buffer.alloc(1024)
    await file.read(header, 0, header.length, 0)
    const at = [0, 512].find((at) => header.toString('latin1', at, at + 8) === 'VARVESEG')
    return at === undefined ? undefined : header[at + 10]
  } catch {
    return undefined
  } finally {
    await file.close()
  }
}
