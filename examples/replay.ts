// Replay after a crash: a state machine whose every change is in the log before it is made. Now and then it saves a snapshot, and drops the records before it.
// This program starts itself as a child, kills it in the midst of its work, and finds everything that the child had acknowledged.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { closeSync, existsSync, fsyncSync, mkdtempSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { Wal, codecs } from 'varve'

/** A change. It says all that is needed to make it again: replaying is nothing else. */
interface Deposit {
  account: string
  amount: number
}

interface Snapshot {
  /** Index of the first record that is not in it. */
  next: number
  balances: Record<string, number>
}

class Bank {
  readonly balances: Record<string, number> = {}
  /** Index of the next deposit: here every deposit since the first is one record. */
  next = 0
  replayed = 0
  readonly #log: Wal<Deposit>
  readonly #file: string

  static async open(dir: string): Promise<Bank> {
    // 'os': what has been acknowledged survives this process. Where it has to survive the machine, it is 'disk'.
    return new Bank(dir, await Wal.open(path.join(dir, 'log'), { codec: codecs.json<Deposit>(), durability: 'os', segmentSize: 65_536 }))
  }

  private constructor(dir: string, log: Wal<Deposit>) {
    this.#log = log
    this.#file = path.join(dir, 'snapshot.json')
    if (existsSync(this.#file)) {
      const { next, balances } = JSON.parse(readFileSync(this.#file, 'utf8')) as Snapshot
      this.next = next
      Object.assign(this.balances, balances)
    }
    // Records that the snapshot holds are still there if the crash came before they were dropped: they are passed over.
    for (const { index, data } of log.records({ from: this.next })) {
      this.#apply(index, data)
      this.replayed++
    }
  }

  /** First the log, then the state: a change that was seen can always be made again. */
  deposit(change: Deposit): void {
    this.#apply(this.#log.append(change), change)
  }

  /** First the snapshot, whole and durable, then the log: a crash between the two loses nothing. */
  async save(): Promise<void> {
    // A snapshot must never be ahead of its log.
    await this.#log.sync()
    const { next, balances } = this
    const file = openSync(`${this.#file}.new`, 'w')
    writeSync(file, JSON.stringify({ next, balances } satisfies Snapshot))
    fsyncSync(file)
    closeSync(file)
    renameSync(`${this.#file}.new`, this.#file)
    const directory = openSync(path.dirname(this.#file), 'r')
    fsyncSync(directory)
    closeSync(directory)
    this.#log.truncateBefore(next)
  }

  close(): Promise<void> {
    return this.#log.close()
  }

  #apply(index: number, { account, amount }: Deposit): void {
    this.balances[account] = (this.balances[account] ?? 0) + amount
    this.next = index + 1
  }
}

/** The n-th deposit, so that parent and child agree on it. */
const deposit = (n: number): Deposit => ({ account: ['ann', 'ben', 'cleo'][n % 3]!, amount: (n * 7) % 100 })

const [given] = process.argv.slice(2)
if (given === undefined) {
  const dir = mkdtempSync(path.join(tmpdir(), 'varve-replay-'))
  for (const enough of [500, 1500, 2500]) await killOneAt(dir, enough)
  rmSync(dir, { recursive: true })
} else {
  // The child: deposits, and acknowledges each deposit by its number, until it is killed.
  const bank = await Bank.open(given)
  for (;;) {
    bank.deposit(deposit(bank.next))
    await new Promise((resolve) => process.stdout.write(`${bank.next}\n`, resolve))
    if (bank.next % 400 === 0) await bank.save()
  }
}

/** Lets a child work until it has acknowledged deposit number `enough`, kills it, and looks at what it has left. */
async function killOneAt(dir: string, enough: number): Promise<void> {
  const child = spawn(process.execPath, [...process.execArgv, fileURLToPath(import.meta.url), dir], { stdio: ['ignore', 'pipe', 'inherit'] })
  let acknowledged = 0
  for await (const line of createInterface({ input: child.stdout })) {
    acknowledged = Number(line)
    if (acknowledged === enough) child.kill('SIGKILL')
  }

  const bank = await Bank.open(dir)
  // The last deposit may have been made, and killed before it was acknowledged. None that was acknowledged is missing.
  assert.ok(bank.next >= acknowledged && bank.next <= acknowledged + 1)
  const expected: Record<string, number> = {}
  for (let n = 0; n < bank.next; n++) expected[deposit(n).account] = (expected[deposit(n).account] ?? 0) + deposit(n).amount
  assert.deepEqual(bank.balances, expected)
  console.log(`killed after ${acknowledged} deposits: ${bank.next} are there, ${bank.replayed} of them replayed, the rest from the snapshot`)
  await bank.close()
}
