import { UsageError } from '../arguments.ts'
import { type Command, DAMAGED, OK } from '../command.ts'
import { codecsOf, keyOption, lostLines, messageFormatOptions, offsetSince, openMessages, sinceOption, Wanted } from './messages.ts'

export const logDump: Command = {
  name: 'dump',
  summary: 'prints messages',
  about: [
    'Prints the messages of a log, or a part of them, one a line: the offset, the time, the key, the value, and headers as name=value where there are some, with tabs between; - is no key, or no value. With --json each '
      + 'line is an object: {"offset":0,"time":1769860800000,"key":{"text":"…"},"value":{"text":"…"},"headers":{}}, where key, value and each header have one member, by the name of what it holds: text, json, hex, '
      + 'base64 or length; text that is no UTF-8 is base64 there; null is none.',
    'For looking into a log, and for feeding other programs. It reads beside a writer, to the end of the log as it was when that was reached, and changes nothing; every checksum is verified. '
      + 'Whatever the messages hold, they do not upset a terminal.',
  ],
  operands: [{ name: 'dir', about: 'directory of the log' }],
  options: {
    from: { value: 'offset', about: 'the first message to print; default: the first there is' },
    since: sinceOption,
    to: { value: 'offset', about: 'stops before this one; default: the end' },
    key: keyOption,
    limit: { value: 'count', about: 'prints at most so many' },
    ...messageFormatOptions,
    'skip-damage': { about: 'goes on behind damage; what is missing is said on standard error, and the exit code is 1' },
  },
  exits: { [DAMAGED]: 'the log is damaged: everything before the damage was printed or, with --skip-damage, all that is intact' },
  example: {
    command: 'varve dump data/messages --from 2990 --key "customer 9"',
    output: `
2999\t1970-01-01T00:00:02.999Z\tcustomer 9\torder 2999: 12 boxes of tea
`,
  },
  async run(args, context) {
    const { out, signal } = context
    const wanted = new Wanted(args, 'dump')
    const [first, to] = [args.integer('from'), args.integer('to')]
    if (first !== undefined && wanted.since !== undefined) throw new UsageError('--from and --since both say where to begin: give one of them', 'dump')
    await using log = await openMessages(args.dir, signal, args.has('skip-damage'))
    const codecs = codecsOf(log.stats())
    const line = wanted.lineOf(codecs, context)
    const key = wanted.keyIn(codecs)
    const from = wanted.since === undefined ? first : ((await offsetSince(log, wanted.since, signal)) ?? log.nextOffset)
    let printed = 0
    if (wanted.limit > 0) {
      // An end behind the last one is no mistake of who reads all there is in between.
      const range = { ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to: Math.min(to, log.nextOffset) }), ...(key === undefined ? {} : { key }), signal }
      for await (const message of log.messagesAsync(range)) {
        await out.line(line(message))
        if (++printed >= wanted.limit) break
      }
    }
    const { recovery } = log.stats()
    for (const lost of lostLines(recovery)) context.note(lost)
    return recovery.gaps.length > 0 ? DAMAGED : OK
  },
}
