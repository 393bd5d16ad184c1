import { Log } from 'varve'
import { type Command, OK } from '../command.ts'
import { counted, size } from '../units.ts'

export const logBackup: Command = {
  name: 'backup',
  summary: 'copies a message log to another directory, or adds to an earlier copy',
  about: [
    'Copies all messages of a log into a directory that opens like any log, at every moment of the copying. In a directory that holds an earlier backup of the same log, only what is missing is added. '
      + 'Indexes are not copied: the first open of the copy makes them.',
    'Run it by a timer, into a directory on another disk, and `varve check` the result. Nobody else may have the log open: a program that does makes its own backups while it writes, by log.backup().',
  ],
  operands: [{ name: 'dir', about: 'directory of the log' }, { name: 'to', about: 'directory of the backup: missing, empty, or an earlier backup of this log' }],
  options: {},
  interrupted: 'what was copied opens, and lacks the rest. Run backup again: it adds that.',
  example: {
    command: 'varve backup data/messages data/copy',
    output: `
copied 1 file, 41.8 KiB, to data/copy
the copy holds every message below offset 3000
`,
  },
  async run(args, context) {
    const to = args.operands[1]!
    const result = await context.watch('copying', (options) => Log.backup(args.dir, to, options))
    if (context.json) {
      context.out.line(JSON.stringify(result))
    } else {
      context.out.line(`copied ${counted(result.files.length, 'file')}, ${size(result.bytes)}, to ${to}`)
      context.out.line(`the copy holds every message below offset ${result.position}`)
    }
    return OK
  },
}
