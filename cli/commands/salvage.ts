import { type Command, DAMAGED, OK } from '../command.ts'
import { counted } from '../units.ts'
import { damageLines } from './check.ts'

export const salvage: Command = {
  name: 'salvage',
  summary: 'copies what is intact of a damaged log to a new directory',
  about: [
    'Copies every intact record, before and after the damage, at its own index into a new directory, which opens like any log; what could not be saved is a gap there. The damaged directory is only read.',
    'The first thing to do about a damaged log: it loses nothing, and keeps the most. Then either go on with the copy, or `varve recover` the original where it lies.',
  ],
  operands: [{ name: 'from', about: 'directory of the damaged log; it is not changed' }, { name: 'to', about: 'the new directory: missing, or empty' }],
  options: {},
  exits: { [OK]: 'the copy is made, whether there was damage or not', [DAMAGED]: 'it is damaged in a way that leaves nothing to copy' },
  interrupted: 'the copy is not whole. Delete it, and run salvage again.',
  example: {
    command: 'varve salvage data/damaged data/saved',
    output: `
/srv/data/damaged/0000000000000002.seg at byte 8000: payload does not match its checksum
/srv/data/damaged/0000000000000002.idx at byte 0: the sidecar index is damaged or stale; it will be rebuilt
salvaged around 2 damaged places: 2,999 records copied to data/saved
`,
  },
  async run(args, context) {
    const [from, to] = args.operands as [string, string]
    const report = await context.watch('salvaging', (options) => context.care.salvage(from, to, options))
    if (context.json) {
      context.out.line(JSON.stringify(report))
    } else {
      for (const line of damageLines(report)) context.out.line(line)
      context.out.line(`${report.ok ? 'no damage' : `salvaged around ${counted(report.damage.length, 'damaged place')}`}: ${counted(report.keptEntries, context.noun)} copied to ${to}`)
    }
    return OK
  },
}
