import { createError } from './errors.ts'
import type { LogBinding } from './native.ts'
import { integer, readWriteOptions, type WriteOptions } from './options.ts'
import type { Ladder } from './durability.ts'

/** A consumer's place, by name, kept in the log itself: durable with the next sync. */
export interface Cursor extends Disposable {
  readonly name: string
  /** Where to go on: the offset after the last one saved. */
  readonly offset: number
  save(nextOffset: number): void
  saveAsync(nextOffset: number, options?: WriteOptions): Promise<void>
  /** Removes it from the log. */
  delete(): void
}

/** The cursor of a name; whoever has it by the same name, in whatever thread, moves the same one. */
export class LogCursor implements Cursor {
  readonly name: string
  readonly #native: LogBinding
  readonly #ladder: Ladder
  #disposed = false

  constructor(name: string, native: LogBinding, ladder: Ladder) {
    this.name = name
    this.#native = native
    this.#ladder = ladder
  }

  get offset(): number {
    this.#refuseDisposed()
    const found = this.#native.cursors().find(({ name }) => name === this.name)
    if (found === undefined) throw createError('VARVE_CLOSED', `cursor ${this.name} has been deleted`)
    return found.offset
  }

  save(nextOffset: number): void {
    this.#save(nextOffset)
    if (!this.#ladder.armed) this.#ladder.wrote(0)
  }

  async saveAsync(nextOffset: number, options?: WriteOptions): Promise<void> {
    const { durability } = readWriteOptions(options, ['durability'])
    this.#save(nextOffset)
    await this.#ladder.reach(durability, 0, 0)
  }

  delete(): void {
    this.#refuseDisposed()
    this.#native.deleteCursor(this.name)
    if (!this.#ladder.armed) this.#ladder.wrote(0)
  }

  /** Lets go of this object; the cursor stays in the log. */
  [Symbol.dispose](): void {
    this.#disposed = true
  }

  #save(nextOffset: number): void {
    this.#refuseDisposed()
    this.#native.saveCursor(this.name, integer('nextOffset', nextOffset))
  }

  #refuseDisposed(): void {
    if (this.#disposed) throw createError('VARVE_CLOSED', `cursor ${this.name} was disposed of`)
  }
}
