// What is measured of the Log: the jobs, who does each, how much of it, and the goals. A column of a table is an index, a number of keys, or what is asked for.
import { compaction } from './compaction.mjs'
import { compression } from './compression.mjs'

/** kind: 'varve', a 'rival' that a Node program could use instead, or a 'floor': the Wal, which every message of a Log lies in. */
const varve = (run, label) => ({ peer: 'varve', run, label: `varve ${label}`, kind: 'varve' })
const wal = (run, label) => ({ peer: 'wal', run, label: `varve's Wal ${label}, values alone`, kind: 'floor' })
const lmdb = (run, label) => ({ peer: 'lmdb', run, label: `lmdb ${label}`, kind: 'rival' })
const sqlite = (run, label) => ({ peer: 'sqlite', run, label: `better-sqlite3 ${label}`, kind: 'rival' })
const level = (run, label) => ({ peer: 'classic-level', run, label: `classic-level ${label}`, kind: 'rival' })
const frames = (run, label) => ({ peer: 'fs', run, label: `fs by hand, frames, ${label}`, kind: 'rival', fill: 'fillFrames' })
const lines = (run, label) => ({ peer: 'fs', run, label: `fs by hand, JSON lines, ${label}`, kind: 'rival', fill: 'fillLines' })
// It syncs each block of 64 KiB whatever one asks for, so that its share of the messages is smaller: times are per message.
const appendOnly = (run, label, share = 1) => ({ peer: 'async-append-only-log', run, label: `async-append-only-log ${label}`, kind: 'rival', share })

const only = (columns, contenders) => contenders.map((contender) => ({ ...contender, columns }))

/** One that finds messages in several ways: `runs` says which it does in what column. */
const finds = (of, label, runs, name = 'find') => ({ ...of(name, label), runs, columns: Object.keys(runs) })

const FEW_KEYS = 10_000
const NO_INDEX = 'no index of keys or times: another package makes them, of JSON of its own kind'
const NO_KEYS = 'the Wal has no keys and no times'

const absent = { 'async-append-only-log': NO_INDEX, "varve's Wal": NO_KEYS }

const jobs = [
  {
    id: 'append',
    title: 'Append one at a time, no sync',
    note: `Time per message. Ends when the system has every byte. Without an index a message has no key; with both, one of so many, in any order, and the last message is found by its
key afterwards. Of many keys all have a message when the clock starts. Its time is now. lmdb: a transaction each, or up to 1,024 puts under way; classic-level: 1,024 under way.`,
    columns: ['none', 'few', 'many'],
    absent,
    contenders: [
      varve('append', '`append`'), ...only(['none'], [wal('append', '`append`')]),
      frames('appendFrames', 'gathered to 256 KiB'), lines('appendLines', 'gathered to 256 KiB'), lmdb('appendSync', '`putSync`'), lmdb('appendAsync', '`put`'),
      sqlite('appendEach', 'a transaction each'), sqlite('appendGathered', 'a transaction for 1,024'), level('append', '`put`, `batch`'),
      ...only(['none'], [appendOnly('append', '`append`', 1 / 16)]),
    ],
  },
  {
    id: 'batch',
    title: 'Append in batches of 64, no sync',
    note: 'Time per message. Ends when the system has every byte. All or nothing with varve, lmdb, better-sqlite3 and classic-level.',
    columns: ['none', 'few', 'many'],
    absent,
    contenders: [
      varve('appendBatch', '`appendBatch`'), ...only(['none'], [wal('appendBatch', '`appendBatch`')]),
      frames('batchFrames', 'gathered to 256 KiB'), lines('batchLines', 'gathered to 256 KiB'), lmdb('batchSync', '`transactionSync`'),
      sqlite('appendBatch', 'a transaction a batch'), level('appendBatch', '`batch`'), ...only(['none'], [appendOnly('appendBatch', '`append` of an array', 1 / 16)]),
    ],
  },
  {
    id: 'read',
    title: 'Read all, in order',
    note: 'From the page cache. varve verifies every checksum; no other does. Value, key and time of every message are looked at.',
    columns: ['plain'],
    reads: true,
    contenders: [
      varve('readReader', '`reader()`'), varve('readMessages', '`messages()`'), varve('readConsume', '`consume` of 256'), wal('readReader', '`reader()`'), wal('readRecords', '`records()`'),
      frames('readFrames', 'chunks of 1 MiB'), lines('readLines', 'chunks of 1 MiB'), lmdb('readRange', '`getRange`'), sqlite('readAll', '`iterate`'), level('readAll', '`nextv`'),
      appendOnly('readStream', '`stream`'),
    ],
  },
  {
    id: 'find',
    title: 'Find one at random',
    note: `From the page cache. Value, key and time of the message found are looked at. Each message has a key and a time of its own. By hand, all places, keys and times are held in
memory, and with async-append-only-log all places; they are found before the clock starts. classic-level finds a time with an iterator, on another thread.`,
    columns: ['offset', 'key', 'missing', 'time'],
    reads: true,
    absent,
    contenders: [
      finds(varve, '`get`, `getByKey`, `getByTime`', { offset: 'get', key: 'getByKey', missing: 'miss', time: 'getByTime' }),
      { ...finds(varve, 'the same, appended in batches of 64', { offset: 'get', key: 'getByKey', time: 'getByTime' }, 'inBatches'), fill: 'fillBatches' },
      finds(wal, '`get`', { offset: 'get' }),
      finds(frames, 'a Map, an array, `readSync`', { offset: 'getFrames', key: 'keyFrames', missing: 'missFrames', time: 'timeFrames' }, 'frames'),
      finds(lines, 'a Map, an array, `readSync`', { offset: 'getLines', key: 'keyLines', missing: 'missLines', time: 'timeLines' }, 'lines'),
      finds(lmdb, '`get`, `getRange`', { offset: 'get', key: 'getByKey', missing: 'miss', time: 'getByTime' }),
      finds(sqlite, 'indexes', { offset: 'get', key: 'getByKey', missing: 'miss', time: 'getByTime' }),
      finds(level, '`getSync`, `values`', { offset: 'get', key: 'getByKey', missing: 'miss', time: 'getByTime' }),
      finds(appendOnly, '`get`', { offset: 'get' }),
    ],
  },
  {
    id: 'open',
    title: 'Open, and find a message by its key',
    unit: 'one open',
    note: 'Closed properly before, with both indexes; page cache warm. By hand the whole file is read.',
    columns: ['all'],
    reads: true,
    absent,
    contenders: [
      varve('open', '`Log.open`'), wal('open', '`Wal.open`, `get` of the last'), frames('openFrames', 'all read'), lines('openLines', 'all read'), lmdb('open', '`open`'),
      sqlite('open', '`new`'), level('open', '`open`'),
    ],
  },
]

/** `ours` takes at most `most` times as long as `against`, of the same column unless another is named. */
const goal = (job, column, ours, against, most, elsewhere = {}) => ({ job, column, ours: `varve/${ours}`, against, most, elsewhere })
const goals = [
  goal('append', 'none', 'append', 'wal/append', 90 / 55),
  goal('append', 'few', 'append', 'wal/append', 150 / 55, { column: 'none' }),
  goal('append', 'many', 'append', 'wal/append', 350 / 55, { column: 'none' }),
  goal('batch', 'none', 'appendBatch', 'wal/appendBatch', 60 / 42),
  goal('read', 'plain', 'readMessages', 'wal/readRecords', 60 / 50),
  goal('read', 'plain', 'readReader', 'wal/readReader', 25 / 18),
  goal('find', 'offset', 'find', 'wal/find', 450 / 300),
  goal('find', 'key', 'find', 'lmdb/find', 1000 / 5190),
  goal('find', 'time', 'find', 'lmdb/find', 1000 / 5190, { column: 'key' }),
]

const count = (number) => number.toLocaleString('en')

export function createSuite({ quick }) {
  const many = quick ? 128_000 : 1_000_000
  const plain = quick ? 100_000 : 400_000
  const labels = {
    none: 'no index', few: `both indexes, ${count(FEW_KEYS)} keys`, many: `both indexes, ${count(many)} keys`, plain: `${count(plain)} messages`,
    offset: `by offset, of ${count(many)}`, key: `by key, of ${count(many)}`, missing: 'by a key that is not there', time: `by time, of ${count(many)}`,
    all: `${count(many)} messages`,
  }
  const common = { warmup: 50_000, gets: 200_000 }
  const filled = { ...common, records: many, keys: many, indexed: true }
  return {
    goals,
    minutes: quick ? 1 : 7,
    rounds: quick ? 1 : 5,
    prepare: ['sqlite'],
    rivals: ['async-append-only-log', 'better-sqlite3', 'classic-level', 'lmdb'],
    extras: [compression, compaction],
    jobs: jobs.map((job) => ({ unit: 'per message', ...job })),
    label: (column) => labels[column],
    task(job, column, contender) {
      if (column === 'plain') return { ...common, records: plain, keys: plain, indexed: false }
      if (job.reads) return filled
      const records = Math.ceil(1_000_000 * (contender.share ?? 1))
      if (column === 'none') return { ...common, records, keys: 0, indexed: false }
      return { ...common, records, keys: column === 'few' ? FEW_KEYS : many, indexed: true, base: column === 'few' ? 0 : many }
    },
    /** What a job reads, or goes on from: its name, and the task that fills it. */
    dataset(job, column, contender) {
      if (!job.reads && column !== 'many') return undefined
      const shape = column === 'plain' ? 'plain' : 'keyed'
      const run = contender.fill ?? 'fill'
      const task = this.task(job, column, contender)
      const fill = shape === 'plain' ? task : filled
      return { name: `${contender.peer}-${run}-${shape}`, copied: !job.reads, fill: { ...fill, run } }
    },
  }
}
