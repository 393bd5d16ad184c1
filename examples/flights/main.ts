// The main job: a million flights written, a writer killed half way, its log opened again, and everything read back and compared; then the same
// flights as typed messages in a Log.
//   npm start -- [--passes 50] [--keep]
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { Wal } from 'varve'
import { HandWrittenLog } from './by-hand.ts'
import { Digest, digestOfLog } from './digest.ts'
import { writeAndKill } from './kill.ts'
import { asMessages } from './messages.ts'
import { Progress } from './progress.ts'
import { bytes, count, perRecord, seconds, table } from './report.ts'
import { perPass, recordsOfPass } from './source.ts'

const { values: flags } = parseArgs({ options: { passes: { type: 'string', default: '50' }, keep: { type: 'boolean', default: false } } })
const passes = Number(flags.passes)
if (!Number.isInteger(passes) || passes < 1) {
  console.error('--passes is a whole number, 1 or more')
  process.exit(2)
}
const total = passes * perPass
const home = mkdtempSync(path.join(tmpdir(), 'varve-flights-'))
const clear = (): void => rmSync(home, { recursive: true, force: true })
process.once('SIGINT', () => {
  clear()
  process.exit(130)
})

interface Timed {
  append: number
  sync: number
  read: number
}

/** Appends all records by `append`, timing nothing but the appending; `handOver` ends it, its time included. */
async function appendAll(title: string, append: (record: string) => void, handOver: () => unknown): Promise<number> {
  const progress = new Progress(title, passes)
  let elapsed = 0
  for (let pass = 0; pass < passes; pass++) {
    const records = recordsOfPass(pass)
    const begin = performance.now()
    for (const record of records) append(record)
    if (pass === passes - 1) await handOver()
    elapsed += performance.now() - begin
    progress.show(pass + 1)
  }
  progress.end(`${seconds(elapsed)}, ${perRecord(elapsed, total)}`)
  return elapsed
}

async function timed(work: () => unknown): Promise<number> {
  const begin = performance.now()
  await work()
  return performance.now() - begin
}

function expect(right: boolean, what: string): void {
  console.log(`  ${right ? '✓' : '✗'} ${what}`)
  if (!right) process.exitCode = 1
}

function digestOfSource(): { digest: string; size: number } {
  const progress = new Progress('preparing: SHA-256 of the source', passes)
  const digest = new Digest()
  let size = 0
  for (let pass = 0; pass < passes; pass++) {
    const records = recordsOfPass(pass)
    digest.addStrings(records)
    size += records.reduce((sum, record) => sum + Buffer.byteLength(record), 0)
    progress.show(pass + 1)
  }
  progress.end(`${count(total)} records, ${bytes(size)} of JSON`)
  return { digest: digest.hex(), size }
}

async function writtenWithVarve(dir: string, digest: string): Promise<Timed> {
  await using log = await Wal.open(dir)
  // At the end of the event-loop turn the system has all that was appended in it.
  const append = await appendAll('varve: append, one at a time', (record) => log.append(record), () => new Promise(setImmediate))
  const sync = await timed(() => log.sync())
  let records = 0
  const read = await timed(() => {
    using reader = log.reader()
    while (reader.advance()) records++
  })
  expect(records === total && log.durableIndex === total, `${count(records)} records are durable, and read back with every checksum verified`)
  expect(digestOfLog(log).hex() === digest, 'SHA-256 of what was read is that of the source')
  return { append, sync, read }
}

async function writtenByHand(title: string, file: string, gather: boolean): Promise<Timed> {
  const log = new HandWrittenLog(file, gather)
  try {
    const append = await appendAll(title, (record) => log.append(record), () => log.flush())
    const sync = await timed(() => log.sync())
    let [records, size] = [0, 0]
    const read = await timed(() => { records = log.read((_buffer, start, end) => { size += end - start }) })
    if (records !== total || size === 0) throw new Error(`by hand: ${records} records came back of ${total}`)
    return { append, sync, read }
  } finally {
    log.close()
  }
}

/** The digest of the first `records` of the source, as far as whole passes and a part of the next go. */
function digestOfFirst(records: number): string {
  const digest = new Digest()
  for (let pass = 0; digest.records < records; pass++) digest.addStrings(recordsOfPass(pass).slice(0, records - digest.records))
  return digest.hex()
}

async function killedAndRecovered(dir: string, digest: string): Promise<void> {
  // One more than half: between two passes it prepares records, and would not be caught in the act.
  const half = total / 2 + 1
  const progress = new Progress('a second process writes, SIGKILL half way', half)
  const acknowledged = await writeAndKill(dir, passes, half, (records) => progress.show(Math.min(records, half)))
  progress.end(`killed; acknowledged: ${count(acknowledged.os)} at 'os', ${count(acknowledged.disk)} at 'disk'`)

  const opened = performance.now()
  await using log = await Wal.open(dir)
  const elapsed = performance.now() - opened
  const { torn, gaps, micros } = log.stats().recovery
  const cut = torn.reduce((sum, one) => sum + one.bytes, 0)
  console.log(`opened again in ${elapsed.toFixed(1)} ms, of which recovery took ${(micros / 1000).toFixed(1)} ms`)
  console.log(cut === 0
    ? `  recovery found a clean end: ${count(log.nextIndex)} records, nothing torn`
    : `  recovery kept ${count(log.nextIndex)} records, and cut a torn tail of ${bytes(cut)}, which it kept aside`)
  expect(log.firstIndex === 0 && gaps.length === 0, 'there is no hole')
  expect(log.nextIndex >= acknowledged.os, `every record acknowledged at 'os' is there (${count(acknowledged.os)})`)
  expect(log.nextIndex >= acknowledged.disk, `every record acknowledged at 'disk' is there (${count(acknowledged.disk)})`)
  expect(digestOfLog(log).hex() === digestOfFirst(log.nextIndex), 'what is there is, record for record, the beginning of the source')

  const rest = new Progress('carrying on where it ends', total)
  const from = log.nextIndex
  for (let pass = Math.floor(from / perPass); pass < passes; pass++) {
    for (const record of recordsOfPass(pass).slice(Math.max(0, from - pass * perPass))) log.append(record)
    rest.show(log.nextIndex)
  }
  await log.sync()
  rest.end(`${count(log.nextIndex - from)} more records`)
  expect(log.durableIndex === total && digestOfLog(log).hex() === digest, `all ${count(total)} are durable, and their SHA-256 is that of the source`)
}

try {
  const source = digestOfSource()
  const varveDir = path.join(home, 'flights')
  const varve = await writtenWithVarve(varveDir, source.digest)
  const gathered = await writtenByHand('by hand with fs: 256 KiB a write', path.join(home, 'gathered.log'), true)
  const single = await writtenByHand('by hand with fs: one write a record', path.join(home, 'single.log'), false)
  await killedAndRecovered(path.join(home, 'killed'), source.digest)
  const messages = await asMessages(path.join(home, 'messages'), passes, expect)

  const line = (name: string, measure: keyof Timed): string[] => [
    name, ...[varve, gathered, single].map((one) => `${seconds(one[measure])}  ${perRecord(one[measure], total)}`),
  ]
  const versus = (other: Timed): string => `${(other.append / varve.append).toFixed(1)} × the time`
  console.log(`\n${count(total)} flights, one JSON record each: ${bytes(source.size)} in ${readdirSync(varveDir).length} files\n`)
  console.log(table([
    ['', 'varve', 'by hand, 256 KiB a write', 'by hand, one write each'],
    line('append', 'append'),
    line('… then sync', 'sync'),
    line('read all', 'read'),
    ['records a second', ...[varve, gathered, single].map((one) => count(Math.round((total / one.append) * 1000)))],
    ['appending took', '1 ×', versus(gathered), versus(single)],
    ['checksums', 'written, verified', 'none', 'none'],
    ['after a crash', 'recovers', 'yours to write', 'yours to write'],
  ]))
  console.log(`\nThe same flights in a Log, as typed messages\n`)
  console.log(table([['', ''], ...messages.lines]))
  console.log(process.exitCode === undefined ? '\nEverything is there.' : '\nSomething is missing: see ✗ above.')
} finally {
  if (flags.keep) console.log(`The data is kept in ${home}`)
  else clear()
}
