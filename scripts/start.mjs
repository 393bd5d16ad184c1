// `npm start`: from a fresh clone to the report of the main job. Arguments after `--` are the job's.
import { ready } from './ready.mjs'
import { must, say } from './run.mjs'

await ready()
say('a million flights: written, killed, recovered, read back')
must(process.execPath, ['--import', '@oxc-node/core/register', 'examples/flights/main.ts', ...process.argv.slice(2)])
