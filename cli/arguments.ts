// The command line, read by the description of its verb.
import { parseArgs } from 'node:util'
import { type Command, commonOptions, type Option } from './command.ts'
import { nearest } from './nearest.ts'

/** The command line is wrong. Nothing was done. */
export class UsageError extends Error {
  /** The verb whose help tells more. */
  readonly verb: string | undefined

  constructor(message: string, verb?: string) {
    super(message)
    this.name = 'UsageError'
    this.verb = verb
  }
}

/** The operands and options of one verb. */
export class Arguments {
  readonly operands: readonly string[]
  readonly #verb: string
  readonly #values: ReadonlyMap<string, string | true>

  constructor(verb: string, operands: readonly string[], values: ReadonlyMap<string, string | true>) {
    this.#verb = verb
    this.operands = operands
    this.#values = values
  }

  /** The directory by which the engine is found. */
  get dir(): string {
    return this.operands[0]!
  }

  /** Names of the options that were given. */
  get given(): Iterable<string> {
    return this.#values.keys()
  }

  has(name: string): boolean {
    return this.#values.has(name)
  }

  text(name: string): string | undefined {
    const value = this.#values.get(name)
    return value === true ? undefined : value
  }

  /** An index, a count or a number of a segment. */
  integer(name: string): number | undefined {
    const text = this.text(name)
    if (text === undefined) return undefined
    const value = Number(text)
    if (/^\d+$/.test(text) && Number.isSafeInteger(value)) return value
    throw new UsageError(`--${name} takes a whole number from 0 on, got ${JSON.stringify(text)}`, this.#verb)
  }

  /** Milliseconds since the Unix epoch. */
  time(name: string): number | undefined {
    const text = this.text(name)
    if (text === undefined) return undefined
    const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Date.parse(text)
    if (Math.abs(value) <= 8.64e15) return value
    throw new UsageError(`--${name} takes a time, as 2026-01-31T12:00:00Z, or milliseconds since 1970; got ${JSON.stringify(text)}`, this.#verb)
  }

  choice<const C extends string>(name: string, choices: readonly C[]): C | undefined {
    const text = this.text(name)
    const found = choices.find((choice) => choice === text)
    if (text === undefined || found !== undefined) return found
    throw new UsageError(`--${name} is one of ${choices.join(', ')}; got ${JSON.stringify(text)}${meant(text, choices)}`, this.#verb)
  }
}

/** `args` as `commands` take them: they bear one name, and each belongs to an engine that is not known yet. */
export function readArguments(args: readonly string[], commands: readonly [Command, ...Command[]]): Arguments {
  const [{ name: verb, operands }] = commands
  const options: Record<string, Option> = Object.assign(Object.create(null), ...commands.map((command) => command.options), commonOptions)
  const { tokens } = parseArgs({
    args: [...args],
    strict: false,
    tokens: true,
    options: Object.fromEntries(Object.entries(options).map(([name, { value, short }]) => [
      name, { type: value === undefined ? 'boolean' : 'string', ...(short === undefined ? {} : { short }) } as const,
    ])),
  })
  const values = new Map<string, string | true>()
  const places: string[] = []
  for (const token of tokens) {
    if (token.kind === 'positional') places.push(token.value)
    if (token.kind !== 'option') continue
    const option = options[token.name]
    if (option === undefined) throw new UsageError(unknownOption(token.rawName, Object.keys(options)), verb)
    // A value that looks like an option is one whose value was forgotten.
    const missing = token.value === undefined || token.value === '' || (!token.inlineValue && token.value.startsWith('-'))
    if (option.value !== undefined && missing) throw new UsageError(`${token.rawName} takes a value: ${token.rawName} <${option.value}>`, verb)
    if (option.value === undefined && token.value !== undefined) throw new UsageError(`${token.rawName} is a switch, and takes no value`, verb)
    values.set(token.name, token.value ?? true)
  }
  if (values.has('help')) return new Arguments(verb, places, values)
  if (places.length !== operands.length) {
    throw new UsageError(`takes ${operands.map(({ name }) => `<${name}>`).join(' ')}; got ${places.length === 0 ? 'nothing' : places.join(' ')}`, verb)
  }
  return new Arguments(verb, places, values)
}

/** An engine's own command has to know what was given: the options of a verb may differ from one engine to the next. */
export function checkOptions(args: Arguments, { name, options }: Command, engine: string): void {
  for (const option of args.given) {
    if (!Object.hasOwn(options, option) && !Object.hasOwn(commonOptions, option)) {
      throw new UsageError(`${args.dir} holds a ${engine}, whose ${name} has no --${option}`, name)
    }
  }
}

/** '; did you mean x?', or nothing. */
export function meant(given: string, names: readonly string[]): string {
  const name = nearest(given, names)
  return name === undefined ? '' : `; did you mean ${name}?`
}

function unknownOption(raw: string, names: readonly string[]): string {
  return `there is no option ${raw}${meant(raw, names.map((name) => `--${name}`))}`
}
