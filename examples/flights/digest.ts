// SHA-256 of records in their order, each followed by a line feed, whether they come as strings or as bytes.
import { createHash } from 'node:crypto'
import { type Wal } from 'varve'

const LINE_FEED = 10

export class Digest {
  readonly #hash = createHash('sha256')
  readonly #gathered = Buffer.alloc(1 << 20)
  #length = 0
  records = 0

  addStrings(records: readonly string[]): void {
    this.#flush()
    this.#hash.update(`${records.join('\n')}\n`)
    this.records += records.length
  }

  addBytes(buffer: Buffer, start: number, end: number): void {
    if (this.#length + end - start + 1 > this.#gathered.length) this.#flush()
    this.#length += buffer.copy(this.#gathered, this.#length, start, end)
    this.#gathered[this.#length++] = LINE_FEED
    this.records++
  }

  /** Of all added so far; more may follow. */
  hex(): string {
    this.#flush()
    return this.#hash.copy().digest('hex')
  }

  #flush(): void {
    this.#hash.update(this.#gathered.subarray(0, this.#length))
    this.#length = 0
  }
}

/** Of everything that a log holds, read through its reader, which verifies every checksum. */
export function digestOfLog(log: Wal): Digest {
  const digest = new Digest()
  using reader = log.reader()
  while (reader.advance()) digest.addBytes(reader.buffer, reader.start, reader.end)
  return digest
}
