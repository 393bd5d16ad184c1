// What a verb is: one description that the parser, the help, docs/cli.md and the tests read.
import type { CareOptions, CheckReport, RecoverReport } from 'varve'
import type { Arguments } from './arguments.ts'
import type { Output } from './output.ts'

/** Exit codes; documented in `exitCodes`. */
export const OK = 0
export const DAMAGED = 1
export const USAGE = 2
export const FAILED = 3
export const INTERRUPTED = 130

export interface Option {
  /** What its value is called in the help. Without one it is a switch. */
  value?: string
  /** Its one-letter form. */
  short?: string
  about: string
}

export interface Operand {
  name: string
  about: string
}

/** A command line in a directory that holds the log `data/log`, and what it prints. The tests run it. */
export interface Example {
  command: string
  output: string
}

export interface Command {
  readonly name: string
  /** One line, for the list of verbs. */
  readonly summary: string
  /** What it does and when to use it: one paragraph a string. */
  readonly about: readonly string[]
  /** The first is the directory by which the engine is found. */
  readonly operands: readonly [Operand, ...Operand[]]
  /** Those that it has beside `commonOptions`. */
  readonly options: Readonly<Record<string, Option>>
  /** What 0 and 1 mean here, where that is not plain. */
  readonly exits?: Readonly<Record<number, string>>
  /** What SIGINT leaves behind, where it is not nothing. */
  readonly interrupted?: string
  readonly example: Example
  /** Does the work, and returns the exit code. */
  run(args: Arguments, context: Context): Promise<number>
}

/** The work on directories that all engines have. */
export interface Care {
  check(dir: string, options?: CareOptions): Promise<CheckReport>
  recover(dir: string, options?: CareOptions): Promise<RecoverReport>
  salvage(from: string, to: string, options?: CareOptions): Promise<RecoverReport>
}

/** What a verb works with beside its arguments. */
export interface Context {
  /** Of the engine whose directory it is. */
  readonly care: Care
  /** What it holds: a record, or a message. */
  readonly noun: string
  readonly out: Output
  /** `--json` was given: standard output has JSON and nothing else. */
  readonly json: boolean
  /** Aborted by SIGINT and SIGTERM, and when nobody reads standard output any more. */
  readonly signal: AbortSignal
  /** A line for people, on standard error; nothing with `--json` or `--quiet`. */
  note(line: string): void
  /** Runs long work, with a progress bar where a person looks on. */
  watch<T>(label: string, work: (options: CareOptions) => Promise<T>): Promise<T>
  /** Asks a person; undefined where there is none. */
  confirm(question: string): Promise<boolean | undefined>
}

export const commonOptions: Readonly<Record<string, Option>> = {
  json: { about: 'prints JSON on standard output, and nothing else; errors are JSON on standard error' },
  quiet: { short: 'q', about: 'no progress bar and no remarks on standard error; errors are still printed' },
  help: { short: 'h', about: 'prints this help' },
}

export const exitCodes: Readonly<Record<number, string>> = {
  [OK]: 'it did its work, and met no damage',
  [DAMAGED]: 'the log is damaged',
  [USAGE]: 'the command line is wrong; nothing was done',
  [FAILED]: 'it failed: the code, the path, the position, the cause and what to do are on standard error',
  [INTERRUPTED]: 'ended by SIGINT (Ctrl-C), cleanly; 143 by SIGTERM',
}
