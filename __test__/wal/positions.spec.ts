import { readFileSync } from 'node:fs'
import test from 'ava'
import { codecs, type RecordPosition, Wal } from 'varve'
import { closedAfter, freshDir, freshWal } from '../support/directory.ts'

test('positionOf tells where a record lies, getAt reads it there, and the bytes are in that file', async (t) => {
  const log = freshWal(t, { segmentSize: 65_536, firstIndex: 3 })
  for (let i = 3; i < 1500; i++) log.append(`record ${i}`.padEnd(100, '.'))
  await log.sync()
  const files = new Map(log.segments().map(({ id, path }) => [id, readFileSync(path)]))
  let before: RecordPosition = { segment: 0, offset: 0 }
  for (let i = 3; i < 1500; i++) {
    const position = log.positionOf(i)!
    t.deepEqual(Object.keys(position).sort(), ['offset', 'segment'])
    t.true(position.segment > before.segment || (position.segment === before.segment && position.offset > before.offset))
    t.is(log.getAt(position)?.toString().replace(/\.+$/, ''), `record ${i}`)
    t.true(files.get(position.segment)!.subarray(position.offset, position.offset + 200).includes(`record ${i}.`))
    before = position
  }
})

test('positions are the same before and after a sync, a rotation and a reopen', async (t) => {
  const dir = freshDir(t)
  const log = closedAfter(t, Wal.openSync(dir))
  log.appendBatch(['a', 'bb', '', 'ccc'])
  const positions = [0, 1, 2, 3].map((index) => log.positionOf(index)!)
  const check = (of: Wal): void => {
    t.deepEqual([0, 1, 2, 3].map((index) => of.positionOf(index)), positions)
    t.deepEqual(positions.map((position) => of.getAt(position)?.toString()), ['a', 'bb', '', 'ccc'])
  }
  check(log)
  await log.sync()
  check(log)
  log.rotate()
  check(log)
  await log.close()
  check(closedAfter(t, Wal.openSync(dir)))
})

test('there is no position of what is not there', (t) => {
  const log = freshWal(t, { firstIndex: 5 })
  for (let i = 0; i < 10; i++) log.append(`${i}`)
  const cut = log.positionOf(14)!
  const trimmed = log.positionOf(5)!
  for (const index of [0, 4, 15, 16, 2 ** 40]) t.is(log.positionOf(index), undefined)
  log.truncateAfter(10)
  log.truncateBefore(8)
  for (const index of [5, 7, 11, 14]) t.is(log.positionOf(index), undefined)
  t.is(log.getAt(cut), undefined)
  t.is(log.getAt(trimmed), undefined)
  for (let i = 0; i < 10; i++) log.append(`new ${i}`)
  t.is(log.getAt(cut), undefined)
  t.is(log.getAt(trimmed), undefined)
})

test('getAt of a place where no record begins is undefined: whatever offset, whatever segment', (t) => {
  const log = freshWal(t)
  log.appendBatch(['abc', 'defg', 'h'.repeat(500)])
  log.rotate()
  log.append('last')
  const at = new Map([0, 1, 2, 3].map((index) => {
    const { segment, offset } = log.positionOf(index)!
    return [`${segment}:${offset}`, log.get(index)!.toString()]
  }))
  const [first, last] = log.segments()
  for (const { id } of [first!, last!]) {
    for (let offset = 0; offset < 6000; offset++) {
      if (log.getAt({ segment: id, offset })?.toString() !== at.get(`${id}:${offset}`)) t.fail(`${id}:${offset}`)
    }
  }
  for (const segment of [0, 99, 2 ** 32 + 1, 2 ** 53 - 1]) t.is(log.getAt({ segment, offset: log.positionOf(0)!.offset }), undefined)
  for (const offset of [2 ** 32, 2 ** 32 + log.positionOf(0)!.offset, 2 ** 53 - 1]) t.is(log.getAt({ segment: first!.id, offset }), undefined)
  t.pass()
})

test('getAt decodes', (t) => {
  const log = closedAfter(t, Wal.openSync(freshDir(t), { codec: codecs.json<{ n: number }>() }))
  log.append({ n: 1 })
  t.deepEqual(log.getAt(log.positionOf(0)!), { n: 1 })
})

test('positions of a log of many batches and sizes, at random', (t) => {
  const log = freshWal(t, { segmentSize: 1 << 20 })
  const sizes = Array.from({ length: 400 }, (_, i) => (i * 7919) % 5000)
  for (let i = 0; i < sizes.length; i += 20) log.appendBatch(sizes.slice(i, i + 20).map((size) => Buffer.alloc(size, size)))
  for (let i = 0; i < 400; i++) {
    const index = (i * 263) % 400
    t.true(log.getAt(log.positionOf(index)!)!.equals(Buffer.alloc(sizes[index]!, sizes[index]!)))
  }
})
