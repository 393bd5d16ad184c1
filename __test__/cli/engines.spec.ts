// Another engine beside the Wal, as later releases will have them.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { Log, PartitionedLog, Wal } from 'varve'
import { type Command, OK } from '../../cli/command.ts'
import { type Engine, engines } from '../../cli/engines.ts'
import { markdown } from '../../cli/help.ts'
import { flip } from '../support/damage.ts'
import { closedAfter, freshDir, lines, segments } from '../support/directory.ts'
import { inside, logOf } from './tools.ts'

const command = (name: string, options: Command['options']): Command => ({
  name,
  summary: `${name} of another engine`,
  about: ['It is of another engine.'],
  operands: [{ name: 'dir', about: 'directory' }],
  options,
  example: { command: `varve ${name} x`, output: '' },
  async run(args, { out }) {
    out.line(`other ${name} ${args.text('key') ?? ''}`)
    return OK
  },
})
const other: Engine = { name: 'Other', probe: ({ kinds }) => kinds.has(99), care: Wal, noun: 'record', commands: [command('stat', { key: { value: 'key', about: 'a key' } }), command('compact', {})] }

const run = (...args: string[]): ReturnType<typeof inside> => inside(args, [other])

test('the engine is found by the directory, and its own command runs', async (t) => {
  const dir = join(freshDir(t), 'other')
  mkdirSync(dir)
  const header = Buffer.alloc(1024)
  header.write('VARVESEG', 512)
  header[522] = 99
  writeFileSync(join(dir, '0000000000000001.seg'), header)
  t.like(await run('stat', dir, '--key', 'k'), { code: 0, stdout: 'other stat k\n' })
  t.like(await run('compact', dir), { code: 0, stdout: 'other compact \n' })
  const check = await run('check', dir)
  t.is(check.code, 2)
  t.regex(check.stderr, /holds a Other, which has no check; it has stat, compact/)
})

test('a verb or an option of another engine is wrong usage on a Wal, and says so', async (t) => {
  const dir = logOf(t, ['a'])
  t.regex((await run('stat', dir)).stdout, /: a Wal\n/)
  const option = await run('stat', dir, '--key', 'k')
  t.is(option.code, 2)
  t.regex(option.stderr, /holds a Wal, whose stat has no --key/)
  const verb = await run('compact', dir)
  t.is(verb.code, 2)
  t.regex(verb.stderr, /holds a Wal, which has no compact/)
})

test('an engine that no row knows is named by its number', async (t) => {
  const dir = freshDir(t)
  const header = Buffer.alloc(1024)
  header.write('VARVESEG', 0)
  header[10] = 77
  writeFileSync(join(dir, '0000000000000001.seg'), header)
  const { code, stderr } = await run('stat', dir)
  t.is(code, 3)
  t.regex(stderr, /holds an engine \(77\) that this version does not know/)
})

test('the help has the verbs of all engines, and says which are of one', async (t) => {
  const { stdout } = await run('--help')
  t.regex(stdout, /compact +compact of another engine \(Other\)/)
  const { stdout: stat } = await run('help', 'stat')
  t.regex(stat, /Of Wal:\n/)
  t.regex(stat, /Of Other:\n/)
  t.regex(markdown([...engines, other]), /## compact \(Other\)/)
})

test('check, salvage, recover and stat of a message log', async (t) => {
  const dir = join(freshDir(t), 'messages')
  const log = Log.openSync(dir)
  for (let i = 0; i < 100; i++) log.append(`value ${i}.`, `key ${i}`)
  await log.close()
  t.regex((await run('check', dir)).stdout, /^ok: 100 intact messages in 1 segment/)
  t.regex((await run('stat', dir)).stdout, /: a Log\n {2}messages +100, offsets 0 to 99\n/)
  t.like(JSON.parse((await run('stat', dir, '--json')).stdout), { engine: 'Log', messages: 100, nextOffset: 100, codec: 'bytes/bytes' })
  flip(segments(dir)[0]!, 'value 50.', 2)
  const check = await run('check', dir)
  t.is(check.code, 1)
  t.regex(check.stdout, /payload does not match its checksum/)
  const saved = `${dir}-saved`
  t.regex((await run('salvage', dir, saved)).stdout, /99 messages copied/)
  t.is(lines(closedAfter(t, Log.openSync(saved))).length, 99)
  t.regex((await run('recover', dir, '--yes')).stdout, /50 messages kept/)
})

test('check, salvage and recover of a log of partitions', async (t) => {
  const dir = join(freshDir(t), 'partitions')
  const log = await PartitionedLog.open(dir, { partitions: 3 })
  for (let i = 0; i < 90; i++) log.append(`value ${i}.`, null, { partition: i % 3 })
  await log.close()
  t.like(JSON.parse((await run('check', dir, '--json')).stdout), { ok: true, entries: 90, segments: 3 })
  flip(segments(join(dir, '0001'))[0]!, 'value 46.', 2)
  t.is((await run('check', dir)).code, 1)
  t.regex((await run('salvage', dir, `${dir}-saved`)).stdout, /89 messages copied/)
  t.regex((await run('recover', dir, '--yes')).stdout, /75 messages kept/)
})
