// The loops that measure. A task says what may be spent: { records, limit, warmup } — records at most, nanoseconds at most.
import { performance } from 'node:perf_hooks'

/** How many calls between two looks at the clock: some tens of microseconds' worth of fast ones, some ms of slow ones. */
const STRIDE = 256

// A function of its own, so that it is compiled as a whole and not in the middle of a loop that once awaited something.
function runSteps(step, from, stop, each) {
  let i = from
  for (; i < stop; i += each) step(i)
  return i
}

const now = () => Number(process.hrtime.bigint())

/**
 * Calls `step(i)` for i = 0, 1, 2 …, each worth `each` records; first unmeasured until it is warm, then until the time or
 * the records are spent; then `finish`, whose time counts: whatever a contender still holds must have been handed over.
 * `next` of the result: the steps ended before that record.
 */
export async function measureSteps(task, step, { each = 1, stride = STRIDE, finish = () => {} } = {}) {
  const warm = Math.min(task.warmup, task.records >> 2)
  let i = 0
  const giveUp = now() + task.limit / 4
  while (i < warm && now() < giveUp) i = runSteps(step, i, i + stride * each, each)
  await finish()
  const first = i
  const begin = now()
  const end = begin + task.limit
  do i = runSteps(step, i, i + stride * each, each)
  while (i < task.records && now() < end)
  await finish()
  return { ops: i - first, ns: now() - begin, next: i }
}

/** The same for `step(i)` that returns a promise for the `each` records from i on, which is awaited before the next. */
export async function measureAwaited(task, step, { each = 1, finish = () => {} } = {}) {
  const warm = Math.min(task.warmup, task.records >> 2)
  let i = 0
  const giveUp = now() + task.limit / 4
  for (; i < warm && now() < giveUp; i += each) await step(i)
  await finish()
  const first = i
  const begin = now()
  const end = begin + task.limit
  do {
    await step(i)
    i += each
  } while (i < task.records && now() < end)
  await finish()
  return { ops: i - first, ns: now() - begin, next: i }
}

/** The time of `open()` alone, again and again, three times if that is not too long; the first is not counted. What it gave is closed by `close`. */
export async function measureOpens(task, open, close) {
  await close(await open())
  let ops = 0
  let ns = 0
  const giveUp = now() + 4 * task.limit
  while (ops === 0 || ((ops < 3 || ns < task.limit) && now() < giveUp)) {
    const begin = now()
    const opened = await open()
    ns += now() - begin
    ops++
    await close(opened)
  }
  return { ops, ns }
}

/** Whole passes over what was written before: one to get warm, then as many as the time allows. `pass()` gives the records it saw. */
export async function measurePasses(task, pass) {
  let ops = 0
  const expectAll = (seen) => {
    if (seen !== task.records) throw new Error(`read ${seen} records of ${task.records}`)
    return seen
  }
  expectAll(await pass())
  const begin = now()
  do ops += expectAll(await pass())
  while (now() - begin < task.limit)
  return { ops, ns: now() - begin }
}

/** The time of each single call, less what the clock itself takes: percentiles in nanoseconds. */
export async function measureEach(task, step, { finish = () => {} } = {}) {
  const warm = Math.min(task.warmup, task.records >> 2)
  for (let i = 0; i < warm; i++) step(i)
  const laps = new Float64Array(task.records)
  let before = performance.now()
  for (let i = 0; i < laps.length; i++) {
    const after = performance.now()
    laps[i] = after - before
    before = after
  }
  const clock = laps.toSorted()[laps.length >> 1]
  const deadline = performance.now() + (10 * task.limit) / 1e6
  let taken = 0
  before = performance.now()
  while (taken < laps.length && before < deadline) {
    step(warm + taken)
    const after = performance.now()
    laps[taken++] = after - before
    before = after
  }
  await finish()
  const sorted = laps.subarray(0, taken).toSorted()
  const at = (share) => Math.max(0, Math.round((sorted[Math.min(taken - 1, Math.floor(share * taken))] - clock) * 1e6))
  return { ops: taken, p50: at(0.5), p99: at(0.99), 'p99.9': at(0.999), 'p99.99': at(0.9999), max: at(1) }
}
