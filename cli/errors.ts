// Errors as a person reads them, with what to do; and as JSON.
import { isVarveError, version } from 'varve'
import { UsageError } from './arguments.ts'
import { DAMAGED, FAILED, USAGE } from './command.ts'
import { NoLogError } from './engines.ts'
import { FormatError } from './format.ts'

export interface Failure {
  code: string
  message: string
  path?: string
  position?: number
  index?: number
  pid?: number
  limit?: number
  cause?: { code?: string; message: string }
  /** What to do about it. */
  advice: string
  exitCode: number
}

/** What is to be said of an error of `verb` on `dir`. */
export function failureOf(error: unknown, verb: string | undefined, dir: string | undefined): Failure {
  const message = error instanceof Error ? error.message : String(error)
  if (error instanceof UsageError) {
    const help = error.verb === undefined ? 'varve --help' : `varve help ${error.verb}`
    return { code: 'USAGE', message, advice: `\`${help}\` says what there is.`, exitCode: USAGE }
  }
  if (error instanceof NoLogError) {
    return { code: 'NO_LOG', message, path: error.path, advice: 'Give the directory itself that the log was opened with.', exitCode: FAILED }
  }
  if (error instanceof FormatError) {
    return { code: 'FORMAT', message, index: error.index, advice: 'Use another --format: text, hex, base64 and length take any record.', exitCode: FAILED }
  }
  const facts = factsOf(error)
  const code = (error as NodeJS.ErrnoException | undefined)?.code ?? 'UNEXPECTED'
  const exitCode = code === 'VARVE_CORRUPT' ? DAMAGED : code === 'VARVE_INVALID_ARGUMENT' ? USAGE : FAILED
  return { code, message, ...facts, advice: adviceOn(error, code, verb, dir ?? '<dir>'), exitCode }
}

/** The same for people, line by line. */
export function failureLines(failure: Failure, verb: string | undefined): string[] {
  const { code, message, advice, cause } = failure
  const lines = [`varve${verb === undefined ? '' : ` ${verb}`}: ${message}`]
  const told: [string, string | number | undefined][] = [
    ['code', /^VARVE_|^E[A-Z]+$/.test(code) ? code : undefined],
    ['path', failure.path !== undefined && !message.includes(failure.path) ? failure.path : undefined],
    ['position', failure.position],
    ['index', failure.index !== undefined && !message.includes(String(failure.index)) ? failure.index : undefined],
    ['limit', failure.limit],
    ['cause', cause === undefined ? undefined : [cause.code, message.includes(cause.message) ? undefined : cause.message].filter(Boolean).join(': ')],
    ['to do', advice],
  ]
  for (const [name, value] of told) if (value !== undefined && value !== '') lines.push(`  ${name.padEnd(8)}  ${value}`)
  return lines
}

function factsOf(error: unknown): Partial<Failure> {
  const facts: Record<string, unknown> = {}
  if (typeof error !== 'object' || error === null) return facts
  const given = error as Record<string, unknown>
  if (typeof given['path'] === 'string') facts['path'] = given['path']
  for (const name of ['position', 'index', 'pid', 'limit']) if (typeof given[name] === 'number') facts[name] = given[name]
  const cause = given['cause']
  if (cause instanceof Error) {
    const { code } = cause as NodeJS.ErrnoException
    facts['cause'] = code === undefined ? { message: cause.message } : { code, message: cause.message }
  }
  return facts
}

function adviceOn(error: unknown, code: string, verb: string | undefined, dir: string): string {
  switch (code) {
    case 'VARVE_CORRUPT':
      return `\`varve check ${dir}\` lists all damage; \`varve dump ${dir} --skip-damage\` reads on behind it; \`varve salvage ${dir} <to>\` copies what is intact.`
    case 'VARVE_LOCKED':
      if (verb === 'backup') return 'Close the log in that process, or have it make the backup itself, by log.backup().'
      return 'Close the log in that process and come again. stat, check, dump and tail work beside it.'
    case 'VARVE_OUT_OF_RANGE':
      return `\`varve stat ${dir}\` says what there is. A log that is trimmed at its start may drop what is just being read.`
    case 'VARVE_UNSUPPORTED':
      return `Use the version of varve that wrote it (this is ${version}), and move away what is not of this log.`
    case 'VARVE_NO_SPACE':
      return `Make room on the disk${verb === undefined ? '' : `, and run ${verb} again`}: it goes on from what is there.`
    case 'VARVE_SYNC_FAILED':
      return 'Look at the disk: what was written since its last sync may be lost.'
    case 'DECLINED':
      return 'Nothing was changed.'
    case 'VARVE_CONFLICT':
    case 'VARVE_INVALID_ARGUMENT':
      return `\`varve help${verb === undefined ? '' : ` ${verb}`}\` says what is taken.`
  }
  const system = (isVarveError(error) ? (error.cause as NodeJS.ErrnoException | undefined)?.code : code) ?? ''
  switch (system) {
    case 'EACCES':
    case 'EPERM':
      return 'Run it as the user whom the files belong to, or have them made readable.'
    case 'EROFS':
      return 'The file system is mounted read-only: mount it for writing, or work on a copy.'
    case 'ENOSPC':
    case 'EDQUOT':
      return 'Make room on the disk, and come again.'
    case 'EMFILE':
    case 'ENFILE':
      return 'Raise the limit of open files (ulimit -n).'
    case 'EIO':
      return 'The disk itself fails: copy what it still gives, and work on the copy.'
    case 'EBUSY':
      return 'Something else uses the file: end that, and come again.'
  }
  return isVarveError(error) ? 'docs/errors.md in the package says what each code means.' : 'This should not happen: please report it, with the message and what was run.'
}
