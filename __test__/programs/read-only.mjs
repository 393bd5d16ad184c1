// Reads a log in a directory that it may not write to. Prints what it met, as JSON.
import { Wal } from 'varve'

const dir = process.argv[2]
const codeOf = (call) => {
  try {
    return call()
  } catch (error) {
    return error.code
  }
}
const log = await Wal.open(dir, { readOnly: true })
const met = { nextIndex: log.nextIndex, records: [...log.records()].length, append: codeOf(() => log.append('x')) }
for await (const { index } of log.tail()) if (index === log.nextIndex - 1) break
await log.close()
met.write = codeOf(() => Wal.openSync(dir).closeSync())
console.log(JSON.stringify(met))
