import { type ChildProcess, spawn, type SpawnOptions } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

export interface Ended {
  code: number | null
  signal: string | null
  stdout: string
  stderr: string
}

/** A program of __test__/programs, to be run by itself or in a worker thread. */
export function program(name: string): URL {
  return new URL(`../programs/${name}.mjs`, import.meta.url)
}

/** Starts a program in a process of its own; its standard input stays open. */
export function start(name: string, args: readonly unknown[], options: SpawnOptions = {}): ChildProcess {
  return launch(process.execPath, [fileURLToPath(program(name)), ...args.map(String)], options)
}

/** Runs a program to its end. */
export function run(name: string, args: readonly unknown[], options?: SpawnOptions): Promise<Ended> {
  const child = start(name, args, options)
  child.stdin!.end()
  return ended(child)
}

/** Runs any command to its end. */
export function runCommand(command: string, args: readonly string[], options?: SpawnOptions): Promise<Ended> {
  const child = launch(command, args, options)
  child.stdin!.end()
  return ended(child)
}

/** What became of a child. */
export async function ended(child: ChildProcess): Promise<Ended> {
  const output = { stdout: '', stderr: '' }
  child.stdout!.setEncoding('utf8').on('data', (text: string) => (output.stdout += text))
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (output.stderr += text))
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
  return { code, signal, ...output }
}

/** The first line that a child prints. */
export async function firstLine(child: ChildProcess): Promise<string> {
  let text = ''
  for await (const chunk of child.stdout!) {
    text += String(chunk)
    const end = text.indexOf('\n')
    if (end >= 0) return text.slice(0, end)
  }
  throw new Error(`the child ended without a line; it printed ${JSON.stringify(text)}`)
}

function launch(command: string, args: readonly string[], options: SpawnOptions = {}): ChildProcess {
  // A child that reports by itself to ava's parent, or inherits its loader, would be another test process.
  const env = { ...process.env, ...options.env }
  delete env['NODE_CHANNEL_FD']
  delete env['NODE_OPTIONS']
  return spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], ...options, env })
}
