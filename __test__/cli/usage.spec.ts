import { readdirSync, readFileSync } from 'node:fs'
import test from 'ava'
import { version } from 'varve'
import { commonOptions } from '../../cli/command.ts'
import { engines } from '../../cli/engines.ts'
import { addTopic, exampleDir, inside, logOf, repairs, varve } from './tools.ts'

const commands = [...new Set(engines.flatMap((engine) => engine.commands))]
/** What reaches native code that an addon may not have yet. */
const repairing = new Set(['recover', 'salvage', 'backup'])

test('--version is that of the package', async (t) => {
  for (const flag of ['--version', '-v']) t.like(await varve([flag]), { code: 0, stdout: `${version}\n`, stderr: '' })
})

test('the help lists every verb, and goes to standard output where it was asked for', async (t) => {
  for (const args of [['--help'], ['-h'], ['help']]) {
    const { code, stdout, stderr } = await varve(args)
    t.is(code, 0)
    t.is(stderr, '')
    for (const { name, summary } of commands) t.regex(stdout, new RegExp(`^  ${name.padEnd(7)}  ${summary}( \\(\\w+(, \\w+)*\\))?$`, 'm'))
  }
  t.like(await varve([]), { code: 2, stdout: '' })
})

for (const command of commands) {
  test(`the help of ${command.name}, as in ${command.example.command}, names its operands, its options, its exit codes and its example`, async (t) => {
    const { code, stdout, stderr } = await inside(['help', command.name])
    t.is(code, 0)
    t.is(stderr, '')
    for (const { name, about } of command.operands) t.true(stdout.includes(`<${name}>`) && stdout.includes(about), name)
    for (const name of [...Object.keys(command.options), ...Object.keys(commonOptions)]) t.regex(stdout, new RegExp(`^ .*--${name}\\b`, 'm'))
    for (const exit of ['0', '1', '2', '3', '130']) t.regex(stdout, new RegExp(`^ +${exit}  `, 'm'))
    t.true(stdout.includes(`$ ${command.example.command}\n`))
    t.true(stdout.split('\n').slice(0, stdout.split('\n').indexOf('Example')).every((line) => line.length <= 100))
    for (const args of [[command.name, '--help'], [command.name, 'some', 'where', '-h'], ['-h', command.name]]) t.deepEqual(await inside(args), { code, stdout, stderr })
  })

  const exampleTest = repairing.has(command.name) && !repairs ? test.skip : test
  exampleTest(`the example of ${command.name}, ${command.example.command}, prints what its help says`, async (t) => {
    const cwd = exampleDir(t)
    await addTopic(cwd)
    const [program, ...args] = Array.from(command.example.command.matchAll(/"([^"]*)"|\S+/g), ([word, quoted]) => quoted ?? word)
    t.is(program, 'varve')
    const { stdout } = await varve(args, cwd)
    t.is(stdout.replaceAll(cwd, '/srv').trim(), command.example.output.trim())
  })
}

test('every option of every verb is read by its file, or by what it shares with others', (t) => {
  const dir = new URL('../../cli/commands/', import.meta.url)
  const sources = readdirSync(dir).map((name) => readFileSync(new URL(name, dir), 'utf8'))
  const shared = readFileSync(new URL('messages.ts', dir), 'utf8')
  for (const command of commands) {
    const own = sources.find((source) => source.includes(`: Command = {\n  name: '${command.name}',\n  summary: '${command.summary}'`))
    for (const option of Object.keys(command.options)) {
      const read = new RegExp(option === 'format' ? `checkFormat\\(args\\)|args\\.\\w+\\('format'` : `args\\.\\w+\\('${option}'`)
      t.true(read.test(own ?? '') || (own!.includes('new Wanted(args') && read.test(shared)) || (own!.includes('partitionsOf(args') && option === 'partition'), `${command.summary} --${option}`)
    }
  }
})

const wrong: readonly [readonly string[], RegExp][] = [
  [['chekc', 'x'], /there is no verb "chekc"; did you mean check\?/],
  [['xyzzy', 'x'], /there is no verb "xyzzy"; there are stat, check, dump, tail, recover, salvage, backup/],
  [['help', 'dmup'], /there is no verb "dmup"; did you mean dump\?/],
  [['--quiet'], /there is no verb in: varve --quiet/],
  [['stat'], /takes <dir>; got nothing/],
  [['stat', 'a', 'b'], /takes <dir>; got a b/],
  [['salvage', 'a'], /takes <from> <to>; got a/],
  [['stat', 'a', '--segmnts'], /there is no option --segmnts; did you mean --segments\?/],
  [['stat', 'a', '--from', '1'], /there is no option --from/],
  [['dump', 'a', '--from'], /--from takes a value: --from <(index|offset)>/],
  [['dump', 'a', '--from', '--to', '3'], /--from takes a value/],
  [['dump', 'a', '--from='], /--from takes a value/],
  [['stat', 'a', '--segments=yes'], /--segments is a switch/],
  [['dump', 'a', '-z'], /there is no option -z/],
]
for (const [args, message] of wrong) {
  test(`varve ${args.join(' ')} is wrong usage: 2, and what to do on standard error`, async (t) => {
    const { code, stdout, stderr } = await inside(args)
    t.is(code, 2)
    t.is(stdout, '')
    t.regex(stderr, message)
    t.regex(stderr, /`varve (--help|help \w+)` says what there is/)
    const json = await inside([...args, '--json'])
    t.is(json.code, 2)
    t.is(json.stdout, '')
    t.like(JSON.parse(json.stderr), { error: { code: 'USAGE', exitCode: 2 } })
  })
}

test('a wrong command line ends the process with 2', async (t) => {
  const { code, stdout, stderr } = await varve(['chekc', 'x'])
  t.is(code, 2)
  t.is(stdout, '')
  t.regex(stderr, /did you mean check/)
})

test('values are checked before anything is done', async (t) => {
  const dir = logOf(t, ['a'])
  const cases = [
    [['dump', dir, '--from', 'one'], /--from takes a whole number from 0 on, got "one"/],
    [['dump', dir, '--limit', '1.5'], /--limit takes a whole number/],
    [['dump', dir, '--format', 'hexx'], /--format is one of text, json, hex, base64, length; got "hexx"; did you mean hex\?/],
    [['tail', dir, '-n', '1e3'], /--last takes a whole number/],
    [['backup', dir, `${dir}2`, '--after', 'x'], /--after takes a whole number/],
  ] as const
  for (const [args, message] of cases) {
    const { code, stdout, stderr } = await inside(args)
    t.is(code, 2)
    t.is(stdout, '')
    t.regex(stderr, message)
  }
})

test('behind -- a directory may begin with a dash', async (t) => {
  const { code, stderr } = await inside(['stat', '--', '-x'])
  t.is(code, 3)
  t.regex(stderr, /no log there: .*\/-x does not exist/)
})
