import type { RecoverReport } from 'varve'
import { UsageError } from '../arguments.ts'
import { type Command, type Context, DAMAGED, OK } from '../command.ts'
import { counted } from '../units.ts'
import { damageLines } from './check.ts'

export const recover: Command = {
  name: 'recover',
  summary: 'repairs a damaged log in place',
  about: [
    'Keeps all records before the first damage, and sets everything behind it aside in .lost files in the same directory: nothing is deleted. Afterwards the log opens again, and its next record follows the last one kept. '
      + 'On a log without damage it changes nothing.',
    'For a log that has to go on at its place, and whose records are worth nothing without those before them. What is intact behind the damage is lost to readers: run `varve salvage` first, which copies it, and keep that '
      + 'copy or a backup. Nobody may have the log open. It asks before it begins; without a terminal it needs --yes.',
  ],
  operands: [{ name: 'dir', about: 'directory of the log; it is changed' }],
  options: { yes: { short: 'y', about: 'does not ask' } },
  exits: { [OK]: 'the log is sound now, whether there was damage or not', [DAMAGED]: 'it is damaged in a way that cannot be repaired' },
  interrupted: 'the log is as it was, or the repair is half done; nothing is lost. Run recover again: it goes on.',
  example: {
    command: 'varve recover data/damaged --yes',
    output: `
/srv/data/damaged/0000000000000002.seg at byte 8000: payload does not match its checksum
/srv/data/damaged/0000000000000002.idx at byte 0: the sidecar index is damaged or stale; it will be rebuilt
set aside: /srv/data/damaged/0000000000000002-0000000000008000.lost
set aside: /srv/data/damaged/0000000000000003-0000000000000000.lost
recovered: 1,485 records kept, 2 files set aside. The log opens again.
`,
  },
  async run(args, context) {
    if (!args.has('yes')) await ask(args.dir, context)
    const report = await context.watch('recovering', (options) => context.care.recover(args.dir, options))
    if (context.json) context.out.line(JSON.stringify(report))
    else for (const line of lines(report, context.noun)) context.out.line(line)
    return OK
  },
}

async function ask(dir: string, context: Context): Promise<void> {
  context.note(`recover changes ${dir}: it keeps what is before the first damage, and sets the rest aside. \`varve salvage ${dir} <to>\` copies all that is intact: try it first.`)
  const yes = await context.confirm('Go on?')
  if (yes === undefined) throw new UsageError('recover changes the directory: say --yes where nobody can be asked', 'recover')
  if (!yes) throw Object.assign(new Error('not confirmed'), { code: 'DECLINED' })
}

function lines(report: RecoverReport, noun: string): string[] {
  const { ok, keptEntries, setAside } = report
  if (ok) return [...damageLines(report), `ok: nothing to repair; ${counted(keptEntries, noun)}`]
  return [
    ...damageLines(report),
    ...setAside.map((path) => `set aside: ${path}`),
    `recovered: ${counted(keptEntries, noun)} kept, ${counted(setAside.length, 'file')} set aside. The log opens again.`,
  ]
}
