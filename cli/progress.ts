// How far long work has come, in one line of a terminal that is drawn over and over.
import type { Progress } from 'varve'
import { duration, size } from './units.ts'

export interface ProgressSettings {
  label: string
  write: (text: string) => void
  /** Columns of the terminal, asked at each step: it may be resized. */
  columns: () => number
  /** Milliseconds, of a clock that never goes back. */
  now: () => number
}

const BAR = 30
/** No bar is shorter: it would say nothing. */
const SHORTEST = 8

export class ProgressBar {
  readonly #settings: ProgressSettings
  readonly #begun: number
  #shown = false

  constructor(settings: ProgressSettings) {
    this.#settings = settings
    this.#begun = settings.now()
  }

  show(progress: Progress): void {
    const { columns, label, now, write } = this.#settings
    // The last column stays free: some terminals wrap as soon as it is written to.
    write(`\r\x1b[K${progressLine(label, progress, now() - this.#begun, columns() - 1)}`)
    this.#shown = true
  }

  /** Takes the line away. */
  clear(): void {
    if (this.#shown) this.#settings.write('\r\x1b[K')
    this.#shown = false
  }
}

/** `checking [#####-----]  50%  512 MiB/1 GiB  800 MiB/s  1 s left`, with what fits into `width`. */
export function progressLine(label: string, { bytes, totalBytes }: Progress, millis: number, width: number): string {
  const share = totalBytes > 0 ? Math.min(1, bytes / totalBytes) : 0
  const rate = millis > 0 ? bytes / (millis / 1000) : 0
  // The percentage is rounded down: 100% is the end.
  const parts = [`${Math.floor(share * 100)}%`.padStart(4), `${size(Math.min(bytes, totalBytes))}/${size(totalBytes)}`]
  if (rate > 0) parts.push(`${size(rate)}/s`)
  if (rate > 0 && bytes < totalBytes) parts.push(`${duration((totalBytes - bytes) / rate)} left`)
  while (parts.length > 1 && label.length + 1 + parts.join('  ').length > width) parts.pop()
  const text = parts.join('  ')
  const room = Math.min(BAR, width - label.length - text.length - 4)
  if (room < SHORTEST) return `${label} ${text}`.slice(0, Math.max(0, width))
  const done = Math.floor(share * room)
  return `${label} [${'#'.repeat(done)}${'-'.repeat(room - done)}] ${text}`
}
