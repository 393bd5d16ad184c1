// What the soak says while it goes on, and at its end.

/** Progress of one part, on one line where there is a terminal. */
export class Progress {
  #said = 0

  constructor(part) {
    this.part = part
  }

  /** Says it, but not more than once a second, unless it is `important`. */
  say(text, important = false) {
    if (!important && Date.now() - this.#said < (process.stderr.isTTY ? 1000 : 15_000)) return
    this.#said = Date.now()
    console.error(`${this.part}: ${text}`)
  }
}

/** Lines of a table whose columns stand under each other. */
export function table(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => String(row[column]).length)))
  return rows.map((row) => row.map((cell, column) => String(cell).padEnd(widths[column])).join('  ').trimEnd())
}

/** The summary of all rows; true if none has failed. */
export function summarise(rows) {
  console.log('')
  for (const line of table([['part', 'what', 'rounds', 'failed', 'note'], ...rows.map(({ part, what, rounds, failures, note = '' }) => [part, what, rounds, failures.length, note])])) console.log(line)
  const failures = rows.flatMap(({ part, what, failures }) => failures.map((failure) => `${part}, ${what}: ${failure}`))
  for (const failure of failures.slice(0, 20)) console.log(`\n${failure}`)
  if (failures.length > 20) console.log(`\n… and ${failures.length - 20} more`)
  return failures.length === 0
}
