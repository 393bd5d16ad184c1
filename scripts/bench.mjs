// `npm run bench`: arguments after `--` go to benchmark/run.mjs, which lists them.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { ready } from './ready.mjs'
import { must, npm, root, say } from './run.mjs'

await ready()
if (!existsSync(join(root, 'benchmark', 'node_modules'))) {
  say('installing the rivals, which only the benchmark needs')
  npm(['ci', '--prefix', 'benchmark', '--loglevel=error'])
}
must(process.execPath, ['benchmark/run.mjs', ...process.argv.slice(2)])
