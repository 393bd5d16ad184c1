import { resolve } from 'node:path'
import { type LogStats, PartitionedLog } from 'varve'
import { type Command, OK } from '../command.ts'
import { count, size, table } from '../units.ts'
import { codecsOfAll, sizeOf } from './messages.ts'

export const partitionedStat: Command = {
  name: 'stat',
  summary: 'what a log of partitions holds: messages, offsets, sizes',
  about: [
    'Says how many messages a log of partitions has in all, its size and its codecs, and of each partition that has messages their number and offsets, how far it is durable, and its size.',
    'It reads headers and digests and not the messages, so it is quick at any size, and does not notice damage in them: that is for `varve check`. It works beside a writer, changes nothing, and takes no lock.',
  ],
  operands: [{ name: 'dir', about: 'directory of the log of partitions' }],
  options: {},
  example: {
    command: 'varve stat data/topic',
    output: `
data/topic: a PartitionedLog
  partitions  4, of which 1 has no message
  messages    3,000
  size        128 KiB in 3 segments
  codecs      utf8 for keys, utf8 for values

partition  messages   offsets  durable      size
        0     1,000  0 to 999      all  42.8 KiB
        1     1,000  0 to 999      all  42.8 KiB
        2     1,000  0 to 999      all  42.8 KiB
`,
  },
  async run(args, { out, json }) {
    const dir = resolve(args.dir)
    const partitions = await PartitionedLog.stat(dir)
    if (json) {
      const told = partitions.map(({ messages, bytes, indexBytes, segments, startOffset, nextOffset, durableOffset, highWaterMark, compressionRatio }, partition) => (
        { partition, messages, bytes, indexBytes, segments, startOffset, nextOffset, durableOffset, highWaterMark, compressionRatio }
      ))
      const [messages, bytes, segments] = totals(partitions)
      const codec = partitions.find(({ codec }) => codec !== '')?.codec ?? ''
      out.line(JSON.stringify({ engine: 'PartitionedLog', dir, messages, bytes, segments, codec, partitions: told }))
    } else {
      out.line(`${args.dir}: a PartitionedLog`)
      for (const line of table(rows(partitions))) out.line(line)
      for (const line of partitionRows(partitions)) out.line(line)
    }
    return OK
  },
}

function totals(partitions: readonly LogStats[]): [messages: number, bytes: number, segments: number, raw: number] {
  const total = (of: (stats: LogStats) => number) => partitions.reduce((sum, stats) => sum + of(stats), 0)
  return [total(({ messages }) => messages), total(({ bytes }) => bytes), total(({ segments }) => segments), total(({ bytes, compressionRatio }) => bytes / compressionRatio)]
}

const isEmpty = ({ startOffset, nextOffset }: LogStats): boolean => startOffset === nextOffset

function rows(partitions: readonly LogStats[]): [string, string][] {
  const [messages, bytes, segments, raw] = totals(partitions)
  const empty = partitions.filter(isEmpty).length
  const { key, value } = codecsOfAll(partitions)
  return [
    ['  partitions', `${count(partitions.length)}${empty === 0 ? '' : `, of which ${count(empty)} ${empty === 1 ? 'has' : 'have'} no message`}`],
    ['  messages', messages === 0 ? 'none' : count(messages)],
    ['  size', sizeOf(bytes, segments, raw > 0 ? bytes / raw : 1)],
    ['  codecs', key === '' ? 'not known before the first message' : `${key} for keys, ${value} for values`],
  ]
}

/** A row for each partition that has messages. */
function partitionRows(partitions: readonly LogStats[]): string[] {
  const rows = partitions.flatMap((stats, partition) => {
    if (isEmpty(stats)) return []
    const { messages, startOffset, nextOffset, durableOffset, bytes } = stats
    const durable = durableOffset <= startOffset ? 'none' : durableOffset >= nextOffset ? 'all' : `to ${durableOffset - 1}`
    return [[String(partition), count(messages), `${startOffset} to ${nextOffset - 1}`, durable, size(bytes)]]
  })
  return rows.length === 0 ? [] : ['', ...table([['partition', 'messages', 'offsets', 'durable', 'size'], ...rows], [0, 1, 2, 3, 4])]
}
