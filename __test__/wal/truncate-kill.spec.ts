import { once } from 'node:events'
import { setTimeout } from 'node:timers/promises'
import test from 'ava'
import { Wal } from 'varve'
import { start } from '../support/child.ts'
import { freshDir, texts } from '../support/directory.ts'

const ROUNDS = 25

interface State {
  first: number
  records: string[]
}
type Operation = ['append', string[]] | ['after' | 'before' | 'reset' | 'commit' | 'rotate' | 'sync', number]

function apply({ first, records }: State, [what, value]: Operation): State {
  switch (what) {
    case 'append': return { first, records: [...records, ...value] }
    case 'after': return { first, records: records.slice(0, value + 1 - first) }
    case 'before': return { first: value, records: records.slice(value - first) }
    case 'reset': return { first: value, records: [] }
    default: return { first, records }
  }
}

test('25 rounds of kill -9 over appends, truncations and resets: what was done is there, what was cut never comes back, and what was begun is done or not', async (t) => {
  t.timeout(150_000)
  const seed = Number(process.env['VARVE_SEED'] ?? Date.now() & 0x7fffffff)
  t.log(`VARVE_SEED=${seed}`)
  const dir = freshDir(t)
  let state: State = { first: 0, records: [] }
  let done = 0
  for (let round = 0; round < ROUNDS; round++) {
    const child = start('truncations', [dir, seed + round])
    let output = ''
    let complaint = ''
    child.stdout!.setEncoding('utf8').on('data', (text: string) => (output += text))
    child.stderr!.setEncoding('utf8').on('data', (text: string) => (complaint += text))
    while (!output.includes('\n\n') && child.exitCode === null) await setTimeout(1)
    await setTimeout((round * 7) % 120)
    if (child.exitCode !== null) t.fail(`round ${round}: it ended by itself: ${complaint}`)
    child.kill('SIGKILL')
    await once(child, 'close')

    // What follows the last line break was cut off by the kill, or had not begun.
    const lines = output.split('\n').slice(0, -1)
    let begun: Operation | undefined
    let [committed, synced] = [state.first, 0]
    for (const line of lines) {
      if (line !== '') {
        begun = JSON.parse(line) as Operation
        continue
      }
      state = apply(state, begun!)
      const [what, value] = begun!
      if (what === 'commit') committed = Math.max(committed, value + 1)
      // Whatever takes it back, or along.
      if (what === 'after' || what === 'reset') [committed, synced] = [Math.min(committed, state.first + state.records.length), Math.min(synced, state.first + state.records.length)]
      if (what === 'sync') synced = committed
      begun = undefined
      done++
    }
    const log = await Wal.open(dir)
    const found = { first: log.firstIndex, records: texts(log) }
    const possible = begun === undefined ? [state] : [state, apply(state, begun)]
    // Plain equality first: the difference of long lists is for people only.
    const same = possible.find((one) => one.first === found.first && one.records.length === found.records.length && one.records.every((text, i) => text === found.records[i]))
    if (same === undefined) {
      const at = state.records.findIndex((text, i) => text !== found.records[i])
      t.fail(`round ${round}: the log has ${found.records.length} records from ${found.first}, and should have ${possible.map(({ first, records }) => `${records.length} from ${first}`).join(' or ')}; ` +
        `they differ at ${state.first + at}: ${found.records[at]?.slice(0, 30)} for ${state.records[at]?.slice(0, 30)}; begun was ${JSON.stringify(begun).slice(0, 80)}`)
      return
    }
    state = same
    t.deepEqual(log.stats().recovery.gaps, [])
    const gated = Wal.openSync(dir, { commitGate: true })
    if (begun === undefined || begun[0] === 'append') t.true(gated.committedIndex + 1 >= synced, `round ${round}: committed up to ${gated.committedIndex}, and synced was ${synced - 1}`)
    t.true(gated.committedIndex < log.nextIndex)
    await gated.close()
    await log.close()
    const report = await Wal.check(dir)
    t.true(report.ok)
    t.is(report.entries, state.records.length)
  }
  t.log(`${done} operations`)
  t.true(done > ROUNDS)
})
