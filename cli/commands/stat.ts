import { basename, resolve } from 'node:path'
import { type SegmentInfo, Wal, type WalStats } from 'varve'
import { type Command, DAMAGED, OK } from '../command.ts'
import { count, counted, size, table } from '../units.ts'
import { gapLines, indexes, openReadOnly } from './opening.ts'

export const stat: Command = {
  name: 'stat',
  summary: 'what a log holds: records, indexes, sizes, segments',
  about: [
    'Says how many records a log has and their indexes, how far it is durable and committed, its size, its codec and, with --segments, its files.',
    'The first thing to run on a directory that you do not know. It reads headers and indexes and not the records, so it is quick at any size, and does not notice damage in them: that is for '
      + '`varve check`. It works beside a writer, changes nothing, and takes no lock.',
  ],
  operands: [{ name: 'dir', about: 'directory of the log' }],
  options: {
    segments: { short: 's', about: 'lists the segments: their files, indexes and sizes. Looks through an unsealed tail, and shows where damage makes gaps' },
  },
  exits: { [DAMAGED]: 'with --segments: records are missing' },
  example: {
    command: 'varve stat data/log --segments',
    output: `
data/log: a Wal
  records    3,000, indexes 0 to 2999
  durable    all
  committed  none
  size       192 KiB in 3 segments
  codec      utf8

segment               records       indexes      used  length  state
0000000000000001.seg    1,341     0 to 1340  63.8 KiB  64 KiB  sealed
0000000000000002.seg    1,340  1341 to 2680  63.9 KiB  64 KiB  sealed
0000000000000003.seg      319  2681 to 2999    16 KiB  64 KiB  written to
`,
  },
  async run(args, { out, json, signal }) {
    const dir = resolve(args.dir)
    const stats = await Wal.stat(dir)
    const detail = args.has('segments') ? await look(dir, signal) : undefined
    const recovery = detail?.recovery ?? stats.recovery
    if (json) {
      const { entries, bytes, segments, firstIndex, nextIndex, durableIndex, committedIndex, codec } = stats
      const told = { engine: 'Wal', dir, entries, bytes, segments, firstIndex, nextIndex, durableIndex, committedIndex, codec }
      out.line(JSON.stringify(detail === undefined ? told : { ...told, files: detail.files, gaps: recovery.gaps }))
    } else {
      out.line(`${args.dir}: a Wal`)
      for (const line of table(rows(stats))) out.line(line)
      for (const line of detail === undefined ? [] : ['', ...fileRows(detail.files, 'records', 'indexes')]) out.line(line)
      for (const line of gapLines(recovery)) out.line(line)
    }
    return recovery.gaps.length > 0 ? DAMAGED : OK
  },
}

async function look(dir: string, signal: AbortSignal): Promise<{ files: SegmentInfo[]; recovery: WalStats['recovery'] }> {
  await using log = await openReadOnly(dir, signal, true)
  return { files: log.segments(), recovery: log.stats().recovery }
}

function rows({ entries, bytes, segments, firstIndex, nextIndex, durableIndex, committedIndex, codec }: WalStats): [string, string][] {
  return [
    ['  records', entries === 0 ? `none; the next one gets index ${nextIndex}` : `${count(entries)}, ${indexes(firstIndex, nextIndex)}`],
    ['  durable', until(durableIndex - 1, firstIndex, nextIndex)],
    ['  committed', until(committedIndex, firstIndex, nextIndex)],
    ['  size', `${size(bytes)} in ${counted(segments, 'segment')}`],
    ['  codec', codec === '' ? 'unknown: no segment is whole' : codec],
  ]
}

/** A row for each segment, of whose `entries` the `places` are told. */
export function fileRows(files: readonly SegmentInfo[], entries: string, places: string): string[] {
  const rows = files.map(({ path, entries: held, firstIndex, nextIndex, bytes, capacity, sealed, pendingDeletion, marker }) => [
    basename(path), count(held), held === 0 ? `from ${firstIndex}` : `${firstIndex} to ${nextIndex - 1}`, size(bytes), size(capacity),
    [sealed ? 'sealed' : 'written to', marker === 0 ? '' : `marker ${marker}`, pendingDeletion ? 'removed' : ''].filter(Boolean).join(', '),
  ])
  return table([['segment', entries, places, 'used', 'length', 'state'], ...rows], [1, 2, 3, 4])
}

/** Of the records from `first` up to `next`, those up to `last`. */
function until(last: number, first: number, next: number): string {
  if (last < first) return 'none'
  return last >= next - 1 ? 'all' : `to index ${last}`
}
