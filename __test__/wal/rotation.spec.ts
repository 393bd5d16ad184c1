import { statSync } from 'node:fs'
import test from 'ava'
import { Wal } from 'varve'
import { closedAfter, freshDir, freshWal, segments, texts } from '../support/directory.ts'

test('rotate goes on in a new segment, and all records stay where they are', (t) => {
  const log = freshWal(t)
  for (let i = 0; i < 20; i++) {
    log.append(`${i}`)
    log.rotate()
  }
  t.is(log.stats().rotations, 20)
  t.deepEqual(texts(log), Array.from({ length: 20 }, (_, i) => `${i}`))
  for (let i = 0; i < 20; i++) t.is(log.get(i)!.toString(), `${i}`)
})

test('segments rotate by themselves, begin small and grow', (t) => {
  const log = freshWal(t)
  const record = Buffer.alloc(1000, 1)
  for (let i = 0; i < 10_000; i++) log.append(record)
  const sizes = segments(log.dir).map((path) => statSync(path).size)
  t.true(sizes.length >= 3)
  t.true(sizes[0]! <= 256 * 1024, sizes.join())
  t.is(log.nextIndex, 10_000)
})

test('after a reopen every segment is still read, at any place', async (t) => {
  const dir = freshDir(t)
  const log = Wal.openSync(dir, { segmentSize: 65_536, marker: 0xffffffff })
  for (let i = 0; i < 5000; i++) log.append(`${i}`.padEnd(100))
  await log.close()
  t.true(segments(dir).length > 5)
  for (const verify of [false, true]) {
    const again = closedAfter(t, Wal.openSync(dir, { verify }))
    for (const index of [0, 4999, 2500, 1, 4998, 600, 650]) t.is(again.get(index)!.toString().trim(), `${index}`)
    t.is(again.records({ from: 3333 }).next().value.data.toString().trim(), '3333')
    t.is([...again.records()].length, 5000)
    await again.close()
  }
})
