import { resolve } from 'node:path'
import { Log, type LogStats, type SegmentInfo } from 'varve'
import { type Command, DAMAGED, OK } from '../command.ts'
import { table } from '../units.ts'
import { codecsOf, extentOf, lostLines, openMessages, sizeOf } from './messages.ts'
import { fileRows } from './stat.ts'

export const logStat: Command = {
  name: 'stat',
  summary: 'what a message log holds: messages, offsets, sizes, segments',
  about: [
    'Says how many messages a log has and their offsets, how far it is durable and committed, its size, how well it is compressed, its codecs and, with --segments, its files.',
    'It reads headers and digests and not the messages, so it is quick at any size, and does not notice damage in them: that is for `varve check`. It works beside a writer, changes nothing, and takes no lock.',
  ],
  operands: [{ name: 'dir', about: 'directory of the log' }],
  options: {
    segments: { short: 's', about: 'lists the segments: their files, offsets and sizes. Reads all of the log, and shows where damage makes gaps' },
  },
  exits: { [DAMAGED]: 'with --segments: messages are missing' },
  example: {
    command: 'varve stat data/messages --segments',
    output: `
data/messages: a Log
  messages   3,000, offsets 0 to 2999
  durable    all
  committed  none
  size       40.2 KiB in 1 segment, 31 % of what it would be uncompressed
  codecs     utf8 for keys, utf8 for values

segment               messages    offsets      used   length  state
0000000000000001.seg     3,000  0 to 2999  41.8 KiB  256 KiB  written to
`,
  },
  async run(args, { out, json, signal }) {
    const dir = resolve(args.dir)
    const stats = await Log.stat(dir)
    const detail = args.has('segments') ? await look(dir, signal) : undefined
    const { gaps } = detail?.recovery ?? stats.recovery
    if (json) {
      const { version, messages, bytes, indexBytes, segments, startOffset, nextOffset, durableOffset, highWaterMark, compressionRatio, codec } = stats
      const told = { engine: 'Log', dir, version, messages, bytes, indexBytes, segments, startOffset, nextOffset, durableOffset, highWaterMark, compressionRatio, codec }
      out.line(JSON.stringify(detail === undefined ? told : { ...told, files: detail.files, gaps }))
    } else {
      out.line(`${args.dir}: a Log`)
      for (const line of table(rows(stats))) out.line(line)
      for (const line of detail === undefined ? [] : ['', ...fileRows(detail.files, 'messages', 'offsets')]) out.line(line)
      for (const line of lostLines({ gaps })) out.line(line)
    }
    return gaps.length > 0 ? DAMAGED : OK
  },
}

async function look(dir: string, signal: AbortSignal): Promise<{ files: SegmentInfo[]; recovery: LogStats['recovery'] }> {
  await using log = await openMessages(dir, signal, true)
  return { files: log.segments(), recovery: log.stats().recovery }
}

function rows(stats: LogStats): [string, string][] {
  const { bytes, segments, startOffset, nextOffset, durableOffset, highWaterMark, compressionRatio } = stats
  const { key, value } = codecsOf(stats)
  return [
    ['  messages', extentOf(stats)],
    ['  durable', durableOffset <= startOffset ? 'none' : durableOffset >= nextOffset ? 'all' : `to offset ${durableOffset - 1}`],
    ['  committed', highWaterMark <= startOffset ? 'none' : highWaterMark >= nextOffset ? 'all' : `to offset ${highWaterMark - 1}`],
    ['  size', sizeOf(bytes, segments, compressionRatio)],
    ['  codecs', `${key} for keys, ${value} for values`],
  ]
}
