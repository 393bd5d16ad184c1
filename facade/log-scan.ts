// The messages of `messagesAsync` and `subscribe`: read on this thread, or ahead on another.
import type { Source } from './async-scan.ts'
import type { Bytes } from './codecs.ts'
import type { Life } from './live.ts'
import { type LogWindow, ROWS } from './log-window.ts'
import { type Memory, type Message, type MessageCodecs, offsetOf, StoredMessage } from './message.ts'
import { ROW_WORDS } from './native.ts'
import { newSlab } from './slab.ts'
import { BEHIND } from './tail.ts'

/** Messages that one job reads, and room for their bytes. */
const STAGE_ROWS = 8 * ROWS
const STAGE_BYTES = 524_288
/** A stage that one large message has stretched is kept up to this. */
const KEPT_BYTES = 4 << 20

const NO_ROWS = new Uint32Array(ROW_WORDS)

/** What one job has read. */
interface Stage {
  slab: Bytes
  readonly rows: Uint32Array
}

export class MessageSource<K, V> implements Source<Message<K, V>> {
  readonly #window: LogWindow
  readonly #codecs: MessageCodecs<K, V>
  readonly #life: Life
  /** It waits at the end. */
  readonly #waits: boolean
  #memory: Memory<K, V> | undefined
  #rows: Uint32Array = NO_ROWS
  #base = 0
  #at = 0
  #end = 0
  // Two, in turns: one is looked at while the other is being filled.
  #full: Stage | undefined
  #other: Stage | undefined
  /** Of the full one: messages, and those that were handed on. */
  #count = 0
  #used = 0
  #job: Promise<number> | undefined

  constructor(window: LogWindow, codecs: MessageCodecs<K, V>, life: Life, waits: boolean) {
    this.#window = window
    this.#codecs = codecs
    this.#life = life
    this.#waits = waits
  }

  get interrupted(): boolean {
    return this.#window.interrupted
  }

  refuseClosed(): void {
    this.#window.refuseClosed()
  }

  async close(): Promise<void> {
    this.#at = this.#end = this.#used = this.#count = 0
    const job = this.#job
    this.#job = undefined
    await job?.catch(() => {})
    this.#window.native.close()
  }

  take(): Message<K, V> | undefined {
    if (this.#at === this.#end || this.#window.interrupted) return undefined
    const at = this.#at
    this.#at = at + ROW_WORDS
    return new StoredMessage(this.#memory!, this.#rows, at, this.#base)
  }

  async load(visible: number, ended: () => boolean): Promise<boolean> {
    const window = this.#window
    if (window.interrupted) await this.#lookAgain()
    this.#at = this.#end = 0
    if (this.#used < this.#count || this.#job !== undefined || !this.#waits || visible - window.native.offset() > BEHIND) {
      if (this.#used < this.#count || (await this.#fill(ended))) {
        if (!ended()) this.#hand()
        return true
      }
      if (!this.#waits) return false
    }
    const count = window.renew()
    if (count === 0) this.#rest()
    else this.#show(window.slab, window.rows, window.base, 0, count)
    return count > 0
  }

  /** Nothing is there to be read: it may wait for long, and holds no memory meanwhile. */
  #rest(): void {
    this.#full = this.#other = this.#memory = undefined
    this.#rows = NO_ROWS
    this.#used = this.#count = 0
  }

  /** Messages were removed from the start of the log: what was read ahead is read again. VARVE_OUT_OF_RANGE if the next one is among them. */
  async #lookAgain(): Promise<void> {
    let next = this.#at < this.#end ? offsetOf(this.#rows, this.#at) : undefined
    if (next === undefined && this.#used < this.#count) next = offsetOf(this.#full!.rows, this.#used * ROW_WORDS)
    this.#at = this.#end = this.#used = this.#count = 0
    const job = this.#job
    this.#job = undefined
    const read = (await job?.catch(() => 0)) ?? 0
    if (next === undefined && read > 0) next = offsetOf(this.#other!.rows, 0)
    this.#window.refuseClosed()
    this.#window.rewind(next)
  }

  /** Waits for what is being read ahead, or has it read; false at the end. */
  async #fill(ended: () => boolean): Promise<boolean> {
    let isOld = this.#job !== undefined
    let count = await this.#result()
    // One begun before this call may have met the end as it was then.
    while ((count < 0 || (count === 0 && isOld)) && !ended()) {
      isOld = false
      if (count < 0) this.#other!.slab = newSlab(-count)
      count = await this.#result()
    }
    if (ended()) return true
    ;[this.#full, this.#other] = [this.#other, this.#full]
    this.#used = 0
    this.#count = Math.max(count, 0)
    if (count > 0 && !this.#life.closed) {
      if (this.#other !== undefined && this.#other.slab.length > KEPT_BYTES) this.#other.slab = newSlab(STAGE_BYTES)
      this.#start().catch(() => {})
    }
    return count > 0
  }

  async #result(): Promise<number> {
    try {
      return await (this.#job ?? this.#start())
    } finally {
      this.#job = undefined
    }
  }

  #start(): Promise<number> {
    this.#window.refuseClosed()
    this.#other ??= { slab: newSlab(STAGE_BYTES), rows: new Uint32Array(STAGE_ROWS * ROW_WORDS) }
    return (this.#job = this.#window.native.fillAhead(this.#other.slab, this.#other.rows))
  }

  /** Some of what was read ahead, in memory of its own and of its size: a message that is kept holds no more than these. */
  #hand(): void {
    const { slab, rows } = this.#full!
    const count = Math.min(ROWS, this.#count - this.#used)
    const first = this.#used * ROW_WORDS
    this.#used += count
    const base = rows[first + 4]!
    const end = rows[first + count * ROW_WORDS - 3]!
    const own = newSlab(end - base)
    own.set(slab.subarray(base, end))
    this.#show(own, rows, base, first, count)
  }

  #show(slab: Bytes, rows: Uint32Array, base: number, at: number, count: number): void {
    this.#memory = { slab, codecs: this.#codecs }
    this.#rows = rows
    this.#base = base
    this.#at = at
    this.#end = at + count * ROW_WORDS
  }
}
