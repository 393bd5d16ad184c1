import type { CheckReport } from 'varve'
import { type Command, DAMAGED, OK } from '../command.ts'
import { counted, size } from '../units.ts'

/** The difference between the two repairs, in a line each. */
export function repairs(dir: string, noun: string): string[] {
  return [
    `  varve salvage ${dir} <to>   first: copies every intact ${noun}, before and after the damage, to a new directory; only reads this one`,
    `  varve recover ${dir}        repairs in place: keeps what is before the first damage, and sets the rest aside in .lost files`,
  ]
}

/** `path at byte position: reason`, a line each. */
export function damageLines({ damage }: CheckReport): string[] {
  return damage.map(({ path, position, reason }) => `${path} at byte ${position}: ${reason}`)
}

/** What `check` has to say of the bytes that it read. */
export function extent({ entries, segments, bytes }: CheckReport, noun: string): string {
  return `${counted(entries, `intact ${noun}`)} in ${counted(segments, 'segment')}, ${size(bytes)} read`
}

export const check: Command = {
  name: 'check',
  summary: 'reads every byte and verifies every checksum',
  about: [
    'Reads all segments and verifies every checksum, every index and the way the segments follow each other. It lists all damage, and its last line says that the log is sound, or what to do next.',
    'Run it after a disk has failed, when an open was refused with VARVE_CORRUPT, and from time to time on what is only kept: a backup that was never checked is none. It works beside a writer, changes '
      + 'nothing, and takes no lock. A torn tail, which is what a crash leaves of writes that were never acknowledged as durable, is listed, and is no damage: the next open cuts it.',
  ],
  operands: [{ name: 'dir', about: 'directory of the log' }],
  options: {},
  example: {
    command: 'varve check data/damaged',
    output: `
/srv/data/damaged/0000000000000002.seg at byte 8000: payload does not match its checksum
/srv/data/damaged/0000000000000002.idx at byte 0: the sidecar index is damaged or stale; it will be rebuilt
damaged: 2 places; 2,999 intact records in 3 segments, 192 KiB read. What to do:
  varve salvage data/damaged <to>   first: copies every intact record, before and after the damage, to a new directory; only reads this one
  varve recover data/damaged        repairs in place: keeps what is before the first damage, and sets the rest aside in .lost files
`,
  },
  async run(args, context) {
    const { out, json, noun } = context
    const report = await context.watch('checking', (options) => context.care.check(args.dir, options))
    if (json) {
      out.line(JSON.stringify(report))
    } else {
      for (const line of damageLines(report)) out.line(line)
      for (const line of verdict(report, args.dir, noun)) out.line(line)
    }
    return report.ok ? OK : DAMAGED
  },
}

function verdict(report: CheckReport, dir: string, noun: string): string[] {
  const { ok, damage } = report
  if (!ok) return [`damaged: ${counted(damage.length, 'place')}; ${extent(report, noun)}. What to do:`, ...repairs(dir, noun)]
  const notes = damage.length === 0 ? '' : '; what is listed is no loss: the next open of a writer puts it right'
  return [`ok: ${extent(report, noun)}${notes}`]
}
