// Removing messages: what is to go, by rule or by offset.
import { invalid } from './errors.ts'
import { readGivenTime } from './log-options.ts'
import type { LogBinding, RemovalBinding } from './native.ts'
import { checkSignal, integer, readOwn, readSignal, show } from './options.ts'
import { type Rewrite, rewriteOf, stepThrough } from './steps.ts'
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

/** What `compact` takes. */
export function readCompactOptions(value: unknown): Rewrite & { wish: Wish } {
  const { before, ...rewrite } = readOwn(value, ['signal', 'onProgress', 'pause', 'before'])
  return { ...rewriteOf(rewrite), wish: { kind: COMPACT, value: readBefore(before) } }
}

/** The time up to which is compacted: default now. */
export function readBefore(before: unknown): number {
  return before === undefined ? Date.now() : readGivenTime('before', before)
}

/** The offsets of the messages that a rule means. */
export async function find(native: LogBinding, rule: unknown, options: unknown): Promise<number[]> {
  const { kind, value } = readRule(rule)
  const signal = readSignal(readOwn(options, ['signal']).signal)
  checkSignal(signal)
  return Array.from(await watch(native.find(kind, value as number), signal, undefined))
}

/** Removes what is wished for. Called off, what was done stays done. `changed` is called after each step. */
export async function remove(native: LogBinding, { kind, value }: Wish, options: Rewrite, changed: () => void): Promise<RemovalBinding> {
  checkSignal(options.signal)
  const removal = native.remove(kind, value)
  await stepThrough(removal, options, changed)
  return removal
}
