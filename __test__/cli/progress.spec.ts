import test from 'ava'
import { ProgressBar, progressLine } from '../../cli/progress.ts'

const GIB = 2 ** 30
const at = (bytes: number, totalBytes: number): { bytes: number; totalBytes: number; segments: number; totalSegments: number } =>
  ({ bytes, totalBytes, segments: 0, totalSegments: 0 })

test('a line has share, bytes, rate and the time that is left', (t) => {
  t.is(progressLine('checking', at(GIB / 2, GIB), 1_000, 100), 'checking [###############---------------]  50%  512 MiB/1 GiB  512 MiB/s  1 s left')
  t.is(progressLine('checking', at(GIB / 4, GIB), 60_000, 100), 'checking [#######-----------------------]  25%  256 MiB/1 GiB  4.3 MiB/s  3 min 0 s left')
})

test('at its end nothing is left; before, it is never 100%', (t) => {
  t.is(progressLine('checking', at(GIB, GIB), 2_000, 100), 'checking [##############################] 100%  1 GiB/1 GiB  512 MiB/s')
  t.true(progressLine('checking', at(GIB - 1, GIB), 2_000, 100).includes(' 99%'))
})

test('before the first byte there is neither rate nor end, and an unknown total is 0%', (t) => {
  t.is(progressLine('checking', at(0, GIB), 0, 100), 'checking [------------------------------]   0%  0 B/1 GiB')
  t.is(progressLine('checking', at(0, 0), 500, 100), 'checking [------------------------------]   0%  0 B/0 B')
})

test('no line is longer than the terminal is wide', (t) => {
  for (let width = 0; width < 120; width++) {
    const line = progressLine('recovering', at(123_456_789, 9_876_543_210), 1_234, width)
    t.true(line.length <= width, `${width}: ${line}`)
    t.true(width < 16 || line.includes('1%'), `${width}: ${line}`)
  }
})

test('the bar draws over its own line, follows the width of the terminal and the clock, and takes itself away', (t) => {
  let [written, now, columns] = ['', 5_000, 101]
  const bar = new ProgressBar({ label: 'checking', write: (text) => (written += text), columns: () => columns, now: () => now })
  bar.clear()
  t.is(written, '')
  now += 1_000
  bar.show(at(GIB / 2, GIB))
  t.is(written, '\r\x1b[Kchecking [###############---------------]  50%  512 MiB/1 GiB  512 MiB/s  1 s left')
  written = ''
  columns = 31
  now += 1_000
  bar.show(at(GIB, GIB))
  t.is(written, '\r\x1b[Kchecking 100%  1 GiB/1 GiB')
  written = ''
  bar.clear()
  t.is(written, '\r\x1b[K')
})
