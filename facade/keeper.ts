// An idle log keeps no process alive; a pending promise or a waiting iterator does.
import type { HandleBinding } from './native.ts'

/** Counts what waits for a handle. */
export class Keeper {
  readonly #native: Pick<HandleBinding, 'keepAlive'>
  #waiting = 0

  constructor(native: Pick<HandleBinding, 'keepAlive'>) {
    this.#native = native
  }

  /** Something waits, until `release`. */
  hold(): void {
    if (this.#waiting++ === 0) this.#native.keepAlive(true)
  }

  release(): void {
    if (--this.#waiting === 0) this.#native.keepAlive(false)
  }
}
