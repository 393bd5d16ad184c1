import { existsSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import test from 'ava'
import { type SegmentInfo, Wal } from 'varve'
import { closedAfter, freshWal } from '../support/directory.ts'
import { soon } from '../support/soon.ts'
import { thread } from '../support/thread.ts'

test('rotate tells of each segment that was sealed, in order, and never inside the call', async (t) => {
  const log = freshWal(t, { segmentSize: 65_536 })
  const sealed: SegmentInfo[] = []
  let within = false
  log.on('rotate', (segment) => {
    t.false(within)
    sealed.push(segment)
  })
  within = true
  for (let i = 0; i < 1000; i++) log.append(Buffer.alloc(200))
  log.rotate()
  within = false
  t.is(sealed.length, 0)
  const { rotations } = log.stats()
  t.true(await soon(() => sealed.length === rotations))
  t.true(rotations > 2)
  let next = 0
  for (const segment of sealed) {
    t.true(segment.sealed)
    t.is(segment.firstIndex, next)
    t.is(segment.entries, segment.nextIndex - next)
    next = segment.nextIndex
  }
  t.is(next, 1000)
  t.deepEqual(sealed.map(({ id }) => id), log.segments().slice(0, -1).map(({ id }) => id))
})

test('delete tells of each file that is gone, when it is gone', async (t) => {
  const log = freshWal(t)
  for (let i = 0; i < 6; i++) {
    log.append(`${i}`)
    log.rotate()
  }
  await log.sync()
  const before = log.segments()
  const gone: SegmentInfo[] = []
  log.on('delete', (segment) => {
    t.false(existsSync(segment.path))
    gone.push(segment)
  })
  const pin = log.pin(before[1]!.id)
  log.truncateBefore(4)
  await log.sync()
  t.true(await soon(() => gone.length === 3))
  t.deepEqual(gone.map(({ id }) => id), [0, 2, 3].map((i) => before[i]!.id))
  pin[Symbol.dispose]()
  await log.sync()
  t.true(await soon(() => gone.length === 4))
  t.deepEqual({ ...gone[3]!, references: 0 }, { ...before[1]!, pendingDeletion: true })
  log.truncateAfter(3)
  await log.sync()
  t.true(await soon(() => gone.length > 4))
})

test('each handle hears of it, in every thread; who has no listener is not woken', async (t) => {
  const log = freshWal(t)
  const second = closedAfter(t, Wal.openSync(log.dir))
  const other = thread(t)
  const heard: string[] = []
  log.on('rotate', ({ id }) => heard.push(`one ${id}`))
  second.on('rotate', ({ id }) => heard.push(`two ${id}`))
  await other.run('state.log = Wal.openSync(args); state.heard = new Promise((resolve) => state.log.once("rotate", resolve))', log.dir)
  log.append('x')
  log.rotate()
  t.true(await soon(() => heard.length === 2))
  t.deepEqual(heard.sort(), ['one 1', 'two 1'])
  t.is(await other.run('return (await state.heard).id'), 1)
})

test('a listener may call the log from within: append, truncate, rotate, close', async (t) => {
  const log = freshWal(t)
  let rotations = 0
  const closed = new Promise<void>((resolve, reject) => {
    log.on('rotate', () => {
      rotations++
      log.append('from within')
      if (rotations < 3) log.rotate()
      else log.close().then(resolve, reject)
    })
  })
  log.append('x')
  log.rotate()
  await closed
  t.is(rotations, 3)
  const again = closedAfter(t, Wal.openSync(log.dir))
  t.is(again.nextIndex, 4)
})

test('after close nothing is told any more', async (t) => {
  const log = freshWal(t)
  const other = closedAfter(t, Wal.openSync(log.dir))
  let heard = 0
  log.on('rotate', () => heard++)
  log.append('x')
  await log.close()
  const before = heard
  other.rotate()
  await other.sync()
  await setImmediate()
  await setImmediate()
  t.is(heard, before)
})

test('a listener that was taken off hears nothing; one that is put on later hears what comes then', async (t) => {
  const log = freshWal(t)
  const heard: number[] = []
  const listener = ({ id }: SegmentInfo): void => void heard.push(id)
  log.on('rotate', listener)
  log.append('x')
  log.rotate()
  t.true(await soon(() => heard.length === 1))
  log.off('rotate', listener)
  log.append('x')
  log.rotate()
  await log.sync()
  await setImmediate()
  log.on('rotate', listener)
  log.append('x')
  log.rotate()
  t.true(await soon(() => heard.includes(3)))
  t.false(heard.includes(2))
})
