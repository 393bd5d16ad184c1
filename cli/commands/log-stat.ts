import { resolve } from 'node:path'
import { Log, type LogStats } from 'varve'
import { type Command, OK } from '../command.ts'
import { count, counted, size, table } from '../units.ts'

export const logStat: Command = {
  name: 'stat',
  summary: 'what a message log holds: messages, offsets, sizes',
  about: [
    'Says how many messages a log has and their offsets, how far it is durable and committed, its size, how well it is compressed, and its codecs.',
    'It reads headers and digests and not the messages, so it is quick at any size, and does not notice damage in them: that is for `varve check`. It works beside a writer, changes nothing, and takes no lock.',
  ],
  operands: [{ name: 'dir', about: 'directory of the log' }],
  options: {},
  example: {
    command: 'varve stat data/messages',
    output: `
data/messages: a Log
  messages   3,000, offsets 0 to 2999
  durable    all
  committed  none
  size       40.2 KiB in 1 segment, 31 % of what it would be uncompressed
  codecs     utf8 for keys, utf8 for values
`,
  },
  async run(args, { out, json }) {
    const dir = resolve(args.dir)
    const stats = await Log.stat(dir)
    if (json) {
      const { version, messages, bytes, indexBytes, segments, startOffset, nextOffset, durableOffset, highWaterMark, compressionRatio, codec } = stats
      out.line(JSON.stringify({ engine: 'Log', dir, version, messages, bytes, indexBytes, segments, startOffset, nextOffset, durableOffset, highWaterMark, compressionRatio, codec }))
    } else {
      out.line(`${args.dir}: a Log`)
      for (const line of table(rows(stats))) out.line(line)
    }
    return OK
  },
}

function rows({ messages, bytes, segments, startOffset, nextOffset, durableOffset, highWaterMark, compressionRatio, codec }: LogStats): [string, string][] {
  const [keys, values] = codec.split(/(?<!\\)\//)
  return [
    ['  messages', startOffset === nextOffset ? `none; the next one gets offset ${nextOffset}` : `${count(messages)}, offsets ${startOffset} to ${nextOffset - 1}`],
    ['  durable', durableOffset <= startOffset ? 'none' : durableOffset >= nextOffset ? 'all' : `to offset ${durableOffset - 1}`],
    ['  committed', highWaterMark <= startOffset ? 'none' : highWaterMark >= nextOffset ? 'all' : `to offset ${highWaterMark - 1}`],
    ['  size', `${size(bytes)} in ${counted(segments, 'segment')}${compressionRatio < 1 ? `, ${Math.round(100 * compressionRatio)} % of what it would be uncompressed` : ''}`],
    ['  codecs', `${keys} for keys, ${values} for values`],
  ]
}
