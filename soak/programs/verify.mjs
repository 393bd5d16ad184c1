// After a cell: every record that was acknowledged is there, but for those that were removed from the start; check finds no damage. Argument: directory.
import { readFileSync } from 'node:fs'
import { Wal } from 'varve'

const [dir] = process.argv.slice(2)
const log = Wal.openSync(dir, { verify: true })
let count = 0
for (const line of readFileSync(`${dir}.acks`, 'utf8').split('\n').slice(0, -1)) {
  const space = line.indexOf(' ')
  const [index, record] = [Number(line.slice(0, space)), line.slice(space + 1)]
  if (index < log.firstIndex) continue
  const found = log.get(index)?.toString()
  if (found !== record) throw new Error(`${index} was acknowledged as ${record}, and is ${found}; the log is ${log.firstIndex} to ${log.nextIndex}`)
  count++
}
const { torn, gaps } = log.stats().recovery
if (torn.length + gaps.length > 0) throw new Error(`a process that ended left ${JSON.stringify({ torn, gaps })}`)
await log.close()
const { ok, damage } = await Wal.check(dir)
if (!ok) throw new Error(`check: ${JSON.stringify(damage)}`)
console.log(`${count} acknowledged`)
