// The same flights as typed messages: key the origin, time the flight's own. Consumed live while they are written, looked up by key and by time,
// compacted to the last flight of each origin, and followed by cursor.
import { codecs, Log, type Message } from 'varve'
import { Progress } from './progress.ts'
import { bytes, count, perRecord, seconds } from './report.ts'
import { perPass, recordsOfPass } from './source.ts'

interface Flight {
  date: string
  delay: number
  distance: number
  origin: string
  destination: string
}

const BATCH = 64

/** Microseconds apart, so that each flight of a pass has a time of its own: the source tells minutes. */
const timeOf = (flight: Flight, pass: number, at: number): number => Date.parse(`${flight.date.replaceAll('/', '-').replace(' ', 'T')}Z`) + pass * 1000 + (at % 1000) / 1000

/** Bytes of the files that hold messages; what is allocated ahead is not counted. */
const used = (log: Log<string, Flight>): number => log.segments().reduce((sum, segment) => sum + segment.bytes, 0)

export interface MessagesReport {
  lines: [string, string][]
}

/** Writes, consumes, looks up and compacts; `expect` is told what should be so. */
export async function asMessages(dir: string, passes: number, expect: (right: boolean, what: string) => void): Promise<MessagesReport> {
  const total = passes * perPass
  await using flights = await Log.open<string, Flight>(dir, {
    key: codecs.utf8,
    value: codecs.json<Flight>(),
    indexes: { key: true, time: true },
    compression: 'lz4',
  })

  // A live consumer: it waits where the log ends, and is woken by what is appended.
  const last = new Map<string, number>()
  let consumed = 0
  let inOrder = true
  const consuming = (async () => {
    for await (const message of flights.subscribe({ from: 'start' })) {
      inOrder &&= message.offset === consumed
      last.set(message.key ?? '', message.offset)
      if (++consumed === total) break
    }
  })()

  const progress = new Progress(`the same as messages, in batches of ${BATCH}, consumed live`, passes)
  let elapsed = 0
  let raw = 0
  for (let pass = 0; pass < passes; pass++) {
    const records = recordsOfPass(pass)
    const messages = records.map((record, at) => {
      const value = JSON.parse(record) as Flight
      return { key: value.origin, value, time: timeOf(value, pass, at) }
    })
    raw += records.reduce((sum, record) => sum + record.length, 0)
    const begin = performance.now()
    for (let at = 0; at < messages.length; at += BATCH) flights.appendBatch(messages.slice(at, at + BATCH))
    elapsed += performance.now() - begin
    // The consumer's turn, and that of what is buffered.
    await new Promise(setImmediate)
    progress.show(pass + 1)
  }
  await flights.sync()
  await consuming
  progress.end(`${seconds(elapsed)}, ${perRecord(elapsed, total)}`)
  expect(consumed === total && inOrder && flights.durableOffset === total, `${count(consumed)} messages were consumed live, in order, and are durable`)

  const origins = [...last.keys()]
  const lookups = 100_000
  let begin = performance.now()
  let right = 0
  for (let i = 0; i < lookups; i++) {
    const origin = origins[i % origins.length] ?? ''
    if (flights.offsetByKey(origin) === last.get(origin)) right++
  }
  const byKey = performance.now() - begin
  expect(right === lookups, `by key: the last flight of each of ${count(origins.length)} origins`)

  const sample: Message<string, Flight>[] = []
  for (let offset = 0; offset < total; offset += Math.max(1, Math.floor(total / 1000))) {
    const message = flights.get(offset)
    if (message !== undefined) sample.push(message)
  }
  begin = performance.now()
  right = 0
  for (let i = 0; i < lookups; i++) {
    const { time, offset } = sample[i % sample.length] as Message<string, Flight>
    const found = flights.offsetByTime(time)
    if (found !== undefined && found.time >= time && found.offset <= offset) right++
  }
  const byTime = performance.now() - begin
  expect(right === lookups, 'by time: the first flight at that time or later')

  // A consumer's place is kept in the log, and is there after a reopen.
  using cursor = flights.cursor('report', { from: 'start' })
  cursor.save(total)

  const before = used(flights)
  begin = performance.now()
  const removed = await flights.compact()
  const compacting = performance.now() - begin
  const left = [...flights.messages()]
  expect(left.length === origins.length && left.every((message) => message.offset === last.get(message.key ?? '')), `compacted to the last flight of each origin: ${count(left.length)} messages`)
  expect(removed.entries === total - origins.length && flights.nextOffset === total, 'offsets stay what they were')
  const after = used(flights)

  return {
    lines: [
      [`append in batches of ${BATCH}, JSON, both indexes, lz4`, perRecord(elapsed, total)],
      ['stored', `${bytes(before)} for ${bytes(raw)} of JSON`],
      ['offset by key', perRecord(byKey, lookups)],
      ['offset by time', perRecord(byTime, lookups)],
      ['compaction', `${seconds(compacting)}: ${count(removed.entries)} messages, ${bytes(before)} → ${bytes(after)}`],
    ],
  }
}
