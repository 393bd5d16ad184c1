import { type Command, INTERRUPTED, OK } from '../command.ts'
import { UsageError } from '../arguments.ts'
import { checkFormat, formatOption, lineOf, openReadOnly } from './opening.ts'

export const tail: Command = {
  name: 'tail',
  summary: 'prints records as they are appended',
  about: [
    'Prints what is appended to a log from now on, in this or any other process, until Ctrl-C; with --last or --from what is there comes first. Lines are as those of `varve dump`.',
    'For watching a program at work, and for feeding another one with every record there will be: a record is printed once, in order, none left out. It opens the log without a lock and is woken by the system, '
      + 'not by a clock: an idle tail costs nothing. If the records that come next have been dropped from the log before they were read, that is an error.',
  ],
  operands: [{ name: 'dir', about: 'directory of the log' }],
  options: {
    from: { value: 'index|start|end', about: 'where to begin: an index, the first record there is, or behind the last one. Default: end' },
    last: { value: 'count', short: 'n', about: 'begins so many records before the end' },
    limit: { value: 'count', about: 'ends by itself, with 0, after so many records' },
    format: formatOption,
  },
  exits: { [INTERRUPTED]: 'ended by Ctrl-C, which is the usual end; 143 by SIGTERM' },
  example: {
    command: 'varve tail data/log --last 2 --limit 2',
    output: `
2998\torder 2998: 12 boxes of tea
2999\torder 2999: 12 boxes of tea
`,
  },
  async run(args, context) {
    const { out, signal } = context
    checkFormat(args)
    const begin = args.text('from')
    const [last, limit = Infinity] = [args.integer('last'), args.integer('limit')]
    if (begin !== undefined && last !== undefined) throw new UsageError('--from and --last both say where to begin: give one of them', 'tail')
    const index = begin === undefined || begin === 'end' || begin === 'start' ? undefined : args.integer('from')
    if (limit === 0) return OK
    await using log = await openReadOnly(args.dir, signal)
    const line = lineOf(args, log.stats().codec, context)
    const end = log.nextIndex
    const from = index ?? (begin === 'start' ? log.firstIndex : Math.max(log.firstIndex, end - (last ?? 0)))
    context.note(`following ${args.dir} from index ${from}; Ctrl-C ends it`)
    let printed = 0
    for await (const { index, data } of log.tail({ from, signal })) {
      await out.line(line(index, data))
      if (++printed >= limit) break
    }
    return OK
  },
}
