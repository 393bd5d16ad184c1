// Asynchronous iteration, of whatever is read in pieces: it ends with the log, or waits at the end for more.
import { aborted } from './errors.ts'
import type { Life, Live } from './live.ts'

/** Where what is iterated over comes from. */
export interface Source<R> {
  /** The next one, if it is at hand. */
  take(): R | undefined
  /** Brings more; false at the end as it is now, of which `visible` can be seen. `ended`: nothing more is wanted. */
  load(visible: number, ended: () => boolean): Promise<boolean>
  /** What can be seen has changed otherwise than by growing. */
  readonly interrupted: boolean
  /** Throws if the handle was closed. */
  refuseClosed(): void
  /** Lets go of everything. */
  close(): Promise<void>
}

type Result<R> = IteratorResult<R, undefined>

export class AsyncScan<R> implements AsyncIterableIterator<R> {
  readonly #source: Source<R>
  readonly #live: Live
  readonly #life: Life
  readonly #signal: AbortSignal | undefined
  /** It waits at the end. */
  readonly #waits: boolean
  readonly #ended = (): boolean => this.#done
  #done = false
  #wake: (() => void) | undefined
  /** Calls of `next` that came before the one before them was answered. */
  #last: Promise<unknown> | undefined

  constructor(source: Source<R>, live: Live, life: Life, signal: AbortSignal | undefined, waits: boolean) {
    this.#source = source
    this.#live = live
    this.#life = life
    this.#signal = signal
    this.#waits = waits
  }

  next(): Promise<Result<R>> {
    if (this.#last !== undefined) return this.#queue()
    try {
      const result = this.#take()
      if (result !== undefined) return Promise.resolve(result)
    } catch (error) {
      return this.#fail(error)
    }
    return this.#queue()
  }

  /** The next one, if it is at hand and nobody else waits for it. */
  take(): R | undefined {
    if (this.#last !== undefined || this.#done || this.#life.closed || this.#signal?.aborted) return undefined
    return this.#source.take()
  }

  async return(): Promise<Result<R>> {
    if (!this.#done) {
      this.#done = true
      this.#wake?.()
      await this.#source.close()
    }
    return { value: undefined, done: true }
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return()
  }

  /** After those that were asked before. */
  #queue(): Promise<Result<R>> {
    const before = this.#last
    const result = before === undefined ? this.#step() : before.then(() => this.#step(), () => this.#step())
    this.#last = result
    const settled = () => {
      if (this.#last === result) this.#last = undefined
    }
    result.then(settled, settled)
    return result
  }

  async #fail(error: unknown): Promise<never> {
    await this.return()
    throw error
  }

  async #step(): Promise<Result<R>> {
    const source = this.#source
    try {
      for (;;) {
        const result = this.#take()
        if (result !== undefined) return result
        // A tail ends with its log; a scan that is cut short by a close has failed.
        if (this.#life.closed && this.#waits) {
          await this.return()
          continue
        }
        source.refuseClosed()
        const seen = this.#live.visible
        if (await source.load(seen, this.#ended)) continue
        // `return` was called meanwhile.
        if (this.#done) continue
        if (!this.#waits) {
          await this.return()
          continue
        }
        if (this.#live.error !== undefined) throw this.#live.error
        const moved = this.#live.wait(seen, this.#signal, (wake) => (this.#wake = wake))
        // Looked at when it is known that every change from here on wakes: a cut that left the log as long as it was is not missed.
        if (source.interrupted) this.#wake?.()
        await moved
        this.#wake = undefined
      }
    } catch (error) {
      // What a `return` or a close overtakes has ended, not failed.
      if (this.#done || (this.#life.closed && this.#waits && !this.#signal?.aborted)) return this.return()
      return this.#fail(error)
    }
  }

  #take(): Result<R> | undefined {
    if (this.#signal?.aborted && !this.#done) throw aborted(this.#signal)
    if (this.#done) return { value: undefined, done: true }
    if (this.#life.closed) return undefined
    const value = this.#source.take()
    return value === undefined ? undefined : { value, done: false }
  }
}
