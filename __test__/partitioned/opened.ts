import type { ExecutionContext } from 'ava'
import { type Message, PartitionedLog, type PartitionedLogOptions, type PartitionMessage } from 'varve'
import { closedAfter, freshDir } from '../support/directory.ts'

/** A log of partitions in a directory of its own, closed after the test. */
export async function freshPartitions(t: ExecutionContext, options: PartitionedLogOptions = {}): Promise<PartitionedLog> {
  return closedAfter(t, await PartitionedLog.open(freshDir(t), { partitions: 4, ...options }))
}

/** The values of each partition, as text. */
export function values(log: PartitionedLog): string[][] {
  return log.logs.map((one) => Array.from(one.messages(), textOf))
}

export const textOf = ({ value }: Message): string => value?.toString() ?? 'null'

/** The next `count` messages of a stream, which stays open. */
export async function take(stream: AsyncIterator<PartitionMessage, undefined>, count: number): Promise<PartitionMessage[]> {
  const taken = []
  while (taken.length < count) {
    const { value, done } = await stream.next()
    if (done) throw new Error(`ended after ${taken.length} of ${count} messages`)
    taken.push(value)
  }
  return taken
}
