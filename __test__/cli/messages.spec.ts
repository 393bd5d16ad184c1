// dump and tail of logs of messages, and of logs of partitions.
import { once } from 'node:events'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { codecs, Log, type LogOptions, PartitionedLog } from 'varve'
import { formats, messageFormatter } from '../../cli/format.ts'
import { flip } from '../support/damage.ts'
import { contents, freshDir, segments } from '../support/directory.ts'
import { Remote } from '../support/following.ts'
import { inside, jsonLines, startVarve, varve } from './tools.ts'

/** Times of the messages: a second each. */
const time = (i: number): number => Date.UTC(2026, 0, 31, 12, 0, i)
const iso = (i: number): string => new Date(time(i)).toISOString()

/** A closed log of ten messages: key `k0` to `k2`, value `v0` to `v9`. */
function made(t: ExecutionContext, options: LogOptions = {}): string {
  const dir = join(freshDir(t), 'log')
  const log = Log.openSync(dir, options)
  for (let i = 0; i < 10; i++) log.append(`v${i}`, `k${i % 3}`, { time: time(i) })
  log.closeSync()
  return dir
}

/** A closed log of three partitions, the last without a message: `p0 m0`, `p1 m0`, `p0 m1`, … */
async function madePartitions(t: ExecutionContext): Promise<string> {
  const dir = join(freshDir(t), 'topic')
  const log = await PartitionedLog.open(dir, { partitions: 3 })
  for (let i = 0; i < 10; i++) log.append(`p${i % 2} m${Math.floor(i / 2)}`, `k${i}`, { partition: i % 2, time: time(i) })
  await log.close()
  return dir
}

const dumped = async (dir: string, ...args: string[]): Promise<string[]> => {
  const { code, stdout, stderr } = await inside(['dump', dir, ...args])
  if (code !== 0) throw new Error(stderr)
  return stdout.split('\n').slice(0, -1)
}
const valuesOf = (lines: string[]): string => lines.map((line) => line.split('\t').at(-1)).join(' ')

test('dump prints offset, time, key, value and headers; with --json all of it exactly', async (t) => {
  const dir = join(freshDir(t), 'log')
  const log = Log.openSync(dir)
  log.append('tea\n', 'key', { time: time(0) + 0.25, headers: { trace: 'abc', 'n\x1b': Buffer.of(255) } })
  log.append(null, 'gone', { time: time(1) })
  log.append(Buffer.of(0, 255), null, { time: time(2) })
  await log.close()
  t.deepEqual(await dumped(dir), [
    `0\t${iso(0)}\tkey\ttea\\n\ttrace=abc n\\x1b=\\xff`,
    `1\t${iso(1)}\tgone\t-`,
    `2\t${iso(2)}\t-\t\\x00\\xff`,
  ])
  t.deepEqual((await dumped(dir, '--json')).map((line) => JSON.parse(line) as unknown), [
    { offset: 0, time: time(0) + 0.25, key: { text: 'key' }, value: { text: 'tea\n' }, headers: { trace: { text: 'abc' }, 'n\x1b': { base64: '/w==' } } },
    { offset: 1, time: time(1), key: { text: 'gone' }, value: null, headers: {} },
    { offset: 2, time: time(2), key: null, value: { base64: 'AP8=' }, headers: {} },
  ])
})

test('dump prints the part that is asked for: by offset, by time, by key, by number', async (t) => {
  for (const indexes of [{}, { key: true, time: true }]) {
    const dir = made(t, { indexes })
    t.is(valuesOf(await dumped(dir, '--from', '7')), 'v7 v8 v9')
    t.is(valuesOf(await dumped(dir, '--from', '7', '--to', '9')), 'v7 v8')
    t.is(valuesOf(await dumped(dir, '--to', '99', '--limit', '2')), 'v0 v1')
    t.deepEqual(await dumped(dir, '--limit', '0'), [])
    t.is(valuesOf(await dumped(dir, '--key', 'k1')), 'v1 v4 v7')
    t.is(valuesOf(await dumped(dir, '--key', 'k1', '--from', '2', '--limit', '1')), 'v4')
    t.is(valuesOf(await dumped(dir, '--since', iso(8))), 'v8 v9')
    t.is(valuesOf(await dumped(dir, '--since', String(time(7) + 1), '--key', 'k2')), 'v8')
    t.deepEqual(await dumped(dir, '--since', iso(10)), [])
  }
})

test('dump of a log whose start is gone begins at what is left; before it is an error', async (t) => {
  const dir = made(t)
  const log = await Log.open(dir)
  await log.trim({ beforeOffset: 6 })
  await log.close()
  t.is(valuesOf(await dumped(dir)), 'v6 v7 v8 v9')
  const { code, stderr } = await inside(['dump', dir, '--from', '5', '--json'])
  t.is(code, 3)
  t.like((JSON.parse(stderr) as { error: object }).error, { code: 'VARVE_OUT_OF_RANGE' })
})

test('keys and values are shown by their codecs, and a key is given as it is shown', async (t) => {
  const dir = join(freshDir(t), 'log')
  const log = Log.openSync(dir, { key: codecs.varint, value: codecs.json<unknown>() })
  for (const n of [-3, 0, 300]) log.append({ n }, n, { time: time(0) })
  await log.close()
  t.deepEqual(await dumped(dir), [`0\t${iso(0)}\t-3\t{"n":-3}`, `1\t${iso(0)}\t0\t{"n":0}`, `2\t${iso(0)}\t300\t{"n":300}`])
  t.is(valuesOf(await dumped(dir, '--key', '300')), '{"n":300}')
  t.is(valuesOf(await dumped(dir, '--key=-3')), '{"n":-3}')
  t.is(valuesOf(await dumped(dir, '--key-format', 'hex', '--key', '00')), '{"n":0}')
  t.deepEqual(await dumped(dir, '--limit', '1', '--format', 'length', '--key-format', 'hex'), [`0\t${iso(0)}\t05\t8`])
  const wrong = await inside(['dump', dir, '--key', 'tea'])
  t.is(wrong.code, 2)
  t.regex(wrong.stderr, /--key is given as --key-format shows keys, which is json here, of the codec varint; got "tea"/)
  const { code, stderr } = await inside(['dump', made(t), '--format', 'json', '--json'])
  t.is(code, 3)
  t.like((JSON.parse(stderr) as { error: object }).error, { code: 'FORMAT', index: 0, message: 'the value of message 0 is not JSON' })
})

test('no byte of any message commands a terminal, in any format', (t) => {
  const data = Buffer.from(JSON.stringify('\x1b[2J\u009b\u202e\x7f'))
  const message = { offset: 0, time: 0, key: data, value: data, headers: { '\x1b[2J\u202e': data } }
  for (const format of formats) {
    for (const asJson of [false, true]) {
      const line = messageFormatter({ key: format, value: format, codecs: { key: 'bytes', value: 'bytes' } }, asJson)(message as never, 3)
      // oxlint-disable-next-line no-control-regex
      t.notRegex(line.replaceAll('\t', ''), /[\0-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]/)
      if (asJson) t.like(JSON.parse(line), { partition: 0 + 3, offset: 0 })
    }
  }
})

test('values of options are checked before anything is opened', async (t) => {
  const cases: [string[], RegExp][] = [
    [['dump', '--since', 'tea'], /--since takes a time, as 2026-01-31T12:00:00Z, or milliseconds since 1970; got "tea"/],
    [['dump', '--since', '0', '--from', '1'], /give one of them/],
    [['tail', '--since', '0', '--last', '1'], /give one of them/],
    [['tail', '--from', 'tea'], /--from takes a whole number/],
    [['dump', '--key-format', 'hexx'], /did you mean hex\?/],
    [['dump', '--partition', '1'], /holds a Log, whose dump has no --partition/],
  ]
  const dir = made(t)
  for (const [[verb, ...options], message] of cases) {
    const { code, stdout, stderr } = await inside([verb!, dir, ...options])
    t.is(code, 2)
    t.is(stdout, '')
    t.regex(stderr, message)
  }
})

test('dump prints all before the damage, says at which offset it is, and with --skip-damage what is behind it', async (t) => {
  const dir = join(freshDir(t), 'log')
  const log = Log.openSync(dir, { segmentSize: 65_536 })
  // A segment each, of one entry, which is a group: offsets are not indexes of entries.
  for (const from of [0, 100, 200]) log.appendBatch(Array.from({ length: 100 }, (_, i) => ({ value: `value ${from + i}.`.padEnd(500), time: time(0) })))
  await log.close()
  flip(segments(dir)[1]!, 'value 150.', 2)
  const failed = await inside(['dump', dir, '--json', '--format', 'length'])
  t.is(failed.code, 1)
  t.like((JSON.parse(failed.stderr) as { error: object }).error, { code: 'VARVE_CORRUPT', index: 100 })
  t.deepEqual(jsonLines(failed.stdout).map((line) => (line as { offset: number }).offset), Array.from({ length: 100 }, (_, i) => i))
  const { code, stdout, stderr } = await inside(['dump', dir, '--skip-damage', '--format', 'length'])
  t.is(code, 1)
  t.regex(stderr, /^missing: offsets 100 to 199, damaged in .*\.seg at byte \d+\n$/)
  t.is(stdout.split('\n').length - 1, 200)
  t.is((await inside(['stat', dir])).code, 0)
  const stat = await inside(['stat', dir, '-s'])
  t.is(stat.code, 1)
  t.regex(stat.stdout, /^0000000000000003\.seg +100 +200 to 299 +[\d.]+ KiB +64 KiB +written to$/m)
  t.regex(stat.stdout, /^missing: offsets 100 to 199/m)
  t.like(JSON.parse((await inside(['stat', dir, '-s', '--json'])).stdout), { gaps: [{ from: 100, to: 200 }] })
})

test('tail of a log prints what is there and what another process appends; SIGINT ends it with 130', async (t) => {
  const dir = made(t)
  const writer = new Remote(t, dir, { durability: 'os' }, 'remote-log')
  await writer.call('open')
  await writer.call('append', 'v10', 'k1')
  const { child, end } = startVarve(['tail', dir, '-n', '2'])
  const lines: string[] = []
  child.stdout!.on('data', (text: string) => lines.push(...text.split('\n').filter(Boolean)))
  const until = async (count: number): Promise<void> => {
    while (lines.length < count) await once(child.stdout!, 'data')
  }
  await until(2)
  await writer.call('append', 'v11', 'k2')
  await until(3)
  child.kill('SIGINT')
  const { code, stderr } = await end
  t.is(code, 130)
  t.is(valuesOf(lines), 'v9 v10 v11')
  t.regex(stderr, /^following .* from offset 9; Ctrl-C ends it\n$/)
})

test('tail begins where it is told, and looks at one key', async (t) => {
  const dir = made(t)
  const tailed = async (...args: string[]): Promise<string> => valuesOf((await inside(['tail', dir, '--quiet', ...args])).stdout.split('\n').slice(0, -1))
  t.is(await tailed('--from', '3', '--limit', '2'), 'v3 v4')
  t.is(await tailed('--from', 'start', '--limit', '1'), 'v0')
  t.is(await tailed('--last', '99', '--limit', '3'), 'v0 v1 v2')
  t.is(await tailed('--since', iso(4), '--limit', '1'), 'v4')
  t.is(await tailed('--from', 'start', '--key', 'k2', '--limit', '3'), 'v2 v5 v8')
})

test('stat, check and backup of a log of partitions, of which one has no message', async (t) => {
  const dir = await madePartitions(t)
  const before = contents(dir)
  const { stdout } = await inside(['stat', dir])
  t.regex(stdout, /: a PartitionedLog\n {2}partitions +3, of which 1 has no message\n {2}messages +10\n/)
  t.regex(stdout, /^ +1 +5 +0 to 4 +all +[\d.]+ B|KiB$/m)
  t.like(JSON.parse((await inside(['stat', dir, '--json'])).stdout), {
    engine: 'PartitionedLog', dir, messages: 10, codec: 'bytes/bytes', partitions: [{ partition: 0, messages: 5, nextOffset: 5 }, { nextOffset: 5 }, { messages: 0 }],
  })
  t.regex((await inside(['check', dir])).stdout, /^ok: 10 intact messages in 2 segments/)
  t.deepEqual(contents(dir), before)
  const backup = JSON.parse((await inside(['backup', dir, `${dir}-copy`, '--json'])).stdout) as { positions: number[] }
  t.deepEqual(backup.positions, [5, 5, 0])
  t.deepEqual(await dumped(`${dir}-copy`), await dumped(dir))
  t.regex((await inside(['backup', dir, `${dir}-copy`])).stdout, /the copy holds all messages of 3 partitions/)
})

test('stat and dump of a log of partitions that has no message', async (t) => {
  const dir = join(freshDir(t), 'topic')
  await (await PartitionedLog.open(dir, { partitions: 2 })).close()
  t.regex((await inside(['stat', dir])).stdout, /partitions +2, of which 2 have no message\n {2}messages +none\n/)
  t.deepEqual(await dumped(dir), [])
})

test('dump of a log of partitions: one after another, or one of them', async (t) => {
  const dir = await madePartitions(t)
  t.deepEqual((await dumped(dir)).slice(4, 6), [`0\t4\t${iso(8)}\tk8\tp0 m4`, `1\t0\t${iso(1)}\tk1\tp1 m0`])
  t.is((await dumped(dir)).length, 10)
  t.is(valuesOf(await dumped(dir, '--partition', '1', '--from', '3')), 'p1 m3 p1 m4')
  t.is(valuesOf(await dumped(dir, '--since', iso(7))), 'p0 m4 p1 m3 p1 m4')
  t.is(valuesOf(await dumped(dir, '--key', 'k7')), 'p1 m3')
  t.is(valuesOf(await dumped(dir, '--limit', '6')).split(' p').length, 6)
  t.like(JSON.parse((await dumped(dir, '--json')).at(-1)!), { partition: 1, offset: 4, key: { text: 'k9' } })
  t.deepEqual(await dumped(dir, '--partition', '2'), [])
  for (const [args, message] of [[['--from', '1'], /say which, with --partition/], [['--partition', '3'], /there are 3 partitions, from 0 on/]] as const) {
    const { code, stderr } = await inside(['dump', dir, ...args])
    t.is(code, 2)
    t.regex(stderr, message)
  }
})

test('damage in one partition is told with its number', async (t) => {
  const dir = join(freshDir(t), 'topic')
  const log = await PartitionedLog.open(dir, { partitions: 3, segmentSize: 65_536 })
  for (let i = 0; i < 10; i++) log.append(`value ${i}.`.padEnd(30_000), null, { partition: i % 2 })
  await log.close()
  flip(segments(join(dir, '0001'))[0]!, 'value 3.', 2)
  const { code, stdout, stderr } = await inside(['dump', dir, '--skip-damage', '--format', 'length'])
  t.is(code, 1)
  t.is(stdout.split('\n').length - 1, 9)
  t.regex(stderr, /^missing: of partition 1: offset 1, damaged in /)
  t.is((await inside(['dump', dir, '--partition', '0', '--format', 'length'])).code, 0)
})

test('tail of a log of partitions: what another process appends, to a partition that was not there, too', async (t) => {
  const dir = await madePartitions(t)
  const writer = new Remote(t, dir, { durability: 'os' }, 'remote-partitions')
  await writer.call('open')
  const { child, end } = startVarve(['tail', dir, '--last', '1', '--limit', '4', '--json'])
  child.stdout!.on('data', () => {})
  await once(child.stdout!, 'data')
  await writer.call('append', 'new', 'k', { partition: 2 })
  await writer.call('append', 'newer', 'k', { partition: 0 })
  const { code, stdout } = await end
  t.is(code, 0)
  const seen = (jsonLines(stdout) as { partition: number; value: { text: string } }[]).map(({ partition, value }) => `${partition} ${value.text}`)
  t.deepEqual(seen.slice(0, 2).sort(), ['0 p0 m4', '1 p1 m4'])
  t.deepEqual(seen.slice(2).sort(), ['0 newer', '2 new'])
})

test('tail of a log of partitions begins where it is told, and looks at one key', async (t) => {
  const dir = await madePartitions(t)
  const tailed = async (...args: string[]): Promise<string> => valuesOf((await inside(['tail', dir, '--quiet', ...args])).stdout.split('\n').slice(0, -1))
  t.is(await tailed('--partition', '1', '--from', '3', '--limit', '2'), 'p1 m3 p1 m4')
  t.is(await tailed('--from', 'start', '--key', 'k7', '--limit', '1'), 'p1 m3')
  t.is((await tailed('--since', iso(8), '--limit', '2')).split(' p').length, 2)
  t.is((await inside(['tail', dir, '--from', '3'])).code, 2)
})

test('the published command line has these verbs', async (t) => {
  const { code, stdout } = await varve(['dump', made(t), '--limit', '1'])
  t.is(code, 0)
  t.is(stdout, `0\t${iso(0)}\tk0\tv0\n`)
})
