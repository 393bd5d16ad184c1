// Runs where fdatasync begins to fail after some calls. Prints what it met, as JSON.
import { Log } from 'varve'

const log = Log.openSync(process.argv[2])
const met = { events: [], unhandled: 0, acknowledged: -1 }
process.on('unhandledRejection', () => met.unhandled++)
log.on('error', (error) => met.events.push({ code: error.code, cause: error.cause?.code }))
const told = (error) => ({ code: error.code, cause: error.cause?.code })
const cursor = log.cursor('c')

for (let i = 0; i < 1000 && met.failure === undefined; i++) {
  const outstanding = Array.from({ length: 10 }, () => log.appendAsync('x', 'k', { durability: 'disk' }))
  outstanding.push(log.sync())
  const results = await Promise.allSettled(outstanding)
  const failed = results.filter(({ status }) => status === 'rejected')
  if (failed.length === 0) met.acknowledged = log.nextOffset - 1
  else [met.failure, met.failed, met.of] = [told(failed[0].reason), failed.length, results.length]
}
const met1 = (call) => {
  try {
    return call()
  } catch (error) {
    return told(error)
  }
}
met.append = met1(() => log.append('later'))
met.batch = met1(() => log.appendBatch([{ value: 'later' }]))
met.save = met1(() => cursor.save(1))
met.gate = met1(() => log.advanceHighWaterMark(1))
met.syncSync = met1(() => log.syncSync())
met.async = await log.appendAsync('later').catch(told)
met.sync = await log.sync().catch(told)
met.read = log.get(met.acknowledged)?.value.toString()
met.consumed = log.consume(0).messages.length > met.acknowledged
met.stats = met1(() => log.stats().failed?.code)
met.close = await log.close().catch(told)
met.closeAgain = (await log.close().catch(told)) ?? 'nothing'
console.log(JSON.stringify(met))
