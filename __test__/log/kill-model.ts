import { messageOf, type Written } from '../programs/log-chaos-message.mjs'

/** A message that was about to be appended; its offset, when that was acknowledged. */
interface Attempt {
  id: string
  /** The batch that it came in; -1 for one by itself. */
  batch: number
  offset?: number
}

/** What a log is found to hold after a kill. */
export interface Found {
  start: number
  next: number
  /** Ids by offset, in order. */
  ids: Map<number, string>
  cursor: number | undefined
  mark: number
}

const messages = new Map<string, Written>()
/** The message of an id. */
export function written(id: string): Written {
  let message = messages.get(id)
  if (message === undefined) {
    const [name = '', n] = id.split(':')
    messages.set(id, (message = messageOf(name, Number(n))))
  }
  return message
}

/** What was acknowledged of a message log, what was about to happen to it, and so what may be found. */
export class Model {
  /** Held when it was last looked at, and acknowledged since: id and offset. */
  readonly held: Map<string, number> = new Map()
  /** Of this round, by id. */
  readonly attempts: Map<string, Attempt> = new Map()
  next: number = 0
  /** Where they were put, and were about to be put. */
  cursor: { done: number; may: number } = { done: 0, may: 0 }
  mark: { done: number; may: number } = { done: 0, may: 0 }
  removals: number = 0
  /** Whether every removal that was begun has been done, or a later one has. */
  isExact: boolean = true
  /** What must be gone, what may be: by offset, by id, and below an offset. */
  readonly #gone = { offsets: new Set<number>(), ids: new Set<string>(), below: 0 }
  readonly #may = { offsets: new Set<number>(), ids: new Set<string>(), below: 0 }
  #pending: { what: string; argument: string; ids: string[] } | undefined
  #batch = 0

  /** Whether a removal was under way at the end. */
  get isRemoving(): boolean {
    return this.#pending !== undefined
  }

  /** Messages are about to be appended: in one batch, or one by one. */
  attempt(ids: readonly string[], isBatch: boolean): void {
    const batch = isBatch ? this.#batch++ : -1
    for (const id of ids) this.attempts.set(id, { id, batch })
  }

  acknowledge(id: string, offset: number): void {
    this.attempts.get(id)!.offset = offset
    this.held.set(id, offset)
    this.next = Math.max(this.next, offset + 1)
  }

  /** A removal is about to be made: `delete` of offsets, `trim` before one, `compact` of all that is replaced, or of `some` of it. */
  begin(what: string, argument: string): void {
    this.removals++
    this.isExact = false
    this.#pending = { what, argument, ids: what === 'compact' ? this.#replaced() : [] }
    if (what === 'delete') for (const offset of argument.split(',')) this.#may.offsets.add(Number(offset))
    if (what === 'trim') this.#may.below = Math.max(this.#may.below, Number(argument))
  }

  /** It has been made. */
  end(): void {
    this.#mayCompact()
    this.#done()
    this.#pending = undefined
  }

  /** The process was killed: what was under way has happened, in part or whole, or has not. */
  kill(): void {
    this.#mayCompact()
  }

  #done(): void {
    this.isExact = true
    const { what, argument, ids } = this.#pending!
    if (what === 'delete') for (const offset of argument.split(',')) this.#gone.offsets.add(Number(offset))
    if (what === 'trim') this.#gone.below = Math.max(this.#gone.below, Number(argument))
    for (const id of ids) this.#gone.ids.add(id)
  }

  /** Messages that are acknowledged, and that a compaction which begins now removes. */
  #replaced(): string[] {
    const last = new Map<string, number>()
    for (const [id, offset] of this.held) {
      const { key } = written(id)
      if (key !== null && !this.#isGone(id, offset)) last.set(key, Math.max(last.get(key) ?? -1, offset))
    }
    return [...this.held].filter(([id, offset]) => {
      const { key, value } = written(id)
      return key !== null && !this.#mayBeGone(id, offset) && (value === null || last.get(key)! > offset)
    }).map(([id]) => id)
  }

  /** While a compaction is under way: what is replaced by anything that there may be, and what deletes, may go. */
  #mayCompact(): void {
    if (this.#pending === undefined || !['compact', 'some'].includes(this.#pending.what)) return
    const last = new Map<string, number>()
    const all = new Map<string, number>(this.held)
    for (const { id, offset } of this.attempts.values()) all.set(id, offset ?? Infinity)
    for (const [id, offset] of all) {
      const { key } = written(id)
      if (key !== null) last.set(key, Math.max(last.get(key) ?? -1, offset))
    }
    for (const [id, offset] of all) {
      const { key, value } = written(id)
      if (key !== null && (value === null || last.get(key)! > offset || offset === Infinity)) this.#may.ids.add(id)
    }
  }

  #isGone(id: string, offset: number): boolean {
    return this.#gone.offsets.has(offset) || this.#gone.ids.has(id) || offset < this.#gone.below
  }

  #mayBeGone(id: string, offset: number): boolean {
    return this.#may.offsets.has(offset) || this.#may.ids.has(id) || offset < this.#may.below
  }

  /** What is wrong with a log that is found; undefined if nothing is. `retains`: retention has removed what it liked, below the cursor. */
  wrong(found: Found, retains: boolean): string | undefined {
    if (found.next < this.next) return `${this.next - 1} was acknowledged, and the log ends at ${found.next}`
    if (this.cursor.done > 0 && (found.cursor === undefined || found.cursor < this.cursor.done || found.cursor > Math.max(this.cursor.done, this.cursor.may))) {
      return `the cursor is at ${found.cursor}, and was saved at ${this.cursor.done}, then perhaps at ${this.cursor.may}`
    }
    if (found.mark < this.mark.done || found.mark > Math.max(this.mark.done, this.mark.may, found.start)) return `the high-water mark is ${found.mark}, and was ${this.mark.done}, then perhaps ${this.mark.may}`
    const kept = retains ? Math.max(this.cursor.done, this.cursor.may) : 0
    return this.#missing(found, kept) ?? this.#invented(found) ?? this.#torn(found, kept)
  }

  /** Below `kept` retention has removed what it liked. */
  #missing(found: Found, kept: number): string | undefined {
    /** The last message of a key that is there, or was acknowledged. */
    const last = new Map<string, number>()
    for (const [offset, id] of found.ids) last.set(written(id).key ?? '', offset)
    for (const [id, offset] of this.held) {
      const key = written(id).key ?? ''
      last.set(key, Math.max(last.get(key) ?? -1, offset))
    }
    // Of what was not acknowledged, and is not there, some may itself have been removed before it was killed.
    const known = new Set([...this.held.values(), ...found.ids.keys()])
    const unseen = [...this.#may.offsets].some((offset) => !known.has(offset))
    const deletes = new Set([...this.attempts.values()].filter(({ id, offset }) => offset === undefined && (written(id).value === null || unseen)).map(({ id }) => written(id).key))
    for (const [id, offset] of this.held) {
      const { key, value } = written(id)
      const is = found.ids.get(offset)
      if (is === id) {
        if (this.#isGone(id, offset)) return `${offset} is ${id}, which was removed`
        continue
      }
      if (is !== undefined) return `${offset} was acknowledged as ${id}, and is ${is}`
      if (offset < kept || this.#may.offsets.has(offset) || offset < this.#may.below) continue
      if (!this.#may.ids.has(id)) return `${offset}, ${id}, is gone, and nothing removed it; the log is ${found.start} to ${found.next}`
      if (value !== null && last.get(key ?? '')! <= offset && !deletes.has(key)) return `${offset}, ${id}, was compacted away, and what replaced it is not there`
    }
    return undefined
  }

  #invented(found: Found): string | undefined {
    const last = new Map<string, number>()
    for (const [offset, id] of found.ids) {
      const [name = '', n] = id.split(':')
      if (Number(n) <= (last.get(name) ?? -1)) return `${offset} is ${id}, behind ${name}:${last.get(name)}`
      last.set(name, Number(n))
      const at = this.held.get(id)
      if (at === undefined && !this.attempts.has(id)) return `${offset} is ${id}, which had gone, or was never written`
      if (at !== undefined && at !== offset) return `${offset} is ${id}, which was acknowledged at ${at}`
      if (this.#isGone(id, offset)) return `${offset} is ${id}, and was removed`
    }
    return undefined
  }

  /** A batch that was not acknowledged is there whole or not at all, but for what was removed of it. */
  #torn(found: Found, kept: number): string | undefined {
    const there = new Map<string, number>()
    for (const [offset, id] of found.ids) there.set(id, offset)
    const batches = new Map<number, string[]>()
    for (const { id, batch, offset } of this.attempts.values()) {
      if (batch >= 0 && offset === undefined) batches.set(batch, [...(batches.get(batch) ?? []), id])
    }
    for (const ids of batches.values()) {
      const first = ids.findIndex((id) => there.has(id))
      if (first < 0) continue
      const base = there.get(ids[first]!)! - first
      for (const [i, id] of ids.entries()) {
        if (there.get(id) === base + i || base + i < kept || this.#mayBeGone(id, base + i)) continue
        return `of a batch at ${base} number ${i}, ${id}, is ${there.get(id) ?? 'not there'}`
      }
    }
    return undefined
  }

  /** What is found is what there is, from now on. */
  settle(found: Found): void {
    this.held.clear()
    for (const [offset, id] of found.ids) this.held.set(id, offset)
    this.attempts.clear()
    this.next = found.next
    this.cursor = { done: found.cursor ?? 0, may: found.cursor ?? 0 }
    this.mark = { done: found.mark, may: found.mark }
    for (const set of [this.#gone, this.#may]) {
      set.offsets.clear()
      set.ids.clear()
    }
    this.#gone.below = this.#may.below = found.start
    this.#pending = undefined
  }
}
