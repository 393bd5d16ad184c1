import { cpSync, mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { isVarveError, Wal } from 'varve'
import { contents, freshDir, segments } from '../support/directory.ts'

const made = Array.from({ length: 400 }, (_, i) => `record ${i} ${'.'.repeat((i * 13) % 200)}`)

/** A closed log of several segments, all of it durable. */
function original(t: ExecutionContext): string {
  const dir = freshDir(t)
  const log = Wal.openSync(dir, { segmentSize: 65_536 })
  for (let i = 0; i < made.length; i += 4) {
    log.append(made[i]!)
    log.appendBatch(made.slice(i + 1, i + 4))
    if (i === 200) log.rotate()
  }
  log.closeSync()
  return dir
}

/** xorshift: the same places in every run. */
function random(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % below
  }
}

/** What is read is what was written, or a coded error; nothing else comes out of damaged bytes. */
function readsTrue(t: ExecutionContext, log: Wal, what: string): void {
  for (let index = log.firstIndex; index < log.nextIndex; index++) {
    try {
      const data = log.get(index)
      if (data !== undefined && data.toString() !== made[index]) t.fail(`${what}: ${index} is ${data}`)
    } catch (error) {
      if (!isVarveError(error, 'VARVE_CORRUPT')) throw error
    }
  }
  try {
    for (const { index, data } of log.records()) if (data.toString() !== made[index]) t.fail(`${what}: ${index} is ${data}`)
  } catch (error) {
    if (!isVarveError(error, 'VARVE_CORRUPT')) throw error
  }
}

/** Opens a damaged copy in every way. */
async function survives(t: ExecutionContext, dir: string, what: string): Promise<'opened' | 'refused'> {
  const before = contents(dir)
  let result: 'opened' | 'refused' = 'opened'
  for (const options of [{ verify: true }, {}] as const) {
    try {
      const log = Wal.openSync(dir, options)
      readsTrue(t, log, what)
      await log.close().catch(() => {})
    } catch (error) {
      if (!isVarveError(error)) throw error
      if (!['VARVE_CORRUPT', 'VARVE_UNSUPPORTED', 'VARVE_IO'].includes(error.code)) t.fail(`${what}: ${error.code} ${error.message}`)
      if (options.verify === true) {
        result = 'refused'
        for (const [name, bytes] of contents(dir)) if (before.get(name)?.equals(bytes) !== true) t.fail(`${what}: the refused open changed ${name}`)
      }
    }
  }
  await Wal.check(dir).catch((error: unknown) => t.true(isVarveError(error), `${what}: ${String(error)}`))
  const skipping = await Wal.open(dir, { verify: true, onDamage: 'skip' }).catch((error: unknown) => {
    if (!isVarveError(error)) throw error
  })
  if (skipping !== undefined) {
    readsTrue(t, skipping, `${what}, skipping`)
    await skipping.close().catch(() => {})
  }
  return result
}

/** Places where a file says something: not in the middle of zeros. */
function places(path: string): number[] {
  const bytes = readFileSync(path)
  return Array.from(bytes.keys()).filter((at) => bytes[at] !== 0)
}

test('200 flipped bits give data or a coded error, and never a wrong record', async (t) => {
  const source = original(t)
  const pick = random(0x5eed)
  const files = readdirSync(source).filter((name) => name !== 'LOCK').map((name) => ({ name, at: places(join(source, name)) })).filter(({ at }) => at.length > 0)
  let refused = 0
  for (let i = 0; i < 200; i++) {
    const dir = join(freshDir(t), 'copy')
    cpSync(source, dir, { recursive: true })
    const { name, at } = files[pick(files.length)]!
    const place = at[pick(at.length)]!
    const bit = pick(8)
    const bytes = readFileSync(join(dir, name))
    bytes[place]! ^= 1 << bit
    writeFileSync(join(dir, name), bytes)
    if ((await survives(t, dir, `bit ${bit} of byte ${place} of ${name}`)) === 'refused') refused++
  }
  t.log(`${refused} of 200 refused`)
  t.true(refused > 0)
})

test('files cut to any length, or gone, give data or a coded error', async (t) => {
  const source = original(t)
  const pick = random(0xc07)
  for (const path of segments(source)) {
    const { length } = readFileSync(path)
    const name = path.slice(source.length + 1)
    for (const cut of [0, 1, 127, 512, 1023, 1024, 1025, length - 1, ...Array.from({ length: 12 }, () => pick(length))]) {
      const dir = join(freshDir(t), 'copy')
      cpSync(source, dir, { recursive: true })
      truncateSync(join(dir, name), cut)
      await survives(t, dir, `${name} cut to ${cut}`)
    }
  }
  t.pass()
})

test('damage is refused with path and position; skipped, it is a gap, and all else is there', async (t) => {
  const dir = original(t)
  const path = segments(dir)[0]!
  const bytes = readFileSync(path)
  const at = bytes.indexOf('record 40 ')
  bytes[at]! ^= 0x20
  writeFileSync(path, bytes)

  const error = t.throws(() => Wal.openSync(dir, { verify: true }), { code: 'VARVE_CORRUPT' }) as Error & { path: string; position: number }
  t.is(error.path, path)
  t.true(error.position <= at && at - error.position < 400)
  const report = await Wal.check(dir)
  t.false(report.ok)
  t.is(report.damage[0]!.path, path)

  const lazy = Wal.openSync(dir)
  t.throws(() => lazy.get(40), { code: 'VARVE_CORRUPT' })
  t.is(lazy.get(39)!.toString(), made[39]!)
  await lazy.close()

  const skipping = Wal.openSync(dir, { verify: true, onDamage: 'skip' })
  t.is(skipping.get(40), undefined)
  const { gaps } = skipping.stats().recovery
  t.is(gaps.length, 1)
  const lost = made.map((_, i) => i).filter((i) => skipping.get(i) === undefined)
  t.true(lost.includes(40) && lost.length <= 4)
  t.deepEqual(Array.from(skipping.records(), ({ data }) => data.toString()), made.filter((_, i) => !lost.includes(i)))
  t.is(skipping.append('goes on'), made.length)
  await skipping.close()
})

test('what hangs behind the last record is a torn tail: cut, reported, kept aside', async (t) => {
  const dir = freshDir(t)
  const log = Wal.openSync(dir)
  log.append('a')
  await log.sync()
  log.append('b')
  await log.appendAsync('c', { durability: 'os' })
  // A copy of the moment, as a crash would leave it: what was never synced has lost a byte.
  const copy = join(dir, '..', `${dir.slice(dir.lastIndexOf('/') + 1)}-copy`)
  mkdirSync(copy)
  t.teardown(() => import('node:fs').then(({ rmSync }) => rmSync(copy, { recursive: true })))
  cpSync(dir, copy, { recursive: true, filter: (from) => !from.endsWith('LOCK') })
  await log.close()
  const path = segments(copy)[0]!
  const bytes = readFileSync(path)
  const at = bytes.lastIndexOf('c')
  bytes[at] = 0
  writeFileSync(path, bytes)

  const report = await Wal.check(copy)
  t.true(report.ok)
  t.deepEqual(report.damage.map(({ reason }) => reason), ['torn tail'])
  const again = await Wal.open(copy)
  t.deepEqual(Array.from(again.records(), ({ data }) => data.toString()), ['a', 'b'])
  const { torn } = again.stats().recovery
  t.is(torn.length, 1)
  t.true(torn[0]!.bytes > 0)
  t.true(readdirSync(copy).some((name) => name.endsWith('.torn')))
  t.is(again.append('next'), 2)
  await again.close()
  const last = await Wal.open(copy)
  t.deepEqual(last.stats().recovery.torn, [])
  t.is(last.nextIndex, 3)
  await last.close()
})
