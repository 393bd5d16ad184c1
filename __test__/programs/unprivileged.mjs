// Tries to open a directory without the right to, and prints what it met, as JSON.
import { Wal } from 'varve'

const met = []
for (const dir of process.argv.slice(2)) {
  try {
    Wal.openSync(dir).closeSync()
    met.push({ code: 'opened' })
  } catch (error) {
    met.push({ code: error.code, path: error.path, cause: error.cause?.code })
  }
}
console.log(JSON.stringify(met))
