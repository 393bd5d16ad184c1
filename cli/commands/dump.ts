import type { Wal } from 'varve'
import { type Command, DAMAGED, OK } from '../command.ts'
import { checkFormat, formatOption, gapLines, lineOf, openReadOnly } from './opening.ts'

export const dump: Command = {
  name: 'dump',
  summary: 'prints records',
  about: [
    'Prints the records of a log, or a part of them, one a line: the index, a tab, the record. With --json each line is an object: {"index":0,"text":"…"}, whose second key is text, json, hex, base64 '
      + 'or length; text that is no UTF-8 is base64 there.',
    'For looking into a log, and for feeding other programs. It reads beside a writer, to the end of the log as it was when that was reached, and changes nothing; every checksum is verified. '
      + 'Whatever the records hold, they do not upset a terminal.',
  ],
  operands: [{ name: 'dir', about: 'directory of the log' }],
  options: {
    from: { value: 'index', about: 'the first record to print; default: the first there is' },
    to: { value: 'index', about: 'stops before this one; default: the end' },
    limit: { value: 'count', about: 'prints at most so many' },
    format: formatOption,
    'skip-damage': { about: 'goes on behind damage; what is missing is said on standard error, and the exit code is 1' },
  },
  exits: { [DAMAGED]: 'the log is damaged: everything before the damage was printed or, with --skip-damage, all that is intact' },
  example: {
    command: 'varve dump data/log --from 2998',
    output: `
2998\torder 2998: 12 boxes of tea
2999\torder 2999: 12 boxes of tea
`,
  },
  async run(args, context) {
    const { out, signal } = context
    checkFormat(args)
    const [from, to, limit = Infinity] = [args.integer('from'), args.integer('to'), args.integer('limit')]
    await using log = await openReadOnly(args.dir, signal, args.has('skip-damage'))
    const stats = log.stats()
    const line = lineOf(args, stats.codec, context)
    let printed = 0
    if (limit > 0) {
      for await (const { index, data } of log.recordsAsync(range(log, from, to, signal))) {
        await out.line(line(index, data))
        if (++printed >= limit) break
      }
    }
    const { recovery } = log.stats()
    for (const line of gapLines(recovery)) context.note(line)
    return recovery.gaps.length > 0 ? DAMAGED : OK
  },
}

/** A start before the first record that is left, and an end behind the last one, are no mistakes of who reads all there is in between. */
function range(log: Wal, from: number | undefined, to: number | undefined, signal: AbortSignal): { from?: number; to?: number; signal: AbortSignal } {
  return { ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to: Math.min(to, log.nextIndex) }), signal }
}
