import { randomBytes } from 'node:crypto'
import test from 'ava'
import { formats, formatter, printable } from '../../cli/format.ts'
import { nearest } from '../../cli/nearest.ts'
import { duration, size } from '../../cli/units.ts'

test('text keeps what is text, and escapes what a terminal obeys', (t) => {
  t.is(printable(Buffer.from('tea – 茶 🍵 "quoted" \\')), 'tea – 茶 🍵 "quoted" \\')
  t.is(printable(Buffer.from('\x1b[2J\n\r\t\0\x7f')), '\\x1b[2J\\n\\r\\t\\x00\\x7f')
  t.is(printable(Buffer.from('\u009b31m \u202e abc \u2028')), '\\u009b31m \\u202e abc \\u2028')
  t.is(printable(Buffer.of(0x61, 0xff, 0xc3, 0xa4, 0xc3, 0xe8, 0x8c, 0x1b)), 'a\\xffä\\xc3\\xe8\\x8c\\x1b')
  t.is(printable(Buffer.alloc(0)), '')
})

test('no byte of any record commands a terminal, in any format', (t) => {
  const records = [randomBytes(4_096), Buffer.from(Array.from({ length: 0x2100 }, (_, i) => String.fromCodePoint(i)).join('')), Buffer.from(JSON.stringify('\x1b\u009b\u202e\x7f'))]
  for (const data of records) {
    for (const format of formats) {
      for (const asJson of [false, true]) {
        if (format === 'json' && data !== records[2]) continue
        const line = formatter(format, 'bytes', asJson)(0, data)
        // oxlint-disable-next-line no-control-regex
        t.notRegex(line.replace('\t', ''), /[\0-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]/)
        if (asJson) t.notThrows(() => JSON.parse(line) as unknown)
      }
    }
  }
})

test('JSON lines give back every byte', (t) => {
  const line = formatter('text', 'bytes', true)
  for (const text of ['', 'a\n\x1b\u009b\u2028"\\', '茶']) t.is((JSON.parse(line(7, Buffer.from(text))) as { text: string }).text, text)
  const bytes = randomBytes(100)
  bytes[0] = 0xff
  t.deepEqual(Buffer.from((JSON.parse(line(7, bytes)) as { base64: string }).base64, 'base64'), bytes)
})

test('JSON is printed as it was written, on one line', (t) => {
  const line = formatter('json', 'bytes', false)
  t.is(line(1, Buffer.from('{\n  "n": 12345678901234567890,\n\t"s": "a  b\\n"\n}\n')), '1\t{ "n": 12345678901234567890, "s": "a  b\\n" }')
  t.throws(() => line(1, Buffer.from('{')), { message: 'record 1 is not JSON' })
})

test('a name is suggested if it is near, and none if it is not', (t) => {
  const names = ['stat', 'check', 'dump', 'tail', 'recover', 'salvage', 'backup', 'help']
  for (const [given, meant] of [['chekc', 'check'], ['STAT', 'stat'], ['dmup', 'dump'], ['recovery', 'recover'], ['salvge', 'salvage'], ['tial', 'tail'], ['frobnicate', undefined], ['x', undefined]] as const) {
    t.is(nearest(given, names), meant)
  }
})

test('sizes and durations are rounded as people do', (t) => {
  t.deepEqual([0, 1, 1023, 1024, 1536, 102_300, 1_048_575, 1_048_576, 5 * 2 ** 40].map(size), ['0 B', '1 B', '1023 B', '1 KiB', '1.5 KiB', '99.9 KiB', '1 MiB', '1 MiB', '5 TiB'])
  t.deepEqual([0.2, 59, 60, 125, 3_600, 12_000].map(duration), ['1 s', '59 s', '1 min 0 s', '2 min 5 s', '1 h 0 min', '3 h 20 min'])
})
