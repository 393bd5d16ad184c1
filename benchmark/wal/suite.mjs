// What is measured of the Wal: the jobs, who does each, how much of it, and the goals. A column of a table is a size of records.

const MiB = 1 << 20

const sizes = [16, 138, 1024, 32768]

/** kind: 'varve', a 'rival' that a Node program could use instead, or a 'floor', which nothing here can beat. */
const varve = (run, label) => ({ peer: 'varve', run, label: `varve ${label}`, kind: 'varve' })
const byHand = (run, label) => ({ peer: 'fs', run, label: `fs by hand, ${label}`, kind: 'rival' })
const lmdb = (run, label) => ({ peer: 'lmdb', run, label: `lmdb ${label}`, kind: 'rival' })
// The bare loop writes into one file that was allocated and zero-written before the clock starts; the engine makes its segments ready meanwhile, as varve does.
const rust = (run) => ({ peer: 'rust', run, label: 'Rust, the same pwrites, bare', kind: 'floor' })
const engine = (run) => ({ peer: 'rust', run, label: 'Rust, the same engine', kind: 'floor' })
// It syncs each block of 64 KiB whatever one asks for, so that its share of the records is smaller: times are per record.
const appendOnly = (run, label, share = 1) =>
  ({ peer: 'async-append-only-log', run, label: `async-append-only-log ${label}`, kind: 'rival', share })

const jobs = [
  {
    id: 'append',
    title: 'Append one at a time, no sync',
    note: 'Ends when the system has every byte. Checksums are written by varve, by Rust, and where it is said. lmdb: one transaction each (`putSync`), or up to 1,024 puts under way (`put`).',
    records: (size) => Math.min(2_000_000, (192 * MiB) / size),
    contenders: [
      varve('append', '`append`'), byHand('appendEach', 'one write each'), byHand('appendGathered', 'gathered to 256 KiB'),
      byHand('appendChecked', 'gathered, with `zlib.crc32`'), lmdb('appendSync', '`putSync`'), lmdb('appendAsync', '`put`'), appendOnly('append', '`append`', 1 / 16), rust('append'), engine('engineAppend'),
    ],
  },
  {
    id: 'batch',
    title: 'Append in batches of 64, no sync',
    note: 'Time per record. Ends when the system has every byte.',
    records: (size) => Math.min(2_000_000, (192 * MiB) / size),
    contenders: [
      varve('appendBatch', '`appendBatch`'), varve('appendPacked', '`appendPacked`'), byHand('batchEach', 'one write a batch'),
      byHand('batchGathered', 'gathered to 256 KiB'), lmdb('batchSync', '`transactionSync`'),
      appendOnly('appendBatch', '`append` of an array', 1 / 16), rust('batch'), engine('engineBatch'),
    ],
  },
  {
    id: 'read',
    title: 'Read all, in order',
    note: 'From the page cache. varve and Rust verify every checksum; the others do so only where it is said. Every record is looked at.',
    records: (size) => Math.min(500_000, (64 * MiB) / size),
    reads: true,
    contenders: [
      varve('readReader', '`reader()`'), varve('readRecords', '`records()`, copies'), byHand('readChunks', 'chunks of 1 MiB, views'),
      byHand('readChecked', 'chunks, with `zlib.crc32`'),
      lmdb('readRange', '`getRange`'), appendOnly('readStream', '`stream`'), { ...rust('read'), label: 'Rust, the same frames' },
    ],
  },
  {
    id: 'get',
    title: 'Read at random',
    note: 'From the page cache. varve and Rust verify every checksum. By hand, and with async-append-only-log, the positions of all records are held in memory.',
    records: (size) => Math.min(500_000, (64 * MiB) / size),
    reads: true,
    contenders: [
      varve('get', '`get`, a copy'), byHand('get', '`readSync`'), lmdb('get', '`get`'), lmdb('getLent', '`getBinaryFast`, lent'),
      appendOnly('get', '`get`'), { ...rust('get'), label: 'Rust, the same frames' },
    ],
  },
  {
    id: 'durable',
    title: 'Durable, one after another',
    note: 'Raw is pwrite and fdatasync on a file that was allocated and zero-written before. async-append-only-log writes after 1 ms.',
    records: (size) => Math.min(2000, (24 * MiB) / size),
    warmup: 20,
    contenders: [
      varve('durablePlain', '`append` at \'disk\''), varve('durableAwaited', '`await appendAsync` to \'disk\''),
      byHand('durableGrowing', 'write and fdatasync'), lmdb('durable', '`put` and `flushed`'), appendOnly('durable', '`onDrain`'),
      { peer: 'fs', run: 'durableRaw', label: 'raw, from Node', kind: 'floor' }, { ...rust('durable'), label: 'raw, from Rust' },
    ],
  },
  {
    id: 'group',
    title: 'Durable, 256 outstanding',
    note: 'Time per record. 256 records are given, then all are awaited.',
    records: (size) => Math.min(100_000, (64 * MiB) / size),
    warmup: 512,
    contenders: [
      varve('groupSync', '`append`, then `sync()`'), varve('groupAsync', '`appendAsync` to \'disk\''),
      byHand('groupGathered', 'gathered, one fdatasync'), lmdb('group', '`put` and `flushed`'), appendOnly('group', '`onDrain`'), rust('group'),
    ],
  },
  {
    id: 'tail',
    title: 'Tail latency of one append, over rotations',
    note: 'Each call timed, the clock\'s own time subtracted; nothing is synced. With few calls the last percentiles are the maximum.',
    records: (size) => Math.min(1_000_000, (256 * MiB) / size),
    columns: [138, 1024, 32768],
    percentiles: ['p50', 'p99', 'p99.9', 'p99.99', 'max'],
    contenders: [
      varve('tail', '`append`'), byHand('tailEach', 'one write each'), byHand('tailGathered', 'gathered to 256 KiB'), rust('tail'),
    ],
  },
]

/** `ours` takes at most `most` times as long as `against`. */
const goal = (job, column, ours, against, most) => ({ job, column, ours, against, most })
const goals = [
  goal('append', 138, 'varve/append', 'rust/append', 2.2),
  goal('append', 138, 'varve/append', 'rust/engineAppend', 2.2),
  goal('append', 32768, 'varve/append', 'rust/append', 1.3),
  goal('append', 32768, 'varve/append', 'rust/engineAppend', 1.3),
  goal('append', 138, 'varve/append', 'fs/appendGathered', 55 / 217),
  goal('batch', 138, 'varve/appendPacked', 'rust/batch', 1.8),
  goal('batch', 138, 'varve/appendBatch', 'rust/batch', 1.8),
  goal('batch', 138, 'varve/appendBatch', 'rust/engineBatch', 1.8),
  goal('batch', 32768, 'varve/appendBatch', 'rust/batch', 1.3),
  goal('batch', 32768, 'varve/appendPacked', 'rust/engineBatch', 1.3),
  goal('batch', 138, 'varve/appendBatch', 'fs/batchEach', 42 / 272),
  goal('read', 138, 'varve/readReader', 'fs/readChunks', 18 / 60),
  goal('read', 138, 'varve/readRecords', 'fs/readChunks', 50 / 60),
  goal('get', 138, 'varve/get', 'fs/get', 300 / 1640),
  goal('durable', 138, 'varve/durablePlain', 'rust/durable', 1.05),
  goal('durable', 138, 'varve/durableAwaited', 'rust/durable', 1.5),
  goal('group', 138, 'varve/groupSync', 'fs/groupGathered', 1000 / 3100),
  goal('group', 138, 'varve/groupAsync', 'fs/groupGathered', 1300 / 3100),
  ...[138, 1024, 32768].map((column) => ({ job: 'tail', column, ours: 'varve/tail', percentile: 'p99.9', nanos: 50_000 })),
]

/** `only`: of the sizes that were asked for. */
export function createSuite({ quick, only }) {
  const columns = only ?? (quick ? [138, 32768] : sizes)
  return {
    goals,
    minutes: quick ? 1.5 : 9,
    rounds: quick ? 2 : 7,
    prepare: ['rust'],
    rivals: ['async-append-only-log', 'lmdb'],
    extras: [],
    jobs: jobs.map((job) => ({ ...job, columns: (job.columns ?? columns).filter((size) => columns.includes(size)) })),
    label: (size) => (size < 1024 ? `${size} B` : `${size / 1024} KiB`),
    task(job, size, contender) {
      const records = Math.ceil(Math.floor(job.records(size)) * (contender.share ?? 1))
      return { size, records, warmup: job.warmup ?? 50_000, gets: 200_000, outstanding: 256 }
    },
    /** What a reading job reads: its name, and the task that fills it. */
    dataset(job, size, contender) {
      return job.reads ? { name: `${contender.peer}-${size}`, fill: this.task(job, size, contender) } : undefined
    },
  }
}
