import { PartitionedLog } from 'varve'
import { type Command, OK } from '../command.ts'
import { counted, size } from '../units.ts'

export const partitionedBackup: Command = {
  name: 'backup',
  summary: 'copies a log of partitions to another directory, or adds to an earlier copy',
  about: [
    'Copies all messages of all partitions, one partition after another, into a directory that opens like any log of partitions, at every moment of the copying. In a directory that holds an earlier backup of the '
      + 'same log, only what is missing is added. Indexes are not copied: the first open of the copy makes them.',
    'Run it by a timer, into a directory on another disk, and `varve check` the result. Nobody else may have the log open: a program that does makes its own backups while it writes, by log.backup().',
  ],
  operands: [{ name: 'dir', about: 'directory of the log of partitions' }, { name: 'to', about: 'directory of the backup: missing, empty, or an earlier backup of this log' }],
  options: {},
  interrupted: 'what was copied opens, and lacks the rest. Run backup again: it adds that.',
  example: {
    command: 'varve backup data/topic data/copy',
    output: `
copied 4 files, 132 KiB, to data/copy
the copy holds all messages of 4 partitions; --json tells the offset that each reaches
`,
  },
  async run(args, context) {
    const to = args.operands[1]!
    const result = await context.watch('copying', (options) => PartitionedLog.backup(args.dir, to, options))
    if (context.json) {
      context.out.line(JSON.stringify(result))
    } else {
      context.out.line(`copied ${counted(result.files.length, 'file')}, ${size(result.bytes)}, to ${to}`)
      context.out.line(`the copy holds all messages of ${counted(result.positions.length, 'partition')}; --json tells the offset that each reaches`)
    }
    return OK
  },
}
