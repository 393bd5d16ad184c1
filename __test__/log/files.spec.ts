import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { isVarveError, Log, type LogOptions, type PartitionLog, PartitionedLog, type VarveError } from 'varve'
import { idOf, KEYS, messageOf, randomOf } from '../programs/log-chaos-message.mjs'
import { crc32c } from '../support/crc32c.ts'
import { freshDir } from '../support/directory.ts'
import { smallDisk } from '../support/small-disk.ts'

// Files of a message log and of one of partitions: whatever becomes of them, what is read is what was written, or an error.
interface Opened {
  logs: readonly PartitionLog[]
  close(): Promise<void>
}
const OPTIONS: LogOptions = { segmentSize: 65_536, indexes: { key: true, time: true } }
const engines = {
  Log: {
    open: async (dir: string, options: LogOptions = {}): Promise<Opened> => {
      const log = await Log.open(dir, { segmentSize: 65_536, ...options })
      return { logs: [log], close: () => log.close() }
    },
    check: (dir: string) => Log.check(dir),
  },
  PartitionedLog: {
    open: async (dir: string, options: LogOptions = {}): Promise<Opened> => PartitionedLog.open(dir, { partitions: 2, segmentSize: 65_536, ...options }),
    check: (dir: string) => PartitionedLog.check(dir),
  },
}
type Engine = (typeof engines)[keyof typeof engines]

/** A log with all kinds of files: several segments, rewritten ones, groups, producers, cursors. */
async function filled(t: ExecutionContext, { open }: Engine): Promise<string> {
  const dir = join(freshDir(t), 'log')
  const opened = await open(dir, OPTIONS)
  let n = 0
  const next = (count: number): ReturnType<typeof messageOf>[] => Array.from({ length: count }, () => messageOf('0a', n++))
  for (const log of opened.logs) {
    for (let batch = 0; batch < 4; batch++) {
      for (const { value, key, ...facts } of next(30)) log.append(value, key, facts)
      log.appendBatch(next(60), { compression: batch % 2 === 0 ? 'zstd' : 'none', producer: { id: batch, epoch: 0, sequence: 0 } })
    }
    log.cursor('one').save(100)
    await log.delete(Array.from({ length: 30 }, (_, i) => 5 + i * 7))
    for (const { value, key, ...facts } of next(50)) log.append(value, key, facts)
  }
  await opened.close()
  return dir
}

/** Every file, by its path below the directory. */
const filesOf = (dir: string): string[] => readdirSync(dir, { recursive: true, encoding: 'utf8' }).filter((name) => name !== 'LOCK' && statSync(join(dir, name)).isFile()).sort()
const isDerived = (name: string): boolean => /\.(dig|idx|key)$/.test(name)

/** Ids by offset, of each log, by a scan; each message is verified to its last byte. */
const scan = ({ logs }: Opened): string[][] => logs.map((log) => Array.from(log.messages(), (message) => `${message.offset} ${idOf(message)}`))
/** What lookups say. */
const lookups = ({ logs }: Opened): (number | undefined)[][] => logs.map((log) => Array.from({ length: KEYS }, (_, i) => log.offsetByKey(`key ${i}`)).concat(log.offsetByTime(0)?.offset, log.cursors()[0]?.offset))

/** What becomes of a log whose files somebody has changed: it is refused with an error of its own, or what is read is of `all`. */
async function survives(t: ExecutionContext, { open, check }: Engine, dir: string, all: readonly string[][], what: string): Promise<'refused' | 'less' | 'all'> {
  let result: 'refused' | 'less' | 'all' = 'all'
  for (const options of [{}, { verify: true }, { verify: true, onDamage: 'skip' as const }]) {
    try {
      const opened = await open(dir, { ...options })
      try {
        const found = scan(opened)
        found.forEach((lines, i) => lines.forEach((line) => (all[i]?.includes(line) === true ? undefined : t.fail(`${what}: ${line} is not of the log`))))
        if (found.some((lines, i) => lines.length < all[i]!.length) && result === 'all') result = 'less'
        lookups(opened)
      } finally {
        await opened.close()
      }
    } catch (error) {
      if (!isVarveError(error) || !['VARVE_CORRUPT', 'VARVE_UNSUPPORTED', 'VARVE_IO', 'VARVE_INVALID_ARGUMENT'].includes(error.code)) t.fail(`${what}: ${String(error)}`)
      result = 'refused'
    }
  }
  await check(dir).catch((error: unknown) => t.true(isVarveError(error), `${what}: ${String(error)}`))
  return result
}

for (const [name, engine] of Object.entries(engines)) {
  test(`${name}: directories and files are for their owner alone, whatever the umask`, async (t) => {
    const before = process.umask(0)
    t.teardown(() => process.umask(before))
    const dir = await filled(t, engine)
    const modes = new Map<string, number>()
    for (const below of ['.', ...readdirSync(dir, { recursive: true, encoding: 'utf8' })]) modes.set(below, statSync(join(dir, below)).mode)
    t.true([...modes.keys()].some((below) => below.endsWith('.key')) && [...modes.keys()].some((below) => below.endsWith('.dig')))
    for (const [below, mode] of modes) t.is(mode & 0o777, (mode & 0o170000) === 0o040000 ? 0o700 : 0o600, below)
  })

  test(`${name}: a FIFO, a directory or a link in the place of any file is refused, blocks nothing, and is not followed`, async (t) => {
    const source = await filled(t, engine)
    const whole = await engine.open(source)
    const all = scan(whole)
    await whole.close()
    const kinds = [...new Map(filesOf(source).map((file) => [file.replace(/^.*\./, ''), file])).values()]
    t.true(kinds.length >= 5, kinds.join())
    for (const file of kinds) {
      for (const kind of ['fifo', 'directory', 'link']) {
        const dir = join(freshDir(t), 'copy')
        cpSync(source, dir, { recursive: true })
        const target = join(freshDir(t), 'target')
        writeFileSync(target, 'mine')
        rmSync(join(dir, file))
        if (kind === 'fifo') execFileSync('mkfifo', [join(dir, file)])
        else if (kind === 'directory') mkdirSync(join(dir, file))
        else symlinkSync(target, join(dir, file))
        t.is(await survives(t, engine, dir, all, `${kind} ${file}`), 'refused', `${kind} ${file}`)
        t.is(readFileSync(target, 'utf8'), 'mine', `${kind} ${file}`)
      }
    }
  })

  test(`${name}: flipped bits in any file give data or a coded error, and never another message; in what is derived they change no answer`, async (t) => {
    const seed = Number(process.env['VARVE_SEED'] ?? Date.now() & 0x7fffffff)
    t.log(`VARVE_SEED=${seed}`)
    const random = randomOf(seed)
    const source = await filled(t, engine)
    const whole = await engine.open(source)
    const [all, asked] = [scan(whole), lookups(whole)]
    await whole.close()
    const files = filesOf(source).map((file) => ({ file, bytes: readFileSync(join(source, file)) }))
    const sum = { refused: 0, less: 0, all: 0 }
    for (let i = 0; i < 40; i++) {
      const { file, bytes } = files[random(files.length)]!
      const changed = Buffer.from(bytes)
      // Not in the middle of zeros.
      let at = random(bytes.length)
      for (let tries = 0; tries < 50 && changed[at] === 0; tries++) at = random(bytes.length)
      changed[at]! ^= 1 << random(8)
      const dir = join(freshDir(t), 'copy')
      cpSync(source, dir, { recursive: true })
      writeFileSync(join(dir, file), changed)
      const what = `byte ${at} of ${file}`
      sum[await survives(t, engine, dir, all, what)]++
      if (!isDerived(file)) continue
      const opened = await engine.open(dir)
      t.deepEqual(scan(opened), all, what)
      t.deepEqual(lookups(opened), asked, what)
      await opened.close()
    }
    t.log(JSON.stringify(sum))
    t.true(sum.refused > 0 && sum.all > 0)
  })

  test(`${name}: any file cut to any length, or gone, gives data or a coded error; what is derived is made again`, async (t) => {
    const random = randomOf(5)
    const source = await filled(t, engine)
    const whole = await engine.open(source)
    const [all, asked] = [scan(whole), lookups(whole)]
    await whole.close()
    for (const file of filesOf(source)) {
      const { size } = statSync(join(source, file))
      for (const length of [undefined, 0, random(size)]) {
        const dir = join(freshDir(t), 'copy')
        cpSync(source, dir, { recursive: true })
        if (length === undefined) rmSync(join(dir, file))
        else truncateSync(join(dir, file), length)
        const what = `${file} of ${size} bytes, ${length ?? 'gone'}`
        await survives(t, engine, dir, all, what)
        if (!isDerived(file)) continue
        const opened = await engine.open(dir)
        t.deepEqual(scan(opened), all, what)
        t.deepEqual(lookups(opened), asked, what)
        await opened.close()
      }
    }
  })
}

test('a newer version of the file of partitions is VARVE_UNSUPPORTED, and nothing is touched', async (t) => {
  const dir = await filled(t, engines.PartitionedLog)
  const path = join(dir, 'partitions')
  const bytes = readFileSync(path)
  for (const at of [0, 512]) {
    bytes.writeUInt16LE(99, at + 8)
    bytes.writeUInt32LE(crc32c(bytes.subarray(at, at + 28)), at + 28)
  }
  writeFileSync(path, bytes)
  const error = (await t.throwsAsync(PartitionedLog.open(dir), { code: 'VARVE_UNSUPPORTED' })) as VarveError
  t.is(error.path, path)
  t.regex(error.message, /99/)
  t.true(readFileSync(path).equals(bytes))
})

test('on a full disk messages are read and found, and removals that find no room lose nothing: all is there after a reopen', async (t) => {
  const dir = smallDisk(t, 4)
  if (dir === undefined) return t.pass()
  const log = await Log.open(join(dir, 'log'), { ...OPTIONS, durability: 'os' })
  let count = 0
  const filling = (): void => {
    for (;;) log.append(`value ${count}`.padEnd(100), `key ${count++ % 50}`, { time: count })
  }
  t.throws(filling, { code: 'VARVE_NO_SPACE' })
  // The one that was refused was counted.
  count--
  await log.sync()
  const lines = Array.from(log.messages(), ({ offset, value }) => `${offset} ${value!.toString().trim()}`)
  t.deepEqual(lines, Array.from({ length: count }, (_, i) => `${i} value ${i}`))
  t.is(log.getByTime(1000)!.offset, 999)
  t.is(log.offsetByKey('key 7')! % 50, 7)
  const removals: (() => Promise<unknown>)[] = [() => log.delete([5, 6]), () => log.compact(), () => log.trim({ beforeOffset: 1000 })]
  for (const removal of removals) await t.throwsAsync(removal, { code: 'VARVE_NO_SPACE' })
  await log.close().catch((error: unknown) => t.true(isVarveError(error, 'VARVE_NO_SPACE')))
  const again = await Log.open(join(dir, 'log'))
  t.teardown(() => again.close().catch(() => {}))
  t.deepEqual(Array.from(again.messages(), ({ offset, value }) => `${offset} ${value!.toString().trim()}`), lines)
  t.is(again.getByTime(1000)!.offset, 999)
  t.like(await Log.check(join(dir, 'log')), { ok: true, entries: count })
})
