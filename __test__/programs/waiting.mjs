// Waits for a record in the way that it is told, and ends when nothing is to be waited for. Arguments: directory, way.
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { Wal } from 'varve'

const [dir, way] = process.argv.slice(2)
const log = Wal.openSync(dir)
if (way !== 'append') log.append('first')
const later = () => setTimeout(() => log.append('later'), 30).unref()

const ways = {
  async tail() {
    // The timer keeps nothing alive: the tail does.
    later()
    for await (const { data } of log.tail({ from: 'end' })) {
      console.log(`got ${data}`)
      break
    }
  },
  async waitFor() {
    later()
    await log.waitFor(1)
    console.log(`got ${log.get(1)}`)
  },
  async readOnly() {
    await log.close()
    const follower = await Wal.open(dir, { readOnly: true })
    const tail = follower.tail({ from: 'end' })
    const coming = tail.next()
    spawn(process.execPath, [fileURLToPath(import.meta.url), dir, 'append'], { stdio: 'ignore' }).unref()
    console.log(`got ${(await coming).value.data}`)
    await tail.return()
  },
  append: () => log.append('later'),
  async idle() {
    await log.tail().next()
  },
  async broken() {
    for await (const _ of log.tail()) break
  },
  async aborted() {
    const controller = new AbortController()
    const tail = log.tail({ from: 'end', signal: controller.signal })
    const coming = tail.next()
    setTimeout(() => controller.abort(), 10)
    await coming.catch((error) => error.name === 'AbortError' || process.exit(5))
    const waiting = log.waitFor(7, { signal: AbortSignal.timeout(10) })
    setTimeout(() => {}, 30)
    await waiting.catch((error) => error.name === 'AbortError' || process.exit(6))
  },
  async closed() {
    const coming = log.tail({ from: 'end' }).next()
    const waiting = log.waitFor(7)
    waiting.catch(() => {})
    setImmediate(() => log.close())
    if (!(await coming).done) process.exit(5)
    await waiting.then(() => process.exit(6), (error) => error.code === 'VARVE_CLOSED' || process.exit(7))
  },
  async returned() {
    const tail = log.tail({ from: 'end' })
    const coming = tail.next()
    setImmediate(() => tail.return())
    await coming
  },
  async failed() {
    const coming = log.tail({ from: 'end' }).next()
    setImmediate(() => log.reset(0))
    await coming.catch((error) => error.code === 'VARVE_OUT_OF_RANGE' || process.exit(5))
  },
  async exit() {
    log.tail({ from: 'end' }).next()
    log.tail({ from: 0 }).next()
    log.waitFor(100)
    setImmediate(() => {
      log.append('last')
      process.exit(3)
    })
  },
}
await ways[way]()
