// Several streams in one, in the order of each: what is there first comes first. Timers are taken from the module, so that a test's fake ones do not hold it up.
import { setImmediate } from 'node:timers'
import { aborted } from './errors.ts'

/** Answers that are taken before those that need the event loop have their turn. */
const TURN = 256

type Result<M> = IteratorResult<M, undefined>

/** One of the streams. */
export interface Stream<M> extends AsyncIterator<M, undefined> {
  /** The next one, if it is at hand. */
  take(): M | undefined
}

/** What a stream has answered; or that it may have something at hand. */
type Step<M> = { stream: number; result?: Result<M>; error?: { thrown: unknown } }

export class Merge<M> implements AsyncIterableIterator<M> {
  readonly #streams: readonly Stream<M>[]
  readonly #signal: AbortSignal | undefined
  /** What is to be looked at, in turn: at most one a stream. */
  readonly #ready: Step<M>[] = []
  #left: number
  #begun = false
  #taken = 0
  #done = false
  #wake: (() => void) | undefined
  /** Calls of `next` that came before the one before them was answered. */
  #last: Promise<unknown> | undefined

  constructor(streams: readonly Stream<M>[], signal: AbortSignal | undefined) {
    this.#streams = streams
    this.#signal = signal
    this.#left = streams.length
  }

  next(): Promise<Result<M>> {
    const before = this.#last
    if (before === undefined && this.#taken < TURN && !this.#done && !this.#signal?.aborted) {
      const value = this.#atHand()
      if (value !== undefined) return Promise.resolve({ value, done: false })
    }
    const result = before === undefined ? this.#step() : before.then(() => this.#step(), () => this.#step())
    this.#last = result
    const settled = () => {
      if (this.#last === result) this.#last = undefined
    }
    result.then(settled, settled)
    return result
  }

  async return(): Promise<Result<M>> {
    if (!this.#done) {
      this.#done = true
      this.#ready.length = 0
      this.#wake?.()
      await Promise.all(this.#streams.map((stream) => stream.return?.()))
    }
    return { value: undefined, done: true }
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return()
  }

  async #step(): Promise<Result<M>> {
    try {
      for (;;) {
        if (this.#done || this.#left === 0) return await this.return()
        if (this.#signal?.aborted) throw aborted(this.#signal)
        if (!this.#begun) {
          this.#begun = true
          this.#streams.forEach((_, stream) => this.#ask(stream))
        }
        if (this.#taken >= TURN) {
          this.#taken = 0
          await new Promise<void>((wake) => setImmediate(wake))
          continue
        }
        const value = this.#atHand()
        if (value !== undefined) return { value, done: false }
        const step = this.#ready.shift()
        if (step === undefined) {
          await new Promise<void>((wake) => (this.#wake = wake))
          this.#wake = undefined
        } else if (step.error !== undefined) {
          throw step.error.thrown
        } else {
          this.#left--
        }
      }
    } catch (error) {
      await this.return()
      throw error
    }
  }

  /** The next message, unless nothing is there, or an end or an error comes first. */
  #atHand(): M | undefined {
    for (;;) {
      const [step] = this.#ready
      if (step === undefined || step.error !== undefined || step.result?.done === true) return undefined
      this.#ready.shift()
      const value = step.result === undefined ? this.#streams[step.stream]!.take() : step.result.value
      if (value === undefined) {
        this.#ask(step.stream)
        continue
      }
      this.#taken++
      this.#ready.push({ stream: step.stream })
      return value
    }
  }

  #ask(stream: number): void {
    this.#streams[stream]!.next().then((result) => this.#arrived({ stream, result }), (thrown: unknown) => this.#arrived({ stream, error: { thrown } }))
  }

  #arrived(step: Step<M>): void {
    if (this.#done) return
    this.#ready.push(step)
    this.#wake?.()
  }
}
