// Numbers as people read them.
export const count = (value: number): string => value.toLocaleString('en')
export const seconds = (milliseconds: number): string => `${(milliseconds / 1000).toFixed(milliseconds < 100 ? 3 : 2)} s`
export const perRecord = (milliseconds: number, records: number): string => `${count(Math.round((milliseconds * 1e6) / records))} ns a record`

export function bytes(value: number): string {
  if (value < 1000) return `${value} B`
  return value < 1e6 ? `${(value / 1e3).toFixed(1)} kB` : `${(value / 1e6).toFixed(1)} MB`
}

/** Columns as wide as their widest cell, the first to the left, the others to the right. */
export function table(rows: readonly string[][]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  const cell = (text: string, column: number): string => (column === 0 ? text.padEnd(widths[0] ?? 0) : text.padStart(widths[column] ?? 0))
  return rows.map((row) => `  ${row.map(cell).join('   ')}`).join('\n')
}
