// Reading ahead: records are read and checked on another thread while those before them are looked at.
import type { Bytes } from './codecs.ts'
import type { Life } from './live.ts'
import { PLACE_INTERRUPTED, PLACE_RETURNED, TABLE_INDEX, TABLE_SLOTS } from './native.ts'
import { newSlab } from './slab.ts'
import type { Window } from './window.ts'

/** Tables that one job fills, of up to 256 records each. */
const TABLES = 8
const STAGE_BYTES = 524_288
/** A stage that one large record has stretched is kept up to this. */
const KEPT_BYTES = 4 << 20

/** What one job has read. */
interface Stage {
  slab: Bytes
  words: Uint32Array
}

/** Records that have been checked, in memory that nothing else will use. */
export interface Load {
  slab: Bytes
  /** Where they are: start and end of the i-th at `[2i]` and `[2i + 1]`, less `base`. */
  table: Uint32Array
  base: number
  first: number
  count: number
}

export class Ahead {
  readonly #window: Window
  readonly #life: Life
  // Two, in turns: one is looked at while the other is being filled.
  #full: Stage = stage()
  #other: Stage = stage()
  #tables = 0
  #table = 0
  #job: Promise<number> | undefined

  constructor(window: Window, life: Life) {
    this.#window = window
    this.#life = life
  }

  /** Records have been read that were not looked at yet, or are being read. */
  get isAhead(): boolean {
    return this.#table < this.#tables || this.#job !== undefined
  }

  /** The next records; undefined at the end as it is now. */
  async load(): Promise<Load | undefined> {
    if (this.#table === this.#tables || this.#window.interrupted) {
      await this.#fill()
      if (this.#tables === 0) return undefined
      this.#begin()
    }
    const { slab, words } = this.#full
    const at = this.#table++
    const table = words.subarray(at * TABLE_SLOTS, (at + 1) * TABLE_SLOTS)
    const count = words[TABLES * TABLE_SLOTS + at]!
    const base = table[0]!
    const bytes = table[2 * count - 1]! - base
    // Memory of its own, and of its size: a record that is kept holds no more than these.
    const own = newSlab(bytes)
    own.set(slab.subarray(base, base + bytes))
    this.#window.place[PLACE_RETURNED] = 1
    return { slab: own, table, base, first: table[TABLE_INDEX + 1]! * 0x1_0000_0000 + table[TABLE_INDEX]!, count }
  }

  /** Drops what has been read ahead, and waits for what is being read. */
  async drop(): Promise<void> {
    const job = this.#job
    this.#job = undefined
    await job?.catch(() => {})
    this.#table = this.#tables = 0
  }

  async #fill(): Promise<void> {
    const window = this.#window
    if (window.interrupted) {
      await this.drop()
      window.place[PLACE_INTERRUPTED] = 0
      window.rewind()
    }
    let isOld = this.#job !== undefined
    const job = this.#job ?? this.#start()
    this.#job = undefined
    let tables = await job
    // One begun before this call may have met the end as it was then.
    while (tables < 0 || (tables === 0 && isOld)) {
      isOld = false
      if (tables < 0) this.#other.slab = newSlab(-tables)
      tables = await this.#start()
      this.#job = undefined
    }
    ;[this.#full, this.#other] = [this.#other, this.#full]
    this.#table = 0
    this.#tables = tables
  }

  /** Begins the next job, unless one is under way. */
  #begin(): void {
    if (this.#tables < 1 || this.#life.closed) return
    // Before the job only: one that asks for room again gets what it needs.
    if (this.#other.slab.length > KEPT_BYTES) this.#other.slab = newSlab(STAGE_BYTES)
    this.#start().catch(() => {})
  }

  #start(): Promise<number> {
    this.#window.refuseClosed()
    this.#job = this.#window.native.fillAhead(this.#other.slab, this.#other.words)
    return this.#job
  }
}

function stage(): Stage {
  return { slab: newSlab(STAGE_BYTES), words: new Uint32Array(new ArrayBuffer(4 * TABLES * (TABLE_SLOTS + 1))) }
}
