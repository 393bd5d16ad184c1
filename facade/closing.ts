// The end of a handle.
import type { Ladder } from './durability.ts'
import type { Life } from './live.ts'
import type { HandleBinding } from './native.ts'

/** A part of a whole, and the means to close it with that. */
export interface Part<L> {
  log: L
  closing: Closing
}

export class Closing {
  readonly #native: Pick<HandleBinding, 'close' | 'closeSync'>
  readonly #life: Life
  readonly #ladder: Ladder
  readonly #end: () => void
  #closing: Promise<void> | undefined

  /** `end`: what else the handle has to end before its binding is closed. */
  constructor(native: Pick<HandleBinding, 'close' | 'closeSync'>, life: Life, ladder: Ladder, end: () => void) {
    this.#native = native
    this.#life = life
    this.#ladder = ladder
    this.#end = end
  }

  close(): Promise<void> {
    // Whoever closes again waits for the end, and hears nothing of a failure that the first was told.
    if (this.#closing !== undefined) return this.#closing.catch(() => {})
    return (this.#closing = this.#close())
  }

  closeSync(): void {
    if (this.#life.closed) return
    this.#closing = Promise.resolve()
    this.begin()
    try {
      this.#native.closeSync()
    } catch (error) {
      this.#ladder.finish(error)
      throw error
    }
    this.#ladder.finish()
  }

  async #close(): Promise<void> {
    this.begin()
    try {
      await this.#native.close()
    } catch (error) {
      this.#ladder.finish(error)
      throw error
    }
    this.#ladder.finish()
  }

  /** The first half of a close: what is buffered is handed over, and nothing more is taken. For a part of a whole, which is closed between the halves. */
  begin(): void {
    this.#life.closed = true
    this.#ladder.drain()
    this.#end()
  }

  /** The second half: everything is durable, or never will be. */
  finish(error: unknown): void {
    this.#native.closeSync()
    this.#ladder.finish(error)
  }
}
