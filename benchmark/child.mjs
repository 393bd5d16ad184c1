// One measurement in a process of its own: `node child.mjs <task as JSON>` prints the result as JSON.
import { fileURLToPath } from 'node:url'

const task = JSON.parse(process.argv[2])
let peer
try {
  peer = await import(`./${task.suite}/peers/${task.peer}.mjs`)
} catch (error) {
  // Results are published: they name no directory of this machine.
  const root = fileURLToPath(new URL('..', import.meta.url))
  console.log(JSON.stringify({ unavailable: error.message.split('\n')[0].replaceAll(root, '') }))
  process.exit(0)
}
console.log(JSON.stringify(await peer[task.run](task)))
