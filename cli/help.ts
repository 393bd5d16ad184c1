// The help, and docs/cli.md, which is the same for reading at leisure.
import { type Command, commonOptions, exitCodes, type Option } from './command.ts'
import type { Engine } from './engines.ts'
import { table } from './units.ts'

const WIDTH = 100
const INTRODUCTION = 'Looks at, follows, checks, repairs and copies the directories of varve\'s engines, which it recognises by themselves.'

/** Each verb once by name, with the engines that have it in this form. */
function verbs(engines: readonly Engine[]): { command: Command; of: string[] }[] {
  const found: { command: Command; of: string[] }[] = []
  for (const { name, commands } of engines) {
    for (const command of commands) {
      const known = found.find((entry) => entry.command === command)
      if (known === undefined) found.push({ command, of: [name] })
      else known.of.push(name)
    }
  }
  return found
}

/** The names of all verbs. */
export function verbNames(engines: readonly Engine[]): string[] {
  return [...new Set(verbs(engines).map(({ command }) => command.name))]
}

/** `varve --help` */
export function overview(engines: readonly Engine[]): string {
  const all = verbs(engines)
  const rows = all.map(({ command, of }) => [`  ${command.name}`, `${command.summary}${of.length < engines.length ? ` (${of.join(', ')})` : ''}`])
  return [
    'varve <verb> <dir> [options]',
    '',
    ...wrapped(INTRODUCTION),
    '',
    'Verbs',
    ...table(rows),
    '',
    'Options of all verbs',
    ...optionRows({ ...commonOptions, version: { short: 'v', about: 'prints the version of varve' } }),
    '',
    'Exit codes',
    ...codeRows(exitCodes),
    '',
    '`varve help <verb>` tells when to use a verb, its options, and an example.',
  ].join('\n')
}

/** `varve help <verb>` */
export function verbHelp(name: string, engines: readonly Engine[]): string {
  const all = verbs(engines).filter(({ command }) => command.name === name)
  return all.map(({ command, of }) => (all.length > 1 ? `Of ${of.join(', ')}:\n` : '') + commandHelp(command)).join('\n\n')
}

/** `varve salvage <from> <to> [options]` */
export function usage({ name, operands }: Command): string {
  return `varve ${name} ${operands.map((operand) => `<${operand.name}>`).join(' ')} [options]`
}

function commandHelp(command: Command): string {
  const { about, operands, options, example, interrupted } = command
  return [
    usage(command),
    '',
    ...about.flatMap((paragraph) => [...wrapped(paragraph), '']),
    ...table(operands.map((operand) => [`  <${operand.name}>`, operand.about])),
    '',
    'Options',
    ...optionRows({ ...options, ...commonOptions }),
    '',
    'Exit codes',
    ...codeRows(codesOf(command)),
    ...(interrupted === undefined ? [] : ['', ...wrapped(`Interrupted: ${interrupted}`)]),
    '',
    'Example',
    `  $ ${example.command}`,
    ...example.output.trimEnd().split('\n').map((line) => `  ${line}`.trimEnd()),
  ].join('\n')
}

/** docs/cli.md */
export function markdown(engines: readonly Engine[]): string {
  const all = verbs(engines)
  const blocks = all.flatMap(({ command, of }) => {
    const { about, operands, options, example, interrupted } = command
    return [
      `## ${heading(command, of, engines)}`,
      `    ${usage(command)}`,
      ...about,
      [
        '| | |', '|---|---|',
        ...operands.map((operand) => row(`\`<${operand.name}>\``, operand.about)),
        ...Object.entries(options).map(([name, option]) => row(`\`${optionName(name, option)}\``, option.about)),
      ].join('\n'),
      codesOf(command) === exitCodes ? '' : `Exit codes: ${Object.entries(command.exits ?? {}).map(([code, text]) => `**${code}** ${text}`).join('; ')}; else as above.`,
      interrupted === undefined ? '' : `Interrupted: ${interrupted}`,
      `\`\`\`console\n$ ${example.command}\n${example.output.trimEnd()}\n\`\`\``,
    ].filter((block) => block !== '')
  })
  return `${[
    '<!-- Generated from the help texts in cli/. `UPDATE_DOCS=1 npx ava __test__/cli/docs.spec.ts` writes it anew. -->',
    '# The command line',
    `    npx varve <verb> <dir> [options]`,
    `${INTRODUCTION} \`varve help <verb>\` prints what is below.`,
    ['| verb | |', '|---|---|', ...all.map(({ command, of }) => row(`[${heading(command, of, engines)}](#${anchor(heading(command, of, engines))})`, command.summary))].join('\n'),
    '## Options of all verbs',
    ['| option | |', '|---|---|', ...Object.entries(commonOptions).map(([name, option]) => row(`\`${optionName(name, option)}\``, option.about))].join('\n'),
    '## Exit codes',
    ['| code | |', '|---:|---|', ...Object.entries(exitCodes).map(([code, text]) => row(code, text))].join('\n'),
    'With `--json` an error is one line of JSON on standard error: `{ "error": { "code", "message", "path", "position", "index", "pid", "cause", "advice", "exitCode" } }`, as far as there are such facts. '
      + 'Codes are those of [errors.md](errors.md), and `USAGE`, `NO_LOG` (there is no log), `FORMAT` (a record is not what `--format` needs), `DECLINED` (nobody said yes).',
    ...blocks,
  ].join('\n\n')}\n`
}

/** A verb, and of which engines it is, where some have none. */
const heading = ({ name }: Command, of: readonly string[], engines: readonly Engine[]): string => `${name}${of.length < engines.length ? ` (${of.join(', ')})` : ''}`
/** The link to a heading, as it is made of one. */
const anchor = (heading: string): string => heading.toLowerCase().replace(/[^\w -]/g, '').replaceAll(' ', '-')
const row = (...cells: string[]): string => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
const optionName = (name: string, { value, short }: Option): string =>
  `${short === undefined ? '' : `-${short}, `}--${name}${value === undefined ? '' : ` <${value}>`}`
const codesOf = ({ exits }: Command): Readonly<Record<number, string>> => (exits === undefined ? exitCodes : { ...exitCodes, ...exits })

function optionRows(options: Readonly<Record<string, Option>>): string[] {
  return hanging(Object.entries(options).map(([name, option]) => [`${option.short === undefined ? '    ' : ''}${optionName(name, option)}`, option.about]))
}

function codeRows(codes: Readonly<Record<number, string>>): string[] {
  return hanging(Object.entries(codes).map(([code, text]) => [code.padStart(3), text]))
}

/** Two columns, the second one wrapped. */
function hanging(rows: readonly (readonly [string, string])[]): string[] {
  const left = Math.max(...rows.map(([name]) => name.length)) + 2
  return rows.flatMap(([name, text]) => wrapped(text, WIDTH - left - 2).map((line, i) => `  ${(i === 0 ? name : '').padEnd(left)}${line}`))
}

function wrapped(text: string, width = WIDTH): string[] {
  const lines: string[] = []
  let line = ''
  // A command in backticks stays on its line.
  for (const word of text.match(/(?:`[^`]*`|[^\s`])+/g) ?? []) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line)
      line = ''
    }
    line += `${line === '' ? '' : ' '}${word}`
  }
  return [...lines, line]
}
