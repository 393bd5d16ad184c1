import type { PartitionedLog } from 'varve'
import { type Arguments, UsageError } from '../arguments.ts'
import { type Command, type Context, DAMAGED, OK } from '../command.ts'
import { codecsOfAll, keyOption, lostLines, messageFormatOptions, offsetSince, openPartitions, partitionOption, sinceOption, Wanted } from './messages.ts'

export const partitionedDump: Command = {
  name: 'dump',
  summary: 'prints messages, one partition after another',
  about: [
    'Prints the messages of a log of partitions, or a part of them, one a line: as `varve dump` of a Log, with the partition before the offset, and in the objects of --json. All of one partition come before those of the next.',
    'For looking into a log, and for feeding other programs. It reads beside a writer, to the end of each partition as it was when that was reached, and changes nothing; every checksum is verified.',
  ],
  operands: [{ name: 'dir', about: 'directory of the log of partitions' }],
  options: {
    partition: partitionOption,
    from: { value: 'offset', about: 'the first message of the partition to print; default: the first there is' },
    since: { ...sinceOption, about: `in each partition, ${sinceOption.about}` },
    to: { value: 'offset', about: 'stops before this one; default: the end' },
    key: keyOption,
    limit: { value: 'count', about: 'prints at most so many, of all partitions together' },
    ...messageFormatOptions,
    'skip-damage': { about: 'goes on behind damage; what is missing is said on standard error, and the exit code is 1' },
  },
  exits: { [DAMAGED]: 'the log is damaged: everything before the damage was printed or, with --skip-damage, all that is intact' },
  example: {
    command: 'varve dump data/topic --partition 2 --limit 2',
    output: `
2\t0\t1970-01-01T00:00:00.002Z\tcustomer 2\torder 2: 12 boxes of tea
2\t1\t1970-01-01T00:00:00.005Z\tcustomer 2\torder 5: 12 boxes of tea
`,
  },
  async run(args, context) {
    const { out, signal } = context
    const wanted = new Wanted(args, 'dump')
    const [first, to] = [args.integer('from'), args.integer('to')]
    if (first !== undefined && wanted.since !== undefined) throw new UsageError('--from and --since both say where to begin: give one of them', 'dump')
    if ((first !== undefined || to !== undefined) && !args.has('partition')) throw new UsageError('--from and --to are offsets of one partition: say which, with --partition', 'dump')
    await using log = await openPartitions(args.dir, signal, args.has('skip-damage'))
    const all = log.stats()
    const codecs = codecsOfAll(all)
    const line = wanted.lineOf(codecs, context)
    const key = wanted.keyIn(codecs)
    let printed = 0
    for (const partition of partitionsOf(args, log, 'dump')) {
      // One that nobody has written to is not there for who only reads.
      if (all[partition]!.codec === '' || printed >= wanted.limit) continue
      const part = log.logs[partition]!
      const from = wanted.since === undefined ? first : ((await offsetSince(part, wanted.since, signal)) ?? part.nextOffset)
      const range = { ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to: Math.min(to, part.nextOffset) }), ...(key === undefined ? {} : { key }), signal }
      for await (const message of part.messagesAsync(range)) {
        await out.line(line(message, partition))
        if (++printed >= wanted.limit) break
      }
    }
    return tellLost(log, context) ? DAMAGED : OK
  },
}

/** The partitions that are meant: all, or that of `--partition`. */
export function partitionsOf(args: Arguments, { logs }: PartitionedLog, verb: string): number[] {
  const partition = args.integer('partition')
  if (partition === undefined) return Array.from(logs.keys())
  if (partition < logs.length) return [partition]
  throw new UsageError(`--partition is ${partition}, and there are ${logs.length} partitions, from 0 on`, verb)
}

/** Says what is missing; true if something is. */
function tellLost(log: PartitionedLog, context: Context): boolean {
  const lost = log.stats().flatMap(({ recovery }, partition) => lostLines(recovery, partition))
  for (const line of lost) context.note(line)
  return lost.length > 0
}
