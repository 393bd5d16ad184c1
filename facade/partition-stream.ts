// One partition in a stream of several. Where another process writes, the partition may still be to come.
import type { AsyncScan } from './async-scan.ts'
import type { Bytes } from './codecs.ts'
import type { Message } from './message.ts'
import { checkSignal } from './options.ts'

export type PartitionMessage<K = Bytes, V = Bytes> = Message<K, V> & { readonly partition: number }

/** What a stream needs of its partition. */
export interface PartitionSource<K, V> {
  /** Its messages from where they are wanted; undefined as long as it is not there. */
  open(): AsyncScan<Message<K, V>> | undefined
  /** Resolves when there is reason to look again; `stop` is given the means to end the wait from outside. */
  wait(stop: (wake: () => void) => void): Promise<void>
  closed(): boolean
}

export class PartitionStream<K, V> implements AsyncIterator<PartitionMessage<K, V>, undefined> {
  readonly #partition: number
  readonly #source: PartitionSource<K, V>
  readonly #signal: AbortSignal | undefined
  #messages: AsyncScan<Message<K, V>> | undefined
  #done = false
  #wake: (() => void) | undefined

  constructor(partition: number, source: PartitionSource<K, V>, signal: AbortSignal | undefined) {
    this.#partition = partition
    this.#source = source
    this.#signal = signal
    this.#messages = source.open()
  }

  /** The next one, if it is at hand. */
  take(): PartitionMessage<K, V> | undefined {
    const message = this.#messages?.take()
    return message && this.#tagged(message)
  }

  async next(): Promise<IteratorResult<PartitionMessage<K, V>, undefined>> {
    while (this.#messages === undefined) {
      checkSignal(this.#signal)
      if (this.#done || this.#source.closed()) return { value: undefined, done: true }
      this.#messages = this.#source.open()
      if (this.#messages === undefined) await this.#source.wait((wake) => (this.#wake = wake))
    }
    const result = await this.#messages.next()
    if (result.done === true) return { value: undefined, done: true }
    return { value: this.#tagged(result.value), done: false }
  }

  async return(): Promise<IteratorResult<PartitionMessage<K, V>, undefined>> {
    this.#done = true
    this.#wake?.()
    await this.#messages?.return?.()
    return { value: undefined, done: true }
  }

  #tagged(message: Message<K, V>): PartitionMessage<K, V> {
    const tagged = message as Message<K, V> & { partition: number }
    tagged.partition = this.#partition
    return tagged
  }
}
