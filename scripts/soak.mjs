// `npm run soak [-- --minutes N --only part,…]`: what is too long for every commit. docs/soak.md says what each part does.
import { parseArgs } from 'node:util'
import { blocks } from '../soak/blocks.mjs'
import { longer } from '../soak/longer.mjs'
import { matrix } from '../soak/matrix.mjs'
import { memory } from '../soak/memory.mjs'
import { Progress, summarise } from '../soak/report.mjs'
import { undoAtEnd } from '../soak/undo.mjs'
import { ready } from './ready.mjs'
import { say } from './run.mjs'

const parts = { matrix, memory, longer, blocks }

const help = `npm run soak [-- options]

  --minutes <n>      about so many for all parts together; default 60
  --only <part,…>    of ${Object.keys(parts).join(', ')}
  --seed <n>         the draws of an earlier run
  --images <n>       disks a file system that \`blocks\` looks at, at most; default: as many as the time allows
`

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '60' },
    only: { type: 'string' },
    seed: { type: 'string' },
    images: { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  },
})

/** What was asked for, or an error that says what may be. */
function asked() {
  const chosen = values.only?.split(',') ?? Object.keys(parts)
  for (const name of chosen) if (!Object.hasOwn(parts, name)) throw new Error(`--only ${name}: there is no such part; there are ${Object.keys(parts).join(', ')}`)
  const number = (name, least) => {
    const value = Number(values[name])
    if (!(value >= least)) throw new Error(`--${name} ${values[name]}: a number of at least ${least} is wanted`)
    return value
  }
  return {
    chosen,
    minutes: number('minutes', 0.05) / chosen.length,
    seed: values.seed === undefined ? Math.floor(Math.random() * 1e9) : number('seed', 0),
    images: values.images === undefined ? Infinity : number('images', 1),
  }
}

async function main() {
  if (values.help) return console.log(help)
  const { chosen, minutes, seed, images } = asked()
  undoAtEnd()
  await ready()
  console.error(`seed ${seed}`)
  const rows = []
  for (const name of chosen) {
    say(`${name}, about ${minutes.toFixed(1)} minutes`)
    rows.push(...(await parts[name]({ minutes, seed, images, progress: new Progress(name) })))
  }
  if (!summarise(rows)) process.exitCode = 1
  console.log(`\nseed ${seed}`)
}

try {
  await main()
} catch (error) {
  console.error(`\n${error.message}`)
  process.exitCode = 1
}
