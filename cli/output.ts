// Standard output: gathered lines, back-pressure, and a reader that goes away early.
import type { Writable } from 'node:stream'

/** So much is gathered before it is written, in characters; less when the event loop turns. */
const ENOUGH = 65_536

export class Output {
  readonly #stream: Writable
  readonly #onEnd: (error: NodeJS.ErrnoException) => void
  #gathered = ''
  #scheduled: NodeJS.Immediate | undefined
  /** Resolves when all that was written has been taken. */
  #written: Promise<void> = Promise.resolve()
  #ended = false

  /** `onEnd`: no more can be written. EPIPE: nobody reads any more, as behind `| head`, which is no failure. */
  constructor(stream: Writable, onEnd: (error: NodeJS.ErrnoException) => void) {
    this.#stream = stream
    this.#onEnd = onEnd
    stream.on('error', (error) => this.#end(error))
  }

  /** Writes a line soon; resolves when there is room for more. */
  line(text: string): Promise<void> | void {
    this.#gathered += `${text}\n`
    if (this.#gathered.length >= ENOUGH) return this.flush()
    this.#scheduled ??= setImmediate(() => void this.flush())
  }

  /** Writes what was gathered; resolves when it was taken. */
  flush(): Promise<void> {
    clearImmediate(this.#scheduled)
    this.#scheduled = undefined
    const text = this.#gathered
    this.#gathered = ''
    if (text === '' || this.#ended) return this.#written
    return (this.#written = new Promise((resolve) => {
      this.#stream.write(text, (error) => {
        if (error) this.#end(error)
        resolve()
      })
    }))
  }

  #end(error: Error): void {
    if (this.#ended) return
    this.#ended = true
    this.#onEnd(error)
  }
}
