import { type ChildProcess, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import type { ExecutionContext } from 'ava'
import type { WalRecord } from 'varve'
import { start } from './child.ts'

/** The next `count` records of a tail, or of anything like it, which stays open. */
export async function take<T>(records: AsyncIterator<WalRecord<T>, undefined>, count: number): Promise<WalRecord<T>[]> {
  const taken: WalRecord<T>[] = []
  while (taken.length < count) {
    const { value, done } = await records.next()
    if (done) throw new Error(`ended after ${taken.length} of ${count} records`)
    taken.push(value)
  }
  return taken
}

export const textOf = ({ index, data }: WalRecord): string => `${index} ${data.toString()}`

/** Waits until something is so, however long that takes; ava's own timeout ends it. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await setTimeout(1)
}

/** Whether a promise is still pending after everything that could settle it by itself has had its turn. */
export async function isPending(promise: Promise<unknown>): Promise<boolean> {
  let settled = false
  const settle = (): boolean => (settled = true)
  promise.then(settle, settle)
  for (let turns = 0; turns < 5; turns++) await setTimeout(1)
  return !settled
}

/** A log in another process, which does what it is told. */
export class Remote {
  readonly child: ChildProcess
  readonly #answers: ((answer: { value?: unknown; code?: string; message?: string }) => void)[] = []
  #errors = ''

  constructor(t: ExecutionContext, dir: string, options: object = {}, name: 'remote' | 'remote-log' | 'remote-partitions' = 'remote') {
    this.child = start(name, [dir, JSON.stringify(options)])
    this.child.stderr!.setEncoding('utf8').on('data', (text: string) => (this.#errors += text))
    createInterface({ input: this.child.stdout! }).on('line', (line) => this.#answers.shift()!(JSON.parse(line)))
    this.child.on('close', () => this.#answers.splice(0).forEach((answer) => answer({ code: 'ENDED', message: this.#errors })))
    t.teardown(() => this.kill())
  }

  /** Calls a method of the log, or one of the program's own: reopen, fill, texts, tail, take, state. An error of its own has the same code. */
  async call<V = unknown>(method: string, ...args: unknown[]): Promise<V> {
    const { value, code, message } = await new Promise<{ value?: unknown; code?: string; message?: string }>((resolve) => {
      this.#answers.push(resolve)
      this.child.stdin!.write(`${JSON.stringify([method, ...args])}\n`)
    })
    if (code !== undefined) throw Object.assign(new Error(message), { code })
    return value as V
  }

  async kill(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    this.child.kill('SIGKILL')
    await once(this.child, 'close')
  }
}

/** Whether this process may do what only root may. */
export const isRoot: boolean = process.getuid?.() === 0
/** Runs a command that belongs to the system; true if it did what it was to do. */
export const succeeds = (command: string, ...args: string[]): boolean => spawnSync(command, args, { stdio: 'ignore' }).status === 0

/** Damages one byte of a file. */
export function flipByte(path: string, position: number): void {
  const bytes = readFileSync(path)
  bytes[position]! ^= 0xff
  writeFileSync(path, bytes)
}
