// `varve <verb> <dir>`: finds the verb, the engine and the command, runs it, and turns what comes of it into an exit code.
import { once } from 'node:events'
import { createInterface } from 'node:readline/promises'
import type { ReadStream, WriteStream } from 'node:tty'
import { version } from 'varve'
import { meant, checkOptions, readArguments, UsageError } from './arguments.ts'
import { type Command, type Context, INTERRUPTED, OK, USAGE } from './command.ts'
import { type Engine, engineOf, engines as allEngines } from './engines.ts'
import { failureLines, failureOf } from './errors.ts'
import { overview, verbHelp, verbNames } from './help.ts'
import { Output } from './output.ts'
import { ProgressBar } from './progress.ts'

/** The process, as far as the command line touches it. */
export interface Surroundings {
  stdin: ReadStream
  stdout: WriteStream
  stderr: WriteStream
  env: Readonly<Record<string, string | undefined>>
  on(signal: NodeJS.Signals, listener: () => void): unknown
  off(signal: NodeJS.Signals, listener: () => void): unknown
}

/** Signals that end the work, and the exit codes that say so. */
const ENDS: readonly [NodeJS.Signals, number][] = [['SIGINT', INTERRUPTED], ['SIGTERM', 143]]

/** Runs one command line; returns the exit code. */
export async function main(args: readonly string[], around: Surroundings, engines: readonly Engine[] = allEngines): Promise<number> {
  const control = new AbortController()
  /** The exit code of what has called the work off. */
  let ended: number | undefined
  const end = (code: number) => {
    ended ??= code
    control.abort()
  }
  let unwritable: Error | undefined
  const out = new Output(around.stdout, (error) => {
    if (error.code !== 'EPIPE') unwritable = error
    end(OK)
  })
  // Who does not listen to errors is not told any.
  around.stderr.on('error', () => {})
  // A second signal ends the process as if nobody listened.
  const listeners = ENDS.map(([signal, code]) => {
    const listener = () => {
      around.off(signal, listener)
      end(code)
    }
    around.on(signal, listener)
    return [signal, listener] as const
  })
  const json = args.includes('--json')
  let verb: string | undefined
  let dir: string | undefined
  let command: Command | undefined
  const fail = (error: unknown): number => {
    const failure = failureOf(error, verb, dir)
    around.stderr.write(json ? `${JSON.stringify({ error: failure })}\n` : `${failureLines(failure, verb).join('\n')}\n`)
    return failure.exitCode
  }
  const run = async (): Promise<number> => {
    const plain = plainAnswer(args, engines)
    if (plain !== undefined) {
      out.line(plain)
      return OK
    }
    if (args.length === 0) {
      around.stderr.write(`${overview(engines)}\n`)
      return USAGE
    }
    const at = args.findIndex((arg) => !arg.startsWith('-'))
    if (at < 0) throw new UsageError(`there is no verb in: varve ${args.join(' ')}`)
    const named = args[at]!
    const commands = commandsNamed(named, engines)
    verb = named
    const read = readArguments(args.filter((_, i) => i !== at), commands)
    if (read.has('help')) {
      out.line(verbHelp(named, engines))
      return OK
    }
    dir = read.dir
    const engine = await engineOf(dir, engines)
    command = engine.commands.find(({ name }) => name === named)
    if (command === undefined) throw new UsageError(`${dir} holds a ${engine.name}, which has no ${verb}; it has ${engine.commands.map(({ name }) => name).join(', ')}`)
    checkOptions(read, command, engine.name)
    return command.run(read, contextOf(around, engine, out, control.signal, json, json || read.has('quiet')))
  }
  try {
    const code = await run()
    await out.flush()
    return unwritable === undefined ? (ended ?? code) : fail(unwritable)
  } catch (error) {
    await out.flush()
    if (unwritable !== undefined) return fail(unwritable)
    if (ended === undefined) return fail(error)
    if (ended !== OK && !json && command?.interrupted !== undefined) around.stderr.write(`varve ${verb}: interrupted: ${command.interrupted}\n`)
    return ended
  } finally {
    for (const [signal, listener] of listeners) around.off(signal, listener)
  }
}

/** The answer where no directory is asked for: version and help. */
function plainAnswer(args: readonly string[], engines: readonly Engine[]): string | undefined {
  const [first, second] = args
  if (first === '--version' || first === '-v' || first === 'version') return version
  const isHelp = first === 'help' || first === '--help' || first === '-h'
  if (!isHelp) return undefined
  if (second === undefined || second.startsWith('-')) return overview(engines)
  const [command] = commandsNamed(second, engines)
  return verbHelp(command.name, engines)
}

/** The commands of all engines by that name. */
function commandsNamed(name: string, engines: readonly Engine[]): [Command, ...Command[]] {
  const [first, ...others] = new Set(engines.flatMap(({ commands }) => commands.filter((command) => command.name === name)))
  if (first !== undefined) return [first, ...others]
  const names = verbNames(engines)
  const suggestion = meant(name, [...names, 'help'])
  throw new UsageError(`there is no verb ${JSON.stringify(name)}${suggestion === '' ? `; there are ${names.join(', ')}` : suggestion}`)
}

function contextOf({ stdin, stderr, env }: Surroundings, { care, noun }: Engine, out: Output, signal: AbortSignal, json: boolean, quiet: boolean): Context {
  const seen = stderr.isTTY && env['TERM'] !== 'dumb' && !quiet
  return {
    care,
    noun,
    out,
    json,
    signal,
    note(line) {
      if (!quiet) stderr.write(`${line}\n`)
    },
    async watch(label, work) {
      if (!seen) return work({ signal })
      const bar = new ProgressBar({ label, write: (text) => stderr.write(text), columns: () => stderr.columns, now: () => performance.now() })
      try {
        return await work({ signal, onProgress: (progress) => bar.show(progress) })
      } finally {
        bar.clear()
      }
    },
    async confirm(question) {
      if (!stdin.isTTY || !stderr.isTTY || json) return undefined
      // Not as a terminal of its own: Ctrl-C has to stay a signal. The end of the input is no yes.
      const asking = createInterface({ input: stdin, output: stderr, terminal: false })
      try {
        const closed = once(asking, 'close').then(() => '')
        const answer = await Promise.race([asking.question(`${question} [y/N] `, { signal }), closed])
        return /^y(es)?$/i.test(answer.trim())
      } finally {
        asking.close()
      }
    },
  }
}

