// The moving end of a log: who waits for more is woken by an append in this thread at once, by others through the event loop.
import { aborted, createError } from './errors.ts'
import type { Keeper } from './keeper.ts'
import type { EngineBinding } from './native.ts'

/** Whether the log is still open: shared by a log with all that reads from it. */
export interface Life {
  closed: boolean
}

type LiveBinding = Pick<EngineBinding, 'committed' | 'nextIndex' | 'wakeAt'>

export class Live {
  readonly #native: LiveBinding
  readonly #gated: boolean
  readonly #keeper: Keeper
  readonly #life: Life
  readonly #waiting = new Set<() => void>()
  /** Why nothing will come any more: a follower has met damage. */
  error: Error | undefined

  constructor(native: LiveBinding, gated: boolean, keeper: Keeper, life: Life) {
    this.#native = native
    this.#gated = gated
    this.#keeper = keeper
    this.#life = life
  }

  /** Index after the last record that readers may see. */
  get visible(): number {
    return this.#gated ? this.#native.committed() : this.#native.nextIndex()
  }

  /** Somebody waits. */
  get awaited(): boolean {
    return this.#waiting.size > 0
  }

  /**
   * Resolves when readers may see more than up to `seen`, or less, or the log is closed; rejects when `signal` aborts. `stop` is given the means to end
   * the wait from outside.
   */
  wait(seen: number, signal: AbortSignal | undefined, stop?: (wake: () => void) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = () => {
        if (!this.#waiting.delete(end)) return
        signal?.removeEventListener('abort', end)
        this.#keeper.release()
        if (signal?.aborted) reject(aborted(signal))
        else resolve()
      }
      this.#waiting.add(end)
      this.#keeper.hold()
      signal?.addEventListener('abort', end)
      stop?.(end)
      // An abort that came before tells nobody any more.
      if (signal?.aborted || this.#life.closed || this.error !== undefined || this.#native.wakeAt(seen, this.#gated) === 0) end()
    })
  }

  /** The log has moved, or ended. Each that waits looks for itself. */
  moved(): void {
    for (const wake of Array.from(this.#waiting)) wake()
  }

  /** Resolves to `nextIndex` once readers may see the record at `index`. */
  async waitFor(index: number, signal: AbortSignal | undefined): Promise<number> {
    for (;;) {
      if (signal?.aborted) throw aborted(signal)
      if (this.#life.closed) throw createError('VARVE_CLOSED', 'the log was closed before the record was there', {})
      if (this.error !== undefined) throw this.error
      const seen = this.visible
      if (seen > index) return this.#native.nextIndex()
      await this.wait(seen, signal)
    }
  }
}
