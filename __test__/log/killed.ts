import type { ChildProcess } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import type { ExecutionContext } from 'ava'
import type { PartitionLog } from 'varve'
import { BEGIN, idOf, KEYS, textOf } from '../programs/log-chaos-message.mjs'
import { start } from '../support/child.ts'
import { type Found, written } from './kill-model.ts'

/** Reads all of a log by every way, and throws where they do not agree. A removal that was cut short may leave `startOffset` before the first message, until the next one is done. */
export function look(log: PartitionLog, random: (below: number) => number, isExact: boolean): Found {
  const { startOffset: start, nextOffset: next } = log
  const ids = new Map<number, string>()
  const last = new Map<string | null, number>()
  for (const message of log.messages()) {
    ids.set(message.offset, idOf(message))
    last.set(message.key?.toString() ?? null, message.offset)
  }
  const offsets = [...ids.keys()]
  const say = (what: string): never => {
    throw new Error(`${what}; the log is ${start} to ${next}, with ${offsets.length} messages`)
  }
  if (isExact ? start !== (offsets[0] ?? next) : start > (offsets[0] ?? next)) say(`it begins at ${start}, and the first message is ${offsets[0]}`)
  if ((offsets.at(-1) ?? 0) >= next && offsets.length > 0) say(`a message at ${offsets.at(-1)}`)
  if (new Set(ids.values()).size !== ids.size) say('a message is there twice')
  for (const key of [null, ...Array.from({ length: KEYS }, (_, i) => `key ${i}`)]) {
    const found = log.getByKey(key)
    if (found?.offset !== last.get(key) || log.offsetByKey(key) !== last.get(key)) say(`getByKey(${key}) is ${found?.offset}, and the last one ${last.get(key)}`)
    if (found !== undefined && idOf(found) !== ids.get(found.offset)) say(`getByKey(${key}) at ${found.offset} is another`)
    const of = Array.from(log.messages({ key }), ({ offset }) => offset)
    if (of.join() !== offsets.filter((offset) => written(ids.get(offset)!).key === key).join()) say(`messages({ key: ${key} }) differ`)
  }
  for (let i = 0; i < 30; i++) {
    const time = i === 0 ? 0 : i === 1 ? BEGIN * 2 : offsets.length === 0 ? BEGIN : written(ids.get(offsets[random(offsets.length)]!)!).time + random(3) - 1
    const found = log.getByTime(time)
    const expected = offsets.find((offset) => written(ids.get(offset)!).time >= time)
    if (found?.offset !== expected) say(`getByTime(${time}) is ${found?.offset}, and should be ${expected}`)
    if (found !== undefined && textOf(found) !== textOf(written(ids.get(found.offset)!))) say(`getByTime(${time}) is another`)
    if (start === next) continue
    const offset = start + random(next - start)
    const got = log.get(offset)
    if ((got && idOf(got)) !== ids.get(offset)) say(`get(${offset}) is ${got && idOf(got)}, and should be ${ids.get(offset)}`)
  }
  const cursor = log.cursors().find(({ name }) => name === 'billing')?.offset
  return { start, next, ids, cursor, mark: 0 }
}

/** What a follower must come to. */
export const hashOf: (found: Found) => string = ({ ids }) => {
  const hash = createHash('sha1')
  for (const [offset, id] of ids) hash.update(`${offset} ${id}\n`)
  return hash.digest('hex')
}

/** A program that follows the log in another process. */
export class Follower {
  readonly #child: ChildProcess
  readonly #lines: AsyncIterator<string>
  constructor(t: ExecutionContext, program: string, dir: string) {
    this.#child = start(program, [dir])
    this.#lines = createInterface({ input: this.#child.stdout! })[Symbol.asyncIterator]()
    this.#child.stderr!.setEncoding('utf8').on('data', (text: string) => t.log(text))
    t.teardown(() => this.#child.kill('SIGKILL'))
  }

  async line(): Promise<string> {
    const { value, done } = await this.#lines.next()
    return done === true ? 'ended' : value
  }

  async ask(line: string): Promise<string> {
    this.#child.stdin!.write(`${line}\n`)
    return this.line()
  }

  async end(): Promise<void> {
    const { exitCode, signalCode, stdin } = this.#child
    if (exitCode !== null || signalCode !== null) return
    stdin!.end()
    await once(this.#child, 'close')
  }
}

/** Runs a writer until it is in the middle of things, kills it, and gives the lines that it wrote. */
export async function killed(program: string, args: readonly unknown[], round: number, delay: number): Promise<string[]> {
  const writer = start(program, args)
  let [output, complaint] = ['', '']
  let isReady = false
  writer.stdout!.setEncoding('utf8').on('data', (text: string) => {
    output += text
    // Every other time while one is about to remove.
    const begun = output.lastIndexOf('\ni ')
    if (isReady && round % 2 === 1 && begun > Math.max(output.lastIndexOf('\nd'), output.lastIndexOf('\nx'))) writer.kill('SIGKILL')
  })
  writer.stderr!.setEncoding('utf8').on('data', (text: string) => (complaint += text))
  // Usually when all threads are at it; now and then while they begin.
  const names = round % 10 === 5 ? ['m'] : ['m', 'w']
  while (!names.every((name) => output.includes(` ${round}${name} `)) && writer.exitCode === null) await setTimeout(1)
  isReady = true
  const closed = once(writer, 'close')
  await Promise.race([closed, setTimeout(round % 2 === 1 ? 1000 : delay)])
  writer.kill('SIGKILL')
  await closed
  if (writer.exitCode !== null) throw new Error(`round ${round}: the writer ended by itself: ${complaint}`)
  // What follows the last line break was cut off by the kill.
  return output.split('\n').slice(0, -1)
}


/** What a writer said of removals, and last. */
export function lastOf(lines: readonly string[]): string {
  const removals = lines.filter((line) => /^[idx]/.test(line)).slice(-6)
  return `removals: ${removals.map((line) => line.slice(0, 200)).join(' | ')}; last: ${lines.slice(-5).join(' | ')}`
}
