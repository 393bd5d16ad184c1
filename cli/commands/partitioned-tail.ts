import type { Message, PartitionedLog } from 'varve'
import { UsageError } from '../arguments.ts'
import { type Command, INTERRUPTED, OK } from '../command.ts'
import { codecsOfAll, keyOption, messageFormatOptions, offsetSince, openPartitions, partitionOption, sinceOption, Wanted } from './messages.ts'
import { partitionsOf } from './partitioned-dump.ts'

export const partitionedTail: Command = {
  name: 'tail',
  summary: 'prints messages of all partitions as they are appended',
  about: [
    'Prints what is appended to a log of partitions from now on, in this or any other process, until Ctrl-C; with --last, --from or --since what is there comes first. Lines are as those of `varve dump`: those of a partition '
      + 'in order, and of all partitions that have some, one message after another.',
    'For watching a program at work, and for feeding another one with every message there will be. It opens the log without a lock and is woken by the system, not by a clock: an idle tail costs nothing. '
      + 'If the messages that come next have been removed from the start of a partition before they were read, that is an error.',
  ],
  operands: [{ name: 'dir', about: 'directory of the log of partitions' }],
  options: {
    partition: partitionOption,
    from: { value: 'offset|start|end', about: 'where to begin: the first message there is, behind the last one or, with --partition, an offset. Default: end' },
    since: { ...sinceOption, about: `in each partition, ${sinceOption.about}` },
    last: { value: 'count', short: 'n', about: 'begins so many messages before the end of each partition, whatever their keys' },
    key: keyOption,
    limit: { value: 'count', about: 'ends by itself, with 0, after so many messages' },
    ...messageFormatOptions,
  },
  exits: { [INTERRUPTED]: 'ended by Ctrl-C, which is the usual end; 143 by SIGTERM' },
  example: {
    command: 'varve tail data/topic --partition 2 --last 1 --limit 1',
    output: `
2\t999\t1970-01-01T00:00:02.999Z\tcustomer 2\torder 2999: 12 boxes of tea
`,
  },
  async run(args, context) {
    const { out, signal } = context
    const wanted = new Wanted(args, 'tail')
    const begin = args.text('from')
    const last = args.integer('last')
    if ([begin, last, wanted.since].filter((given) => given !== undefined).length > 1) throw new UsageError('--from, --since and --last all say where to begin: give one of them', 'tail')
    const offset = begin === undefined || begin === 'end' || begin === 'start' ? undefined : args.integer('from')
    if (offset !== undefined && !args.has('partition')) throw new UsageError('--from is an offset of one partition: say which, with --partition', 'tail')
    if (wanted.limit === 0) return OK
    await using log = await openPartitions(args.dir, signal)
    const partitions = partitionsOf(args, log, 'tail')
    const codecs = codecsOfAll(log.stats())
    const line = wanted.lineOf(codecs, context)
    const key = wanted.keyIn(codecs)
    const from = await placesOf(log, partitions, { offset, isStart: begin === 'start', last: last ?? 0, since: wanted.since }, signal)
    context.note(`following ${args.dir}${args.has('partition') ? ` from offset ${from[0]}` : ''}; Ctrl-C ends it`)
    let printed = 0
    for await (const message of log.subscribe({ from, partitions, signal })) {
      if (key !== undefined && !hasKey(message, key)) continue
      await out.line(line(message, message.partition))
      if (++printed >= wanted.limit) break
    }
    return OK
  },
}

const hasKey = ({ key: its }: Message, key: Uint8Array): boolean => its !== null && its.equals(key)

interface Begin {
  offset: number | undefined
  isStart: boolean
  last: number
  since: number | undefined
}

/** Where to begin in each partition. */
async function placesOf(log: PartitionedLog, partitions: readonly number[], { offset, isStart, last, since }: Begin, signal: AbortSignal): Promise<number[]> {
  const places: number[] = []
  const all = log.stats()
  for (const partition of partitions) {
    const { startOffset, nextOffset, codec } = all[partition]!
    if (since !== undefined && codec !== '') places.push((await offsetSince(log.logs[partition]!, since, signal)) ?? nextOffset)
    else places.push(offset ?? (isStart ? startOffset : Math.max(startOffset, nextOffset - last)))
  }
  return places
}
