// Retention, as far as it is a handle's: its objections, and its interval.
import type { Life } from './live.ts'
import type { WalBinding } from './native.ts'
import type { HandleOptions } from './options.ts'
import type { SegmentInfo } from './reports.ts'

export class Retention {
  readonly #native: WalBinding
  readonly #mayDelete: HandleOptions['mayDelete']
  readonly #life: Life
  readonly #onError: (error: Error) => void
  readonly #timer: NodeJS.Timeout | undefined

  constructor(native: WalBinding, { mayDelete, retainEveryMs }: HandleOptions, life: Life, onError: (error: Error) => void) {
    this.#native = native
    this.#mayDelete = mayDelete
    this.#life = life
    this.#onError = onError
    if (native.readOnly) return
    if (mayDelete !== undefined) native.object()
    if (retainEveryMs > 0) this.#timer = setInterval(() => this.#begin(), retainEveryMs).unref()
  }

  /** Answers a question: those before the first that is to be kept may go. One that throws keeps them. */
  answer(number: number, segments: SegmentInfo[]): void {
    let allowed = 0
    try {
      while (allowed < segments.length && this.#mayDelete!(segments[allowed]!)) allowed++
    } catch (error) {
      this.#onError(error as Error)
    }
    if (!this.#life.closed) this.#native.answer(number, allowed)
  }

  end(): void {
    clearInterval(this.#timer)
  }

  #begin(): void {
    try {
      this.#native.beginRetention()
    } catch (error) {
      this.#onError(error as Error)
    }
  }
}
