// Retention, as far as it is a handle's: its objections, and its interval.
import type { Life } from './live.ts'
import type { SegmentInfo } from './reports.ts'

/** What the handle says of it. */
export interface Retaining {
  mayDelete: ((segment: SegmentInfo) => boolean) | undefined
  /** 0: never by itself. */
  retainEveryMs: number
}

interface Binding {
  readonly readOnly: boolean
  object(): void
  beginRetention(): void | Promise<void>
}

export class Retention {
  readonly #native: Binding
  readonly #mayDelete: Retaining['mayDelete']
  readonly #life: Life
  readonly #onError: (error: Error) => void
  readonly #timer: NodeJS.Timeout | undefined

  constructor(native: Binding, { mayDelete, retainEveryMs }: Retaining, life: Life, onError: (error: Error) => void) {
    this.#native = native
    this.#mayDelete = mayDelete
    this.#life = life
    this.#onError = onError
    if (native.readOnly) return
    if (mayDelete !== undefined) native.object()
    if (retainEveryMs > 0) this.#timer = Retention.#every(retainEveryMs, new WeakRef(this))
  }

  /** A timer holds what it calls: it knows the retention weakly, so that a log that is forgotten can be collected, and ends with it. */
  static #every(millis: number, known: WeakRef<Retention>): NodeJS.Timeout {
    const timer = setInterval(() => {
      const retention = known.deref()
      if (retention === undefined) clearInterval(timer)
      else void retention.#begin()
    }, millis)
    return timer.unref()
  }

  /** Answers a question: those before the first that is to be kept may go. One that throws keeps them. */
  answer(segments: SegmentInfo[], reply: (allowed: number) => void): void {
    let allowed = 0
    try {
      while (allowed < segments.length && this.#mayDelete!(segments[allowed]!)) allowed++
    } catch (error) {
      this.#onError(error as Error)
    }
    if (!this.#life.closed) reply(allowed)
  }

  end(): void {
    clearInterval(this.#timer)
  }

  async #begin(): Promise<void> {
    try {
      await this.#native.beginRetention()
    } catch (error) {
      if (!this.#life.closed) this.#onError(error as Error)
    }
  }
}
