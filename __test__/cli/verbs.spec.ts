import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { codecs, Wal } from 'varve'
import { firstLine, start } from '../support/child.ts'
import { contents, freshDir } from '../support/directory.ts'
import { cli, exampleDir, inside, jsonLines, logOf, startVarve, varve } from './tools.ts'

interface Failed {
  error: { code: string; message: string; path?: string; position?: number; index?: number; pid?: number; advice: string; exitCode: number }
}

test('stat --json is the exact form of what it prints', async (t) => {
  const dir = logOf(t, Array.from({ length: 1_500 }, (_, i) => `record ${i}`))
  const { code, stdout, stderr } = await varve(['stat', dir, '--json', '--segments'])
  t.is(code, 0)
  t.is(stderr, '')
  const told = JSON.parse(stdout) as { files: { firstIndex: number; nextIndex: number }[] }
  t.like(told, { engine: 'Wal', dir, entries: 1_500, firstIndex: 0, nextIndex: 1_500, durableIndex: 1_500, codec: 'bytes', segments: 1, gaps: [] })
  t.is(told.files.at(-1)!.nextIndex, 1_500)
  t.regex((await varve(['stat', dir])).stdout, /records +1,500, indexes 0 to 1499\n/)
})

test('looking changes nothing', async (t) => {
  const cwd = exampleDir(t)
  for (const name of ['log', 'damaged']) {
    const dir = join(cwd, 'data', name)
    const before = contents(dir)
    for (const verb of [['stat', '-s'], ['check'], ['dump', '--skip-damage'], ['tail', '--from', 'start', '--limit', '3']]) await varve([verb[0]!, dir, ...verb.slice(1)])
    t.deepEqual(contents(dir), before)
  }
})

test('stat, check, dump and tail work beside a process that writes, which stays the only one', async (t) => {
  const dir = join(freshDir(t), 'log')
  const holder = start('holder', [dir])
  await firstLine(holder)
  for (const args of [['stat', dir], ['check', dir], ['dump', dir], ['tail', dir, '--from', 'start', '--limit', '1']]) {
    const { code, stderr } = await varve([...args, '--quiet'])
    t.is(code, 0, args[0])
    t.is(stderr, '', args[0])
  }
  t.is((await varve(['dump', dir])).stdout, '0\tof the holder\n')
  holder.stdin!.end()
  await once(holder, 'exit')
})

test('check of a sound log ends with ok and 0', async (t) => {
  const { code, stdout } = await varve(['check', logOf(t, ['a', 'b'])])
  t.is(code, 0)
  t.regex(stdout, /^ok: 2 intact records in 1 segment/m)
})

test('check of a damaged log ends with 1, names file and position, and says what to do next', async (t) => {
  const cwd = exampleDir(t)
  const { code, stdout } = await varve(['check', 'data/damaged'], cwd)
  t.is(code, 1)
  t.regex(stdout, /0000000000000002\.seg at byte 8000: /)
  t.regex(stdout, /varve salvage data\/damaged <to>/)
  t.regex(stdout, /varve recover data\/damaged/)
  const json = await varve(['check', 'data/damaged', '--json'], cwd)
  t.is(json.code, 1)
  t.is(json.stderr, '')
  t.like(JSON.parse(json.stdout), { ok: false, entries: 2_999, segments: 3 })
})

test('dump prints the part that is asked for', async (t) => {
  const dir = logOf(t, ['a', 'b', 'c', 'd', 'e'], { firstIndex: 10 })
  const dumped = async (...args: string[]): Promise<string> => (await varve(['dump', dir, ...args])).stdout
  t.is(await dumped(), '10\ta\n11\tb\n12\tc\n13\td\n14\te\n')
  t.is(await dumped('--from', '12'), '12\tc\n13\td\n14\te\n')
  t.is(await dumped('--from=12', '--to=14'), '12\tc\n13\td\n')
  t.is(await dumped('--limit', '1'), '10\ta\n')
  t.is(await dumped('--limit', '0'), '')
  t.is(await dumped('--to', '99'), await dumped())
  const beyond = await varve(['dump', dir, '--from', '16', '--json'])
  t.is(beyond.code, 3)
  t.is(beyond.stdout, '')
  t.like((JSON.parse(beyond.stderr) as Failed).error, { code: 'VARVE_OUT_OF_RANGE', exitCode: 3 })
})

test('dump prints every record of a large log once, in order', async (t) => {
  const dir = join(freshDir(t), 'log')
  const log = Wal.openSync(dir)
  for (let i = 0; i < 50; i++) log.appendBatch(Array.from({ length: 1_000 }, (_, j) => `record ${i * 1_000 + j}`))
  await log.close()
  const { code, stdout } = await varve(['dump', dir, '--json'])
  t.is(code, 0)
  const lines = jsonLines(stdout) as { index: number; text: string }[]
  t.is(lines.length, 50_000)
  t.true(lines.every(({ index, text }, i) => index === i && text === `record ${i}`))
})

test('dump prints all before the damage, and says where that is', async (t) => {
  const { code, stdout, stderr } = await varve(['dump', 'data/damaged', '--from', '1000', '--json'], exampleDir(t))
  t.is(code, 1)
  const { error } = JSON.parse(stderr) as Failed
  t.like(error, { code: 'VARVE_CORRUPT', position: 8000, exitCode: 1 })
  t.regex(error.advice, /--skip-damage/)
  const printed = jsonLines(stdout).map((line) => (line as { index: number }).index)
  t.is(printed.join(), Array.from({ length: error.index! - 1000 }, (_, i) => 1000 + i).join())
})

test('dump --skip-damage prints all that is intact, and ends with 1', async (t) => {
  const { code, stdout, stderr } = await varve(['dump', 'data/damaged', '--skip-damage'], exampleDir(t))
  t.is(code, 1)
  t.is(stdout.trimEnd().split('\n').length, 2_999)
  t.regex(stderr, /^missing: index \d+, damaged in .*0000000000000002\.seg at byte 8000$/m)
})

test('each codec shows its records in a form of its own, and every log opens', async (t) => {
  const cases = [
    [codecs.json<unknown>(), { tea: 2, note: 'a\nb' }, '0\t{"tea":2,"note":"a\\nb"}\n', '{"index":0,"json":{"tea":2,"note":"a\\nb"}}\n'],
    [codecs.utf8, 'tea\nmilk', '0\ttea\\nmilk\n', '{"index":0,"text":"tea\\nmilk"}\n'],
    [codecs.varint, -300, '0\t-300\n', '{"index":0,"json":-300}\n'],
    [codecs.int64, -(2n ** 63n), '0\t"-9223372036854775808"\n', '{"index":0,"json":"-9223372036854775808"}\n'],
    [codecs.float64, 0.5, '0\t0.5\n', '{"index":0,"json":0.5}\n'],
    [codecs.boolean, true, '0\ttrue\n', '{"index":0,"json":true}\n'],
    [{ name: 'of my own', encode: () => Buffer.of(1, 255), decode: () => null }, null, '0\t\\x01\\xff\n', '{"index":0,"base64":"Af8="}\n'],
  ] as const
  for (const [codec, value, text, json] of cases) {
    const dir = join(freshDir(t), 'log')
    const log = Wal.openSync<unknown>(dir, { codec: codec as never })
    log.append(value as never)
    await log.close()
    t.is((await varve(['dump', dir])).stdout, text, codec.name)
    t.is((await varve(['dump', dir, '--json'])).stdout, json, codec.name)
  }
})

test('--format shows records so, and what is not JSON is an error that names it', async (t) => {
  const dir = logOf(t, ['{"a":1}', Buffer.of(0, 1, 2)])
  const dumped = async (...args: string[]): Promise<string> => (await varve(['dump', dir, ...args])).stdout
  t.is(await dumped('--format', 'hex'), `0\t${Buffer.from('{"a":1}').toString('hex')}\n1\t000102\n`)
  t.is(await dumped('--format', 'base64', '--json'), `{"index":0,"base64":"eyJhIjoxfQ=="}\n{"index":1,"base64":"AAEC"}\n`)
  t.is(await dumped('--format', 'length'), '0\t7\n1\t3\n')
  t.is(await dumped('--format', 'text'), '0\t{"a":1}\n1\t\\x00\\x01\\x02\n')
  const { code, stdout, stderr } = await varve(['dump', dir, '--format', 'json', '--json'])
  t.is(code, 3)
  t.is(stdout, '{"index":0,"json":{"a":1}}\n')
  t.like((JSON.parse(stderr) as Failed).error, { code: 'FORMAT', index: 1 })
})

test('tail prints what is there and what is appended, and SIGINT ends it with 130', async (t) => {
  const dir = join(freshDir(t), 'log')
  const log = Wal.openSync(dir, { durability: 'os' })
  t.teardown(() => log.close())
  for (const text of ['a', 'b', 'c']) log.append(text)
  const { child, end } = startVarve(['tail', dir, '-n', '2'])
  const lines: string[] = []
  child.stdout!.on('data', (text: string) => lines.push(...text.split('\n').filter(Boolean)))
  const until = async (count: number): Promise<void> => {
    while (lines.length < count) await once(child.stdout!, 'data')
  }
  await until(2)
  log.append('d')
  await until(3)
  log.append('e')
  await until(4)
  child.kill('SIGINT')
  const { code, signal, stderr } = await end
  t.is(signal, null)
  t.is(code, 130)
  t.deepEqual(lines, ['1\tb', '2\tc', '3\td', '4\te'])
  t.regex(stderr, /^following .* from index 1; Ctrl-C ends it\n$/)
})

test('tail begins at the end where nobody says, and SIGTERM ends it with 143', async (t) => {
  const dir = join(freshDir(t), 'log')
  const log = Wal.openSync(dir, { durability: 'os' })
  t.teardown(() => log.close())
  log.append('before')
  const { child, end } = startVarve(['tail', dir, '--json'])
  // Nothing tells when it listens, with --json: so much is appended until it is heard.
  const heard = once(child.stdout!, 'data')
  let done = false
  const writing = (async () => {
    for (let i = 0; !done; i++) {
      log.append(`after ${i}`)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  })()
  await heard
  done = true
  await writing
  child.kill('SIGTERM')
  const { code, stderr } = await end
  t.is(code, 143)
  t.is(stderr, '')
})

test('tail --limit ends by itself, and --from takes an index, start or end', async (t) => {
  const dir = logOf(t, ['a', 'b', 'c'])
  t.is((await varve(['tail', dir, '--from', '1', '--limit', '2'])).stdout, '1\tb\n2\tc\n')
  t.is((await varve(['tail', dir, '--from', 'start', '--limit', '1'])).stdout, '0\ta\n')
  t.is((await varve(['tail', dir, '--last', '99', '--limit', '3'])).stdout, '0\ta\n1\tb\n2\tc\n')
  const both = await varve(['tail', dir, '--from', '1', '-n', '1'])
  t.is(both.code, 2)
  t.is((await varve(['tail', dir, '--from', 'somewhere'])).code, 2)
})

test('who stops reading ends it quietly with 0', async (t) => {
  const dir = join(freshDir(t), 'log')
  const log = Wal.openSync(dir)
  for (let i = 0; i < 200; i++) log.appendBatch(Array.from({ length: 1_000 }, () => 'a record of some length, so that no pipe holds all'))
  await log.close()
  for (const args of [['dump', dir], ['dump', dir, '--json'], ['tail', dir, '--from', 'start', '--quiet']]) {
    const { child, end } = startVarve(args)
    child.stdout!.once('data', () => child.stdout!.destroy())
    const { code, signal, stderr } = await end
    t.is(code, 0, args.join(' '))
    t.is(signal, null)
    t.is(stderr, '')
  }
})

test('what cannot be written is said, with 3', async (t) => {
  if (!existsSync('/dev/full')) return t.pass()
  const full = openSync('/dev/full', 'w')
  t.teardown(() => closeSync(full))
  const dir = logOf(t, ['a'])
  const { status, stderr } = spawnSync(process.execPath, [cli, 'stat', dir], { stdio: ['ignore', full, 'pipe'], env: { PATH: process.env['PATH'] }, encoding: 'utf8' })
  t.is(status, 3)
  t.regex(stderr, /ENOSPC/)
})

test('where there is no log it says so, with 3, and makes nothing', async (t) => {
  const dir = freshDir(t)
  mkdirSync(join(dir, 'empty'))
  mkdirSync(join(dir, 'other'))
  writeFileSync(join(dir, 'other', 'file.txt'), 'x')
  for (const [path, why] of [['none', 'does not exist'], ['empty', 'has no files of varve'], ['other', 'has no files of varve'], ['other/file.txt', 'is not a directory']] as const) {
    for (const verb of ['stat', 'check', 'dump', 'tail']) {
      const { code, stdout, stderr } = await inside([verb, join(dir, path)])
      t.is(code, 3)
      t.is(stdout, '')
      t.true(stderr.startsWith(`varve ${verb}: no log there: ${join(dir, path)} ${why}\n`), stderr)
    }
  }
  t.deepEqual(readdirSync(dir).sort(), ['empty', 'other'])
  t.deepEqual(readdirSync(join(dir, 'empty')), [])
})
