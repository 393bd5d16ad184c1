// Messages that say by their offset what they are, so that all of a log can be checked, whatever has become of its files.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ExecutionContext } from 'ava'
import { Log, type LogOptions, type Message, type PartitionedLog } from 'varve'
import { closedAfter } from '../support/directory.ts'

/** A log, or that of a partition. */
type Held = PartitionedLog['logs'][number]

export const indexed: LogOptions = { segmentSize: 65_536, indexes: { key: true, time: true } }

const KEYS = 7

/** The message that belongs at an offset. */
export const messageAt = (offset: number): { value: string; key: string; time: number } =>
  ({ value: `value ${offset}.`.padEnd(80), key: `key ${offset % KEYS}`, time: offset })

/** Appends `count` such messages, one by one or in batches. */
export function fill(log: Held, count: number, batch = 1): void {
  for (let i = 0; i < count; i += batch) {
    const { value, key, time } = messageAt(log.nextOffset)
    if (batch === 1) log.append(value, key, { time })
    else log.appendBatch(Array.from({ length: Math.min(batch, count - i) }, (_, j) => messageAt(log.nextOffset + j)))
  }
}

export const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i)

/** The offsets of what is there, each checked to be what belongs there. */
export function offsetsOf(t: ExecutionContext, messages: Iterable<Message>): number[] {
  return Array.from(messages, ({ offset, key, value, time }) => {
    const expected = messageAt(offset)
    if (value?.toString() !== expected.value || key?.toString() !== expected.key || time !== expected.time) t.fail(`${offset}: ${key} ${value} at ${time}`)
    return offset
  })
}

/** Looks at an open log with both indexes by every way: it has the messages of `offsets`, which rise, and no others. */
export function has(t: ExecutionContext, log: Held, offsets: readonly number[], what?: string): void {
  t.deepEqual(offsetsOf(t, log.messages()), offsets, what)
  const consumed: number[] = []
  for (let from = log.startOffset; from < log.nextOffset; ) {
    const { messages, nextOffset } = log.consume(from, { max: 700 })
    t.true(nextOffset > from, what)
    consumed.push(...offsetsOf(t, messages))
    from = nextOffset
  }
  t.deepEqual(consumed, offsets, what)
  const held = new Set(offsets)
  for (let offset = log.startOffset; offset < log.nextOffset; offset += 13) t.is(log.get(offset)?.offset, held.has(offset) ? offset : undefined, what)
  for (let key = 0; key < KEYS; key++) t.is(log.offsetByKey(`key ${key}`), offsets.filter((offset) => offset % KEYS === key).at(-1), what)
  for (let time = -1; time <= log.nextOffset; time += 91) t.is(log.offsetByTime(time)?.offset, offsets.find((offset) => offset >= time), what)
}

/** Opens what nobody has open as a user would, adds some messages and closes, again and again: offsets go on from `next`, and all is there. Gives what is there then. */
export async function goesOn(t: ExecutionContext, dir: string, offsets: readonly number[], next: number, what?: string): Promise<number[]> {
  const expected = [...offsets]
  for (let cycle = 0; cycle < 2; cycle++) {
    const log = closedAfter(t, Log.openSync(dir))
    t.is(log.nextOffset, next, what)
    has(t, log, expected, what)
    fill(log, 5)
    expected.push(...range(next, next + 5))
    next += 5
    has(t, log, expected, what)
    await log.close()
  }
  t.like(await Log.check(dir), { ok: true, entries: expected.length }, what)
  const log = closedAfter(t, Log.openSync(dir, { verify: true }))
  has(t, log, expected, what)
  await log.close()
  return expected
}

/** The files that are made from messages, with their bytes: not the segments, nor the bound of what is durable. */
export function derived(dir: string): Map<string, Buffer> {
  const names = readdirSync(dir).filter((name) => /\.(idx|dig|key)$/.test(name))
  return new Map(names.map((name) => [name, readFileSync(join(dir, name))]))
}
