// Running programs, for the scripts beside this file: Node alone, no package, since they are what installs the packages.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('..', import.meta.url))

/** A program that an installed package brings. */
export const bin = (name) => join(root, 'node_modules', '.bin', name)

/** Prints what is about to be done, where a newcomer would else see nothing happen. */
export const say = (line) => console.error(`\n── ${line}`)

/** Runs a program to its end, its output going where ours goes; returns its exit code. */
export function run(command, args, options = {}) {
  const { status, signal, error } = spawnSync(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'], ...options })
  if (error !== undefined) {
    console.error(`${command} cannot be started: ${error.message}`)
    return 127
  }
  if (signal !== null) console.error(`${command} ended by ${signal}`)
  return status ?? 1
}

/** The same, and the end of this process where it fails. */
export function must(command, args, options) {
  const code = run(command, args, options)
  if (code !== 0) process.exit(code)
}

/** Runs a program, showing its output as it comes, and returns that too. */
export function capture(command, args, options = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'], ...options })
    let output = ''
    for (const [source, target] of [[child.stdout, process.stdout], [child.stderr, process.stderr]]) {
      source.setEncoding('utf8').on('data', (text) => {
        output += text
        target.write(text)
      })
    }
    child.on('error', (error) => {
      console.error(`${command} cannot be started: ${error.message}`)
      resolve({ code: 127, output })
    })
    child.on('close', (code) => resolve({ code: code ?? 1, output }))
  })
}

/** npm, as the one that started us where there is one. */
export function npm(args) {
  const cli = process.env.npm_execpath
  if (cli !== undefined && existsSync(cli) && /npm-cli\.c?js$/.test(cli)) must(process.execPath, [cli, ...args])
  else must('npm', args)
}
