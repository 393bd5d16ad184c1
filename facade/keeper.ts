// An idle log keeps no process alive; a pending promise or a waiting iterator does.
import type { EngineBinding } from './native.ts'

/** Counts what waits for a handle. */
export class Keeper {
  readonly #native: Pick<EngineBinding, 'keepAlive'>
  #waiting = 0

  constructor(native: Pick<EngineBinding, 'keepAlive'>) {
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
