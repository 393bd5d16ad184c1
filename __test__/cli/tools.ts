import { type ChildProcess, spawn } from 'node:child_process'
import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { fileURLToPath } from 'node:url'
import type { ExecutionContext } from 'ava'
import { codecs, Log, PartitionedLog, Wal, type WalOptions } from 'varve'
import { type Engine, engines } from '../../cli/engines.ts'
import { main, type Surroundings } from '../../cli/main.ts'
import { type Ended, ended, runCommand } from '../support/child.ts'
import { freshDir } from '../support/directory.ts'

/** The command line as it is published. */
export const cli: string = fileURLToPath(new URL('../../cli.js', import.meta.url))

const native = createRequire(import.meta.url)('../../native.cjs') as Record<string, unknown>
/** Whether the addon that lies there can repair and copy. */
export const repairs: boolean = typeof native['recoverWal'] === 'function'

/** Runs `varve …` to its end. */
export function varve(args: readonly string[], cwd?: string): Promise<Ended> {
  return runCommand(process.execPath, [cli, ...args], cwd === undefined ? {} : { cwd })
}

/** The same in this process, quicker; `more` are engines beside those there are. */
export async function inside(args: readonly string[], more: readonly Engine[] = []): Promise<Omit<Ended, 'signal'>> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()]
  const around = { stdin: new PassThrough(), stdout, stderr, env: {}, on() {}, off() {} } as unknown as Surroundings
  const code = await main(args, around, [...engines, ...more])
  return { code, stdout: String(stdout.read() ?? ''), stderr: String(stderr.read() ?? '') }
}

/** Starts `varve …`, and goes on. */
export function startVarve(args: readonly string[]): { child: ChildProcess; end: Promise<Ended> } {
  const env = { ...process.env }
  delete env['NODE_CHANNEL_FD']
  delete env['NODE_OPTIONS']
  const child = spawn(process.execPath, [cli, ...args], { stdio: ['pipe', 'pipe', 'pipe'], env })
  return { child, end: ended(child) }
}

/** A closed log with these records. */
export function logOf(t: ExecutionContext, records: readonly (string | Buffer)[], options: WalOptions = {}): string {
  const dir = join(freshDir(t), 'log')
  const log = Wal.openSync(dir, options)
  for (const record of records) log.append(record)
  log.closeSync()
  return dir
}

/** A directory as the examples of the help have it: `data/log`, and `data/damaged`, the same with one byte flipped. */
export function exampleDir(t: ExecutionContext): string {
  const cwd = freshDir(t)
  const log = Wal.openSync(join(cwd, 'data', 'log'), { segmentSize: 65_536, codec: codecs.utf8 })
  for (let i = 0; i < 3000; i++) log.append(`order ${i}: 12 boxes of tea`)
  log.closeSync()
  const messages = Log.openSync(join(cwd, 'data', 'messages'), { key: codecs.utf8, value: codecs.utf8, compression: 'lz4' })
  messages.appendBatch(Array.from({ length: 3000 }, (_, i) => ({ key: `customer ${i % 10}`, value: `order ${i}: 12 boxes of tea`, time: i })))
  messages.closeSync()
  cpSync(join(cwd, 'data', 'log'), join(cwd, 'data', 'damaged'), { recursive: true })
  damage(join(cwd, 'data', 'damaged'), 1, 8_000)
  return cwd
}

/** Adds `data/topic`, a log of partitions, to that directory. */
export async function addTopic(cwd: string): Promise<void> {
  const topic = await PartitionedLog.open(join(cwd, 'data', 'topic'), { partitions: 4, key: codecs.utf8, value: codecs.utf8 })
  topic.appendBatch(Array.from({ length: 3000 }, (_, i) => ({ key: `customer ${i % 3}`, value: `order ${i}: 12 boxes of tea`, time: i, partition: i % 3 })))
  await topic.close()
}

/** Flips a bit in the segment at `place` of the directory, in the first record of tea behind `from`. */
export function damage(dir: string, place: number, from: number): void {
  const path = join(dir, readdirSync(dir).filter((name) => name.endsWith('.seg')).sort()[place]!)
  const bytes = readFileSync(path)
  const at = bytes.indexOf('tea', from)
  bytes[at]! ^= 1
  writeFileSync(path, bytes)
}

/** Every line of a text, parsed. */
export function jsonLines(text: string): unknown[] {
  return text.split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as unknown)
}
