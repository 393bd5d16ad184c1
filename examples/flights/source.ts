// The data: 20,000 flights of the first three months of 2001, again and again, each pass 90 days later.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'

interface Flight {
  date: string
  delay: number
  distance: number
  origin: string
  destination: string
}

const DAY = 86_400_000

// The package exports code only; its data lies beside it.
const entry = createRequire(import.meta.url).resolve('vega-datasets')
const flights: Flight[] = JSON.parse(readFileSync(path.join(path.dirname(entry), '../data/flights-20k.json'), 'utf8'))

const days = new Set(flights.map((flight) => flight.date.slice(0, 10)))
const first = Math.min(...[...days].map(midnight))
const span = Math.max(...[...days].map(midnight)) - first + DAY

/** 'YYYY/MM/DD', as the data has it. */
function midnight(day: string): number {
  return Date.parse(`${day.replaceAll('/', '-')}T00:00Z`)
}

export const perPass: number = flights.length

/** The records of one pass, 0 the first: a flight each, as JSON. */
export function recordsOfPass(pass: number): string[] {
  const moved = new Map<string, string>()
  for (const day of days) {
    moved.set(day, new Date(midnight(day) + pass * span).toISOString().slice(0, 10).replaceAll('-', '/'))
  }
  return flights.map((flight) => JSON.stringify({ ...flight, date: moved.get(flight.date.slice(0, 10)) + flight.date.slice(10) }))
}
