import { UsageError } from '../arguments.ts'
import { type Command, INTERRUPTED, OK } from '../command.ts'
import { codecsOf, keyOption, messageFormatOptions, offsetSince, openMessages, sinceOption, Wanted } from './messages.ts'

export const logTail: Command = {
  name: 'tail',
  summary: 'prints messages as they are appended',
  about: [
    'Prints what is appended to a log from now on, in this or any other process, until Ctrl-C; with --last, --from or --since what is there comes first. Lines are as those of `varve dump`.',
    'For watching a program at work, and for feeding another one with every message there will be: a message is printed once, in order, none left out. It opens the log without a lock and is woken by the system, '
      + 'not by a clock: an idle tail costs nothing. If the messages that come next have been removed from the start of the log before they were read, that is an error.',
  ],
  operands: [{ name: 'dir', about: 'directory of the log' }],
  options: {
    from: { value: 'offset|start|end', about: 'where to begin: an offset, the first message there is, or behind the last one. Default: end' },
    since: sinceOption,
    last: { value: 'count', short: 'n', about: 'begins so many messages before the end, whatever their keys' },
    key: keyOption,
    limit: { value: 'count', about: 'ends by itself, with 0, after so many messages' },
    ...messageFormatOptions,
  },
  exits: { [INTERRUPTED]: 'ended by Ctrl-C, which is the usual end; 143 by SIGTERM' },
  example: {
    command: 'varve tail data/messages --last 1 --limit 1',
    output: `
2999\t1970-01-01T00:00:02.999Z\tcustomer 9\torder 2999: 12 boxes of tea
`,
  },
  async run(args, context) {
    const { out, signal } = context
    const wanted = new Wanted(args, 'tail')
    const begin = args.text('from')
    const last = args.integer('last')
    if ([begin, last, wanted.since].filter((given) => given !== undefined).length > 1) throw new UsageError('--from, --since and --last all say where to begin: give one of them', 'tail')
    const offset = begin === undefined || begin === 'end' || begin === 'start' ? undefined : args.integer('from')
    if (wanted.limit === 0) return OK
    await using log = await openMessages(args.dir, signal)
    const codecs = codecsOf(log.stats())
    const line = wanted.lineOf(codecs, context)
    const key = wanted.keyIn(codecs)
    const end = log.nextOffset
    const since = wanted.since === undefined ? undefined : ((await offsetSince(log, wanted.since, signal)) ?? end)
    const from = since ?? offset ?? (begin === 'start' ? log.startOffset : Math.max(log.startOffset, end - (last ?? 0)))
    context.note(`following ${args.dir} from offset ${from}; Ctrl-C ends it`)
    let printed = 0
    for await (const message of log.subscribe({ from, ...(key === undefined ? {} : { key }), signal })) {
      await out.line(line(message))
      if (++printed >= wanted.limit) break
    }
    return OK
  },
}
