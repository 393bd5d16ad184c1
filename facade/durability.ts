// The ladder from 'buffered' to 'disk': what is done after a write, at the end of the turn, and when the disk answers.
// Timers are taken from the module, so that a test's fake ones do not hold a flush back.
import { clearImmediate, clearTimeout, setImmediate, setTimeout } from 'node:timers'
import type { BytesLike } from './codecs.ts'
import type { Keeper } from './keeper.ts'
import type { HandleBinding } from './native.ts'
import type { Levels } from './options.ts'
import { byteLength } from './pack.ts'

/** One promise for all that wait for the same level in one turn. It resolves to the durable index, as far as that is known. */
interface Shared {
  promise: Promise<number>
  resolve: (durableIndex: number) => void
  reject: (error: unknown) => void
}

export class Ladder {
  /** Whether a plain write has nothing more to do, since the end of this turn is awaited already. */
  armed = false
  readonly #native: HandleBinding
  readonly #levels: Levels
  readonly #keeper: Keeper
  readonly #onFailure: (error: Error) => void
  #turn: NodeJS.Immediate | undefined
  #timer: NodeJS.Timeout | undefined
  #unsynced = 0
  #failed = false
  // Asked for in this turn; handed on at its end.
  #os: Shared | undefined
  #disk: Shared | undefined
  // Asked of the disk: in the order of their tickets. `index` is what will be durable then.
  #waiting: { ticket: number; index: number; shared: Shared }[] = []

  constructor(native: HandleBinding, levels: Levels, keeper: Keeper, onFailure: (error: Error) => void) {
    this.#native = native
    this.#levels = levels
    this.#keeper = keeper
    this.#onFailure = onFailure
  }

  /**
   * What native code tells of syncs, and of a failure. `onFailure` is called once, and never inside the call that failed the engine. Without a `durableIndex` each
   * that waits gets that of its own call.
   */
  settle(durableIndex: number | undefined, ticket: number, error: Error | undefined): void {
    // What is durable is so, whatever has failed since.
    this.#settle(durableIndex, ticket)
    if (error !== undefined) this.#fail(error)
  }

  /** After a plain write: reaches the handle's level. To be called unless `armed`. */
  wrote(data: BytesLike | number): void {
    const { level } = this.#levels
    if (level === 'disk') this.#native.sync()
    else if (level === 'os') this.#native.flush()
    else this.#later(data)
  }

  /** After a change that is no record: it goes with what is handed over next. */
  changed(): void {
    this.#arm()
  }

  /** After an `…Async` write: resolves to `index` when `level` (default: the handle's own, at least 'os') is reached. */
  reach(level: 'os' | 'disk' | undefined, index: number, data: BytesLike | number): Promise<number> {
    this.#later(data)
    const disk = level === undefined ? this.#levels.level === 'disk' : level === 'disk'
    const shared = disk ? (this.#disk ??= share()) : (this.#os ??= share())
    return shared.promise.then(() => index)
  }

  /** Resolves to the durable index, when all before is durable. Throws if the handle is closed. */
  sync(): Promise<number> {
    this.#native.durableIndex()
    this.#arm()
    return (this.#disk ??= share()).promise.then((durableIndex) => durableIndex)
  }

  /** Before the handle is closed: ends the turn at once. */
  drain(): void {
    clearTimeout(this.#timer)
    if (this.#turn === undefined) return
    clearImmediate(this.#turn)
    this.#endTurn()
  }

  /** When the handle is closed: everything is durable, or never will be. */
  finish(error?: unknown): void {
    const waiting = this.#waiting
    this.#waiting = []
    if (waiting.length > 0) this.#keeper.release()
    for (const { index, shared } of waiting) {
      if (error === undefined) shared.resolve(index)
      else shared.reject(error)
    }
  }

  #later(data: BytesLike | number): void {
    const { everyMs, everyBytes } = this.#levels
    if (everyBytes > 0) {
      this.#unsynced += typeof data === 'number' ? data : byteLength(data)
      if (this.#unsynced >= everyBytes) this.#syncSoon()
    }
    if (everyMs > 0) this.#timer ??= setTimeout(() => this.#syncSoon(), everyMs).unref()
    this.#arm()
    this.armed = everyBytes === 0 && this.#levels.level === 'buffered'
  }

  #arm(): void {
    this.#turn ??= setImmediate(() => this.#endTurn())
  }

  /** Of the levels that sync in the background: nobody waits, so a failure is an 'error' event. */
  #syncSoon(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#unsynced = 0
    // A write that follows in this turn has to begin the next interval.
    this.armed = false
    try {
      this.#native.requestSync()
    } catch (error) {
      this.#fail(error)
    }
  }

  #endTurn(): void {
    const os = this.#os
    const disk = this.#disk
    this.#turn = this.#os = this.#disk = undefined
    this.armed = false
    try {
      if (disk !== undefined || this.#levels.everyTurn) {
        const ticket = this.#native.requestSync()
        if (disk !== undefined) this.#await(disk, ticket)
      } else {
        this.#native.flush()
      }
      os?.resolve(0)
    } catch (error) {
      os?.reject(error)
      disk?.reject(error)
      this.#fail(error)
    }
  }

  #await(shared: Shared, ticket: number): void {
    if (ticket === 0) {
      shared.resolve(this.#native.durableIndex())
      return
    }
    if (this.#waiting.length === 0) this.#keeper.hold()
    this.#waiting.push({ ticket, index: this.#native.nextIndex(), shared })
  }

  #settle(durableIndex: number | undefined, ticket: number): void {
    const waiting = this.#waiting
    let reached = 0
    while (reached < waiting.length && waiting[reached]!.ticket <= ticket) reached++
    if (reached === 0) return
    for (const { index, shared } of waiting.splice(0, reached)) shared.resolve(durableIndex ?? index)
    if (waiting.length === 0) this.#keeper.release()
  }

  #fail(error: unknown): void {
    this.finish(error)
    if (this.#failed) return
    this.#failed = true
    setImmediate(this.#onFailure, error as Error)
  }
}

function share(): Shared {
  let resolve!: Shared['resolve']
  let reject!: Shared['reject']
  const promise = new Promise<number>((yes, no) => {
    resolve = yes
    reject = no
  })
  // Those who wait hold promises derived from it, and hear of a failure there.
  promise.catch(() => {})
  return { promise, resolve, reject }
}
