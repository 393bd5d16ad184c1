// The ladder from 'buffered' to 'disk': what is done after a write, at the end of the turn, and when the disk answers.
// Timers are taken from the module, so that a test's fake ones do not hold a flush back.
import { clearImmediate, clearTimeout, setImmediate, setTimeout } from 'node:timers'
import type { BytesLike } from './codecs.ts'
import type { WalBinding } from './native.ts'
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
  readonly #native: WalBinding
  readonly #levels: Levels
  readonly #onFailure: (error: Error) => void
  #turn: NodeJS.Immediate | undefined
  #timer: NodeJS.Timeout | undefined
  #unsynced = 0
  #failed = false
  // Asked for in this turn; handed on at its end.
  #os: Shared | undefined
  #disk: Shared | undefined
  // Asked of the disk: in the order of their targets.
  #waiting: { target: number; shared: Shared }[] = []

  /** `onFailure` is called once, when the engine fails, and never inside the call that failed it. */
  // The addon holds it weakly: it lives as long as the log that it serves.
  readonly #onSettled = (durableIndex: number, error: Error | undefined): void => {
    // What is durable is so, whatever has failed since.
    this.#settle(durableIndex)
    if (error !== undefined) this.#fail(error)
  }

  constructor(native: WalBinding, levels: Levels, onFailure: (error: Error) => void) {
    this.#native = native
    this.#levels = levels
    this.#onFailure = onFailure
    native.onSettled(this.#onSettled)
  }

  /** After a plain write: reaches the handle's level. To be called unless `armed`. */
  wrote(data: BytesLike | number): void {
    const { level } = this.#levels
    if (level === 'disk') this.#native.sync()
    else if (level === 'os') this.#native.flush()
    else this.#later(data)
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
    for (const { target, shared } of waiting) {
      if (error === undefined) shared.resolve(target)
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
        const target = this.#native.requestSync()
        if (disk !== undefined) this.#await(disk, target)
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

  #await(shared: Shared, target: number): void {
    const durableIndex = this.#native.durableIndex()
    if (durableIndex >= target) {
      shared.resolve(durableIndex)
      return
    }
    if (this.#waiting.length === 0) this.#native.keepAlive(true)
    this.#waiting.push({ target, shared })
  }

  #settle(durableIndex: number): void {
    const waiting = this.#waiting
    let reached = 0
    while (reached < waiting.length && waiting[reached]!.target <= durableIndex) reached++
    for (const { shared } of waiting.splice(0, reached)) shared.resolve(durableIndex)
    if (waiting.length === 0) this.#native.keepAlive(false)
  }

  #fail(error: unknown): void {
    if (this.#waiting.length > 0) {
      this.finish(error)
      this.#native.keepAlive(false)
    }
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
