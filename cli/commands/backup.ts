import { type Bytes, Wal } from 'varve'
import { type Command, OK } from '../command.ts'
import { counted, size } from '../units.ts'
import { rawCodec } from './opening.ts'

export const backup: Command = {
  name: 'backup',
  summary: 'copies a log to another directory, or adds to an earlier copy',
  about: [
    'Copies the sealed segments of a log, and with --active those records too that are in the segment being written to, into a directory that opens like any log, at every moment of the copying. '
      + 'In a directory that holds an earlier backup of the same log, only what is missing is added.',
    'Run it by a timer, with --active, into a directory on another disk, and `varve check` the result. It opens the log for writing, to hold its files in place, so nobody else may have it open: a program that '
      + 'does makes its own backups while it writes, by log.backup(). To ship increments to different places, give --after the number that the run before has printed as the last segment.',
  ],
  operands: [{ name: 'dir', about: 'directory of the log' }, { name: 'to', about: 'directory of the backup: missing, empty, or an earlier backup of this log' }],
  options: {
    after: { value: 'segment', about: 'only segments with a higher number. Default: all' },
    active: { short: 'a', about: 'also the segment that is written to, as far as it is durable' },
  },
  interrupted: 'what was copied opens, and lacks the rest. Run backup again: it adds that.',
  example: {
    command: 'varve backup data/log data/copy --active',
    output: `
copied 3 files, 144 KiB, to data/copy
the copy holds every record below index 3000; last sealed segment: 2
`,
  },
  async run(args, context) {
    const to = args.operands[1]!
    const afterSegment = args.integer('after')
    const active = args.has('active')
    await using log = await openForBackup(args.dir, context.signal)
    const sealed = log.segments().filter((segment) => segment.sealed && !segment.pendingDeletion)
    const lastSegment = sealed.at(-1)?.id ?? afterSegment ?? 0
    const result = await context.watch('copying', (options) => log.backup(to, { ...options, active, ...(afterSegment === undefined ? {} : { afterSegment }) }))
    if (context.json) {
      context.out.line(JSON.stringify({ ...result, lastSegment }))
    } else {
      context.out.line(`copied ${counted(result.files.length, 'file')}, ${size(result.bytes)}, to ${to}`)
      context.out.line(`the copy holds every record below index ${result.position}; last sealed segment: ${lastSegment}`)
    }
    return OK
  },
}

/** For writing, as the engine demands: nothing is removed while it is copied. Opening cuts a torn tail, as any open does. */
async function openForBackup(dir: string, signal: AbortSignal): Promise<Wal> {
  const { codec } = await Wal.stat(dir)
  return Wal.open<Bytes>(dir, { create: false, signal, codec: rawCodec(codec) })
}
