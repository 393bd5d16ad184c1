// Removing messages: a segment at a time, on another thread, with pauses between them where they are wanted.
import { setTimeout as delay } from 'node:timers/promises'
import { aborted, invalid } from './errors.ts'
import { readGivenTime } from './log-options.ts'
import type { LogBinding, RemovalBinding } from './native.ts'
import { callback, careOf, checkSignal, integer, readOwn, readSignal, show } from './options.ts'
import type { CareOptions, Progress } from './reports.ts'
import { watch } from './watch.ts'

type OneOf<T> = { [P in keyof T]: { [Q in P]: T[Q] } & { [Q in Exclude<keyof T, P>]?: never } }[keyof T]

/** Which messages a trim or a search means: one rule at a time. The first four remove from the start of the log only. */
export type Rule = OneOf<{
  /** As long as messages are older than this. */
  olderThan: number | Date
  beforeOffset: number
  /** Until so many are left. */
  keepMessages: number
  /** Until those left take so many bytes, by `sizeOf`. */
  keepBytes: number
  /** Older messages whose key comes again later in the log. */
  updatesBefore: number | Date
  /** Older messages without a value, and with nothing for their key before them. */
  deletesBefore: number | Date
}>

export interface RewriteOptions extends CareOptions {
  /** Between one segment and the next: a pause in milliseconds, or a wait of the caller's own. */
  pause?: number | ((signal?: AbortSignal) => Promise<void>)
}

/** What is to be removed, as native code has it. */
export interface Wish {
  kind: number
  value: number | Float64Array
}

/** In the order of the native side. */
const RULES = ['olderThan', 'beforeOffset', 'keepMessages', 'keepBytes', 'updatesBefore', 'deletesBefore'] as const
const TIMES: readonly string[] = ['olderThan', 'updatesBefore', 'deletesBefore']
const DELETE = 6
const COMPACT = 7

/** One rule; none, or one that is undefined, is never taken for all messages. */
export function readRule(value: unknown): Wish {
  const rule = readOwn(value, RULES, 'rule')
  const [name, ...more] = Object.keys(rule) as (typeof RULES)[number][]
  if (name === undefined || more.length > 0) throw invalid(`a rule has one of ${RULES.join(', ')}, got ${name === undefined ? 'none' : [name, ...more].join(' and ')}`)
  const given = rule[name]
  return { kind: RULES.indexOf(name), value: TIMES.includes(name) ? readGivenTime(name, given) : integer(name, given) }
}

/** Offsets to be deleted. */
export function readOffsets(value: unknown): Wish {
  if (typeof value !== 'object' || value === null || !(Symbol.iterator in value)) throw invalid(`offsets must be iterable, got ${show(value)}`)
  const offsets = Array.from(value as Iterable<unknown>, (offset) => integer('offset', offset))
  return { kind: DELETE, value: Float64Array.from(offsets) }
}

export interface Rewrite extends CareOptions {
  pause: RewriteOptions['pause']
}

/** What `delete` and `trim` take. */
export function readRewriteOptions(value: unknown): Rewrite {
  const { pause, ...care } = readOwn(value, ['signal', 'onProgress', 'pause'])
  return { ...careOf(care), pause: readPause(pause) }
}

/** What `compact` takes. */
export function readCompactOptions(value: unknown): Rewrite & { wish: Wish } {
  const { pause, before, ...care } = readOwn(value, ['signal', 'onProgress', 'pause', 'before'])
  const time = before === undefined ? Date.now() : readGivenTime('before', before)
  return { ...careOf(care), pause: readPause(pause), wish: { kind: COMPACT, value: time } }
}

function readPause(pause: unknown): RewriteOptions['pause'] {
  return pause === undefined ? undefined : typeof pause === 'number' ? integer('pause', pause, 0, 0x7fffffff) : callback('pause', pause)
}

/** The offsets of the messages that a rule means. */
export async function find(native: LogBinding, rule: unknown, options: unknown): Promise<number[]> {
  const { kind, value } = readRule(rule)
  const signal = readSignal(readOwn(options, ['signal']).signal)
  checkSignal(signal)
  return Array.from(await watch(native.find(kind, value as number), signal, undefined))
}

/** Removes what is wished for. Called off, what was done stays done. `changed` is called after each step. */
export async function remove(native: LogBinding, { kind, value }: Wish, { signal, onProgress, pause }: Rewrite, changed: () => void): Promise<RemovalBinding> {
  checkSignal(signal)
  const removal = native.remove(kind, value)
  const end = () => removal.abort()
  signal?.addEventListener('abort', end, { once: true })
  try {
    while (await removal.step()) {
      changed()
      if (onProgress !== undefined) onProgress(progressOf(removal))
      checkSignal(signal)
      if (typeof pause === 'number') await delay(pause, undefined, signal === undefined ? {} : { signal })
      else if (pause !== undefined) await pause(signal)
    }
    changed()
    checkSignal(signal)
    return removal
  } catch (error) {
    throw signal?.aborted ? aborted(signal) : error
  } finally {
    signal?.removeEventListener('abort', end)
  }
}

function progressOf(removal: RemovalBinding): Progress {
  const table = new Float64Array(4)
  removal.progress(table)
  const [bytes = 0, totalBytes = 0, segments = 0, totalSegments = 0] = table
  return { bytes, totalBytes, segments, totalSegments }
}
