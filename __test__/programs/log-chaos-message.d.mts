/** What the programs of kill tests write; `log-chaos-message.mjs` says how. */
export interface Written {
  key: string | null
  value: string | null
  time: number
  headers: Record<string, string>
}
interface Read {
  offset: number
  key: unknown
  value: unknown
  time: number
  headers: Readonly<Record<string, unknown>>
}
export const KEYS: number
export const BEGIN: number
export function randomOf(seed: number): (below: number) => number
export function messageOf(name: string, n: number): Written
export function textOf(message: Omit<Read, 'offset'>): string
export function idOf(message: Read): string
