// How far a step has got: a bar that draws over itself on a terminal, one plain line a step elsewhere.
const WIDTH = 28

export class Progress {
  readonly #title: string
  readonly #total: number
  #drawn = 0

  constructor(title: string, total: number) {
    this.#title = title
    this.#total = total
    if (process.stdout.isTTY) this.show(0)
  }

  show(done: number): void {
    const now = performance.now()
    if (!process.stdout.isTTY || (done > 0 && now - this.#drawn < 50)) return
    this.#drawn = now
    const full = Math.round((done / this.#total) * WIDTH)
    process.stdout.write(`\r${this.#title.padEnd(44)} ${'█'.repeat(full)}${'░'.repeat(WIDTH - full)} ${Math.floor((done / this.#total) * 100)} %\x1b[K`)
  }

  end(result: string): void {
    process.stdout.write(`${process.stdout.isTTY ? '\r\x1b[K' : ''}${this.#title.padEnd(44)} ${result}\n`)
  }
}
