// Messages in portions: what `consume` and its like give. Timers are taken from the module, so that a test's fake ones do not hold a segment.
import { setImmediate } from 'node:timers'
import type { Bytes, BytesLike } from './codecs.ts'
import { createError } from './errors.ts'
import type { Life, Live } from './live.ts'
import type { Consume } from './log-options.ts'
import { type LogWindow, ROWS } from './log-window.ts'
import { type Message, type MessageCodecs, offsetOf, StoredMessage } from './message.ts'
import { ROW_WORDS } from './native.ts'
import { checkSignal } from './options.ts'
import { newSlab } from './slab.ts'
import { BEHIND } from './tail.ts'

export interface Consumed<K, V> {
  messages: Message<K, V>[]
  /** Where to go on. */
  nextOffset: number
}

/** Messages that one job reads at most, and room for their bytes. */
const JOB_ROWS = 2_048
const JOB_BYTES = 262_144

type Key = { bytes: BytesLike | null } | undefined
type Opener = (from: number, to: number | undefined, key: Key, zeroCopy: boolean) => LogWindow

export class Consumer<K, V> {
  readonly #codecs: MessageCodecs<K, V>
  readonly #live: Live
  readonly #life: Life
  readonly #window: Opener
  /** One that is used again, and goes on where it stands: to make it costs more than to read a few messages. It rests at the end of the turn. */
  #idle: LogWindow | undefined
  /** The same for views. */
  #idleViews: LogWindow | undefined
  #turn: NodeJS.Immediate | undefined

  constructor(codecs: MessageCodecs<K, V>, live: Live, life: Life, window: Opener) {
    this.#codecs = codecs
    this.#live = live
    this.#life = life
    this.#window = window
  }

  consume(from: number, given: Consume, key: Key): Consumed<K, V> {
    if (key !== undefined || given.to !== undefined) {
      const window = this.#window(from, given.to, key, given.zeroCopy)
      try {
        return this.#gather(window, from, given)
      } finally {
        window.native.close()
      }
    }
    const window = given.zeroCopy ? (this.#idleViews ??= this.#window(from, undefined, undefined, true)) : (this.#idle ??= this.#window(from, undefined, undefined, false))
    if (window.native.offset() !== from) window.native.seek(from)
    if (this.#turn === undefined) this.#turn = setImmediate(() => this.#rest())
    return this.#gather(window, from, given)
  }

  #gather(window: LogWindow, from: number, given: Consume): Consumed<K, V> {
    const portion = new Portion(this.#codecs, from, given)
    for (;;) {
      const count = window.renew(Math.min(ROWS, portion.room))
      if (portion.add(window, count)) return portion.end(window.native.offset())
    }
  }

  /** Lets go of the segment that the idle reader stands in. */
  #rest(): void {
    this.#turn = undefined
    if (this.#idle !== undefined && !isResting(this.#idle)) this.#idle = undefined
    if (this.#idleViews !== undefined && !isResting(this.#idleViews)) this.#idleViews = undefined
  }

  async consumeAsync(from: number, given: Consume, key: Key): Promise<Consumed<K, V>> {
    const window = this.#window(from, given.to, key, false)
    try {
      const portion = new Portion(this.#codecs, from, given)
      for (let bytes = JOB_BYTES; ; ) {
        const slab = newSlab(bytes)
        const rows = new Uint32Array(Math.min(JOB_ROWS, portion.room) * ROW_WORDS)
        const count = await window.native.fillAhead(slab, rows)
        bytes = count < 0 ? -count : JOB_BYTES
        if (count >= 0 && portion.addAll(fitted(slab, count === 0 ? 0 : rows[count * ROW_WORDS - 3]!), rows, count)) return portion.end(window.native.offset())
      }
    } finally {
      window.native.close()
    }
  }

  async consumeBlocking(from: number, given: Consume, key: Key): Promise<Consumed<K, V>> {
    for (let at = from; ; ) {
      checkSignal(given.signal)
      if (this.#life.closed) throw createError('VARVE_CLOSED', 'the log was closed before there was a message', {})
      if (this.#live.error !== undefined) throw this.#live.error
      const seen = this.#live.visible
      const isNear = seen - at <= BEHIND
      const found = isNear ? this.consume(at, given, key) : await this.consumeAsync(at, given, key)
      at = found.nextOffset
      if (found.messages.length > 0 || (given.to !== undefined && at >= given.to)) return found
      await this.#live.wait(seen, given.signal)
    }
  }
}

/** Has a reader let go of its segment; false if its place has been removed, or the handle was closed: then it is closed. */
function isResting({ native }: LogWindow): boolean {
  try {
    native.seek(native.offset())
    return true
  } catch {
    native.close()
    return false
  }
}

/** The first `used` bytes of a slab, in memory that holds little more than those. */
function fitted(slab: Bytes, used: number): Bytes {
  if (used > slab.length / 2) return slab
  const own = newSlab(used)
  slab.copy(own, 0, 0, used)
  return own
}

/** What is gathered until there is enough of it. */
class Portion<K, V> {
  readonly #codecs: MessageCodecs<K, V>
  readonly #given: Consume
  readonly #messages: Message<K, V>[] = []
  #next: number
  #bytes = 0
  #isFull = false

  constructor(codecs: MessageCodecs<K, V>, from: number, given: Consume) {
    this.#codecs = codecs
    this.#next = from
    this.#given = given
  }

  /** So many messages more, at most. */
  get room(): number {
    return this.#given.max - this.#messages.length
  }

  /** Takes the messages that a window shows; true if there is enough, or there are no more. */
  add(window: LogWindow, count: number): boolean {
    if (count === 0) return this.room === 0 ? (this.#isFull = true) : true
    const memory = { slab: window.slab, codecs: this.#codecs }
    return this.#add(window.rows, count, (at) => window.message(memory, this.#codecs, at))
  }

  /** Those of `rows`, all of them in a slab. */
  addAll(slab: Bytes, rows: Uint32Array, count: number): boolean {
    const memory = { slab, codecs: this.#codecs }
    return this.#add(rows, count, (at) => new StoredMessage(memory, rows, at, 0))
  }

  #add(rows: Uint32Array, count: number, messageAt: (at: number) => StoredMessage<K, V>): boolean {
    for (let at = 0; at < count * ROW_WORDS; at += ROW_WORDS) {
      const bytes = rows[at + 7]! - rows[at + 4]!
      if (this.#bytes + bytes > this.#given.maxBytes && this.#messages.length > 0) {
        this.#next = offsetOf(rows, at)
        return (this.#isFull = true)
      }
      this.#bytes += bytes
      const message = messageAt(at)
      this.#messages.push(message)
      this.#next = message.offset + 1
    }
    if (this.room === 0) return (this.#isFull = true)
    return count === 0
  }

  /** `reached`: up to there the log was looked at. */
  end(reached: number): Consumed<K, V> {
    return { messages: this.#messages, nextOffset: this.#isFull ? this.#next : Math.max(this.#next, reached) }
  }
}
