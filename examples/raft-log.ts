// The log of a consensus algorithm like Raft, and how it maps to a Wal:
//   "append, if the entry before has this index"      append(…, { expectedIndex })
//   "delete the conflicting entry and all after it"   truncateAfter(index)
//   "commitIndex"                                     commit(index); with `commitGate` readers stop there
//   "apply committed entries to the state machine"    for await (… of log.tail())
//   "compact what is in the snapshot"                 truncateBefore(index)
//   the version of the entries' format                marker, with validateMarker at the next open
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Wal, codecs, isVarveError } from 'varve'

interface Entry {
  term: number
  set: [key: string, value: number]
}

/** The format of entries: stored in each segment, and checked when the log is opened again. */
const FORMAT = 3

/** A follower, as Raft's paper has it, less the network. */
class Node {
  readonly state = new Map<string, number>()
  readonly log: Wal<Entry>
  applied = 0

  static async open(dir: string): Promise<Node> {
    return new Node(await Wal.open(dir, { codec: codecs.json<Entry>(), firstIndex: 1, commitGate: true, marker: FORMAT, validateMarker: (marker) => marker === FORMAT }))
  }

  private constructor(log: Wal<Entry>) {
    this.log = log
    void this.#apply()
  }

  /** A leader sends entries that follow the one at `previous`. False: it has to go back by one, and try again. */
  async receive(previous: { index: number; term: number }, entries: readonly Entry[], leaderCommit: number): Promise<boolean> {
    const { log } = this
    const before = previous.index < log.firstIndex ? undefined : log.get(previous.index)
    if (previous.index >= log.firstIndex && before?.term !== previous.term) return false
    for (const [i, entry] of entries.entries()) {
      const index = previous.index + 1 + i
      const own = log.get(index)
      if (own !== undefined && own.term !== entry.term) {
        // Written under a leader that had no majority. What is committed is never in conflict, so no reader has seen it.
        log.truncateAfter(index - 1)
      }
      // Goes exactly there, or fails: another thread may hold the same log.
      if (index >= log.nextIndex) log.append(entry, { expectedIndex: index })
    }
    // Only what is durable is answered for.
    await log.sync()
    const commit = Math.min(leaderCommit, previous.index + entries.length)
    if (commit > log.committedIndex) log.commit(commit)
    return true
  }

  /** Waits until the entry at `index` is in the state. */
  async appliedTo(index: number): Promise<void> {
    await this.log.waitFor(index)
    while (this.applied < index) await new Promise(setImmediate)
  }

  /** The tail stops at the gate: an entry is applied once it is committed, once, and in order. It ends when the log is closed. */
  async #apply(): Promise<void> {
    for await (const { index, data } of this.log.tail()) {
      this.state.set(...data.set)
      this.applied = index
    }
  }
}

const dir = mkdtempSync(path.join(tmpdir(), 'varve-raft-'))
const node = await Node.open(dir)

// The leader of term 1 sends three entries, and knows that two of them are on a majority.
assert.ok(await node.receive({ index: 0, term: 0 }, [{ term: 1, set: ['x', 1] }, { term: 1, set: ['y', 2] }, { term: 1, set: ['x', 99] }], 2))
await node.appliedTo(2)
assert.deepEqual(Object.fromEntries(node.state), { x: 1, y: 2 })
console.log(`term 1: ${node.log.nextIndex - 1} entries, committed to ${node.log.committedIndex}`)

// It goes down, and the leader of term 2 has never heard of the third entry. Asked for one that is not there, the follower says no.
assert.equal(await node.receive({ index: 5, term: 2 }, [], 2), false)
assert.ok(await node.receive({ index: 2, term: 1 }, [{ term: 2, set: ['x', 3] }, { term: 2, set: ['z', 4] }], 4))
await node.appliedTo(4)
assert.deepEqual(Object.fromEntries(node.state), { x: 3, y: 2, z: 4 })
assert.deepEqual(node.log.get(3), { term: 2, set: ['x', 3] })
console.log(`term 2: entry 3 was replaced, committed to ${node.log.committedIndex}`)

// Sent again, as networks do, it changes nothing.
assert.ok(await node.receive({ index: 2, term: 1 }, [{ term: 2, set: ['x', 3] }], 4))
assert.equal(node.log.nextIndex, 5)

// An append that expects another end is refused, and nothing is written.
assert.throws(() => node.log.append({ term: 2, set: ['x', 0] }, { expectedIndex: 9 }), (error) => isVarveError(error, 'VARVE_CONFLICT'))

// With a snapshot of the state up to entry 3 elsewhere, the log need not hold it any longer.
node.log.truncateBefore(4)
await node.log.sync()
await node.log.close()

// What was committed is so after a restart, too. Entries of another format are not even looked at.
const again = await Node.open(dir)
assert.equal(again.log.firstIndex, 4)
assert.equal(again.log.committedIndex, 4)
await again.appliedTo(4)
assert.deepEqual(Object.fromEntries(again.state), { z: 4 })
await again.log.close()
const refused = await Wal.open(dir, { codec: codecs.json<Entry>(), validateMarker: (marker) => marker === FORMAT + 1 }).catch((error: unknown) => error)
assert.ok(isVarveError(refused, 'VARVE_CONFLICT'))
console.log(refused.message.replace(dir, 'the directory'))
rmSync(dir, { recursive: true })
