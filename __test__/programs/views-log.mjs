// Takes views of a message log, forgets all else, and then the views. Prints what became of them. Arguments: directory.
import { existsSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import v8 from 'node:v8'
import vm from 'node:vm'
import { Log } from 'varve'

v8.setFlagsFromString('--expose-gc')
const gc = vm.runInNewContext('gc')
const dir = process.argv[2]
const text = (i) => `value ${i} `.padEnd(20_000, '.')

async function collect() {
  for (let i = 0; i < 5; i++) {
    gc()
    await setImmediate()
  }
}

const log = Log.openSync(dir, { segmentSize: 1 << 20 })
for (let i = 0; i < 200; i++) log.append(text(i))
await log.sync()
const references = () => log.segments().reduce((sum, segment) => sum + segment.references, 0)
const path = log.segments()[0].path

let held = await (async () => {
  const second = Log.openSync(dir)
  const views = Array.from(second.messages({ zeroCopy: true }), ({ value }) => value)
  await second.close()
  return views
})()
await collect()
const counted = references()
await log.trim({ beforeOffset: 200 })
await log.sync()
await collect()
const intact = held.every((data, i) => data.toString() === text(i))
held = undefined
let left = -1
for (let i = 0; i < 300 && (left !== 0 || existsSync(path)); i++) {
  await collect()
  left = references()
}
console.log(JSON.stringify({ intact, held: counted > 0, left, gone: !existsSync(path) }))
await log.close()
