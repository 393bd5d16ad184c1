import { setImmediate } from 'node:timers/promises'
import test from 'ava'
import { Wal } from 'varve'
import { closedAfter, freshDir, freshWal, texts } from '../support/directory.ts'
import { thread } from '../support/thread.ts'

const outOfRange = { code: 'VARVE_OUT_OF_RANGE' }
const busy = { code: 'VARVE_BUSY' }

const fill = (log: Wal, count: number, what = 'record'): void => {
  log.appendBatch(Array.from({ length: count }, (_, i) => `${what} ${log.nextIndex + i}`))
}

test('in another thread: what was returned there is VARVE_BUSY here, what was read ahead is cut there, the overtaken are told', async (t) => {
  const log = freshWal(t)
  fill(log, 200)
  const other = thread(t)
  const step = 'const ok = state.reader.advance(); return ok ? `${state.reader.index} ${state.reader.data()}` : undefined'
  await other.run('state.log = Wal.openSync(args); state.reader = state.log.reader(); state.records = state.log.records(); state.ahead = state.log.recordsAsync()', log.dir)
  for (let i = 0; i < 5; i++) t.is(await other.run(step), `${i} record ${i}`)
  t.throws(() => log.truncateAfter(3), busy)
  log.truncateAfter(4)
  fill(log, 3, 'other')
  t.is(await other.run(step), '5 other 5')
  t.is(await other.run('return state.records.next().value.index'), 0)
  t.is(await other.run('return state.records.next().value.index'), 1)
  t.is(await other.run('return (await state.ahead.next()).value.index'), 0)
  t.throws(() => log.truncateAfter(4), busy)
  await other.run('state.reader.seek(0)')
  log.truncateBefore(3)
  await t.throwsAsync(other.run(step), outOfRange)
  await t.throwsAsync(other.run(step), outOfRange)
  await t.throwsAsync(other.run('state.records.next()'), outOfRange)
  await t.throwsAsync(other.run('await state.ahead.next()'), outOfRange)
  await other.run('state.reader.seek(7)')
  log.truncateAfter(5)
  await t.throwsAsync(other.run(step), outOfRange)
  // Truncated there, it is truncated here.
  await other.run('state.log.truncateAfter(2)')
  t.is(log.nextIndex, 3)
  t.is(log.append('three'), 3)
})

test('readers of a worker that has ended stand in no way', async (t) => {
  const log = freshWal(t)
  fill(log, 200)
  const other = thread(t)
  await other.run('state.log = Wal.openSync(args); state.reader = state.log.reader(); for (let i = 0; i < 150; i++) state.reader.advance()', log.dir)
  t.throws(() => log.truncateAfter(3), busy)
  await other.end()
  log.truncateAfter(3)
  t.is(log.nextIndex, 4)
})

test('truncations of one thread against readers and appends of others: who reads sees what is there, in order, or is told', async (t) => {
  const log = closedAfter(t, Wal.openSync(freshDir(t), { segmentSize: 65_536 }))
  const workers = [thread(t), thread(t)]
  // Each reader goes through the log again and again; every record says its own index.
  const reading = workers.map((worker) => worker.run<{ seen: number; overtaken: number }>(`
    const log = Wal.openSync(args)
    let [seen, overtaken] = [0, 0]
    while (log.nextIndex < 1_000_000) {
      const reader = log.reader()
      try {
        let last
        while (reader.advance()) {
          if (last !== undefined && reader.index !== last + 1) throw new Error('hop from ' + last + ' to ' + reader.index)
          last = reader.index
          if (Number(reader.data().toString().trim()) !== last) throw new Error(last + ' is ' + reader.data())
          seen++
        }
      } catch (error) {
        if (error.code !== 'VARVE_OUT_OF_RANGE') throw error
        overtaken++
      } finally {
        reader.close()
      }
      await new Promise(setImmediate)
    }
    await log.close()
    return { seen, overtaken }`, log.dir))
  let refused = 0
  for (let round = 0; round < 3000; round++) {
    for (let i = 0; i < 20; i++) log.append(`${log.nextIndex}`.padEnd(60))
    try {
      if (round % 50 === 0) log.truncateBefore(log.nextIndex - 5)
      else log.truncateAfter(log.nextIndex - 1 - (round % 15))
    } catch (error) {
      if ((error as { code: string }).code !== 'VARVE_BUSY') throw error
      refused++
    }
    if (round % 10 === 0) await setImmediate()
  }
  log.reset(1_000_000)
  for (const { seen } of await Promise.all(reading)) t.true(seen > 0)
  t.log(`${refused} refused`)
})

test('get, getAsync, positionOf and views in another thread, under truncations: the right record or undefined', async (t) => {
  const log = closedAfter(t, Wal.openSync(freshDir(t), { segmentSize: 65_536 }))
  const reading = [thread(t), thread(t)].map((worker) => worker.run<{ found: number; missing: number }>(`
    const log = Wal.openSync(args)
    let [found, missing] = [0, 0]
    const check = (index, data) => {
      if (data === undefined) missing++
      else if (Number(data.toString().trim()) !== index) throw new Error(index + ' is ' + data)
      else found++
    }
    while (log.nextIndex < 1_000_000) {
      for (let i = 1; i < 200; i++) {
        const index = log.nextIndex - (i % 30)
        if (index < 0) continue
        check(index, log.get(index))
        check(index, log.get(index, { zeroCopy: true }))
        const position = log.positionOf(index)
        if (position !== undefined) check(index, log.getAt(position))
        if (i % 50 === 0) check(index, await log.getAsync(index))
      }
      await new Promise(setImmediate)
    }
    await log.close()
    return { found, missing }`, log.dir))
  for (let round = 0; round < 2000; round++) {
    for (let i = 0; i < 20; i++) log.append(`${log.nextIndex}`.padEnd(60))
    if (round % 50 === 0) log.truncateBefore(log.nextIndex - 5)
    else log.truncateAfter(log.nextIndex - 1 - (round % 15))
    if (round % 10 === 0) await setImmediate()
  }
  log.reset(1_000_000)
  for (const { found, missing } of await Promise.all(reading)) t.true(found > 0 && missing > 0)
})

test('appends of other threads go on under truncations: each gets an index of its own, and the log is whole', async (t) => {
  const log = closedAfter(t, Wal.openSync(freshDir(t), { segmentSize: 65_536 }))
  const appending = ['a', 'b'].map((name) => thread(t).run(`
    const log = Wal.openSync(args.dir)
    for (let i = 0; i < 2000; i++) {
      if (i % 3 === 0) await log.appendAsync(args.name + i)
      else if (i % 100 === 1) await log.appendAsync(args.name + i, { durability: 'disk' })
      else log.append(args.name + i)
    }
    await log.close()`, { dir: log.dir, name }))
  let ended = false
  const all = Promise.all(appending).finally(() => (ended = true))
  for (let round = 0; !ended; round++) {
    if (round % 2 === 0) log.truncateBefore(Math.max(log.firstIndex, log.nextIndex - 100))
    else {
      // The end moves meanwhile: what is asked for may be past what another truncation left.
      log.truncateAfter(Math.max(log.firstIndex - 1, log.nextIndex - 3))
    }
    await setImmediate()
  }
  await all
  const left = texts(log)
  t.is(log.nextIndex - log.firstIndex, left.length)
  t.is(await log.sync(), log.nextIndex)
  // What is left of each thread is in its order.
  for (const name of ['a', 'b']) {
    const numbers = left.filter((text) => text.startsWith(name)).map((text) => Number(text.slice(1)))
    t.deepEqual(numbers, [...numbers].sort((x, y) => x - y))
  }
  await log.close()
  t.deepEqual(texts(closedAfter(t, Wal.openSync(log.dir))), left)
})

test('a scan in another thread never ends before what was there all the time, however often the end is cut meanwhile', async (t) => {
  const log = closedAfter(t, Wal.openSync(freshDir(t), { segmentSize: 65_536 }))
  const kept = 1500
  log.appendBatch(Array.from({ length: kept }, (_, i) => `${i}`))
  const reading = [thread(t), thread(t)].map((worker) => worker.run<number>(`
    const log = Wal.openSync(args.dir)
    let passes = 0
    for (; log.firstIndex === 0; passes++) {
      let next = 0
      try {
        for (const { index, data } of log.records(passes % 2 === 0 ? {} : { zeroCopy: true })) {
          if (index !== next || Number(data.toString().trim()) !== index) throw new Error(index + ' is ' + data + ', where ' + next + ' should come')
          next++
        }
      } catch (error) {
        // Overtaken past what was kept, or by the end of the test.
        if (error.code !== 'VARVE_OUT_OF_RANGE' || (next < args.kept && log.firstIndex === 0)) throw error
        continue
      }
      if (next < args.kept && log.firstIndex === 0) throw new Error('ended at ' + next)
      await new Promise(setImmediate)
    }
    await log.close()
    return passes`, { dir: log.dir, kept }))
  for (let round = 0; round < 600; round++) {
    for (let i = 0; i < 20; i++) log.append(`${log.nextIndex}`.padEnd(60))
    try {
      log.truncateAfter(kept - 1 + (round % 7))
    } catch (error) {
      t.is((error as { code: string }).code, 'VARVE_BUSY')
    }
    if (round % 20 === 0) await setImmediate()
  }
  log.reset(1_000_000)
  for (const passes of await Promise.all(reading)) t.true(passes > 0)
})
