// What each codec makes of JSON, and what it costs: a table of its own.
const codecs = ['none', 'snappy', 'lz4', 'gzip', 'zstd']
const data = { flights: 'flights', events: 'events of 138 B' }
const BATCHES = [64, 1000]

const both = (values, show) => {
  const sorted = values.toSorted((a, b) => b - a)
  return `${show(sorted[0])} / ${show(sorted[sorted.length >> 1])}`
}

const rate = (value) => value.toFixed(0)

export const compression = {
  id: 'compression',
  title: 'Compression',
  /** A process a measurement; undefined where nothing could be measured. */
  run({ measure, fresh, quick, progress, most, isLate }) {
    const rows = []
    for (let round = 0; round < Math.min(most, quick ? 1 : 3) && (round === 0 || !isLate()); round++) {
      for (const set of Object.keys(data)) {
        for (const codec of codecs) {
          for (const batch of BATCHES) {
            progress(`compression, round ${round + 1}: ${data[set]}, ${codec}, batches of ${batch}`)
            const found = fresh((dir) => measure(
              { peer: 'varve-compression', label: `compression, ${data[set]}, ${codec}` },
              { run: 'measure', dir, set, codec, batch, bytes: quick ? 4e6 : 24e6 },
            ))
            if (found === undefined) continue
            let row = rows.find((one) => one.set === set && one.codec === codec && one.batch === batch)
            if (row === undefined) rows.push((row = { set, codec, batch, rounds: [] }))
            row.rounds.push(found)
          }
        }
      }
    }
    return rows.length === 0 ? undefined : rows
  },
  lines(rows, table) {
    const cells = (set, codec) => BATCHES.flatMap((batch) => {
      const rounds = rows.find((row) => row.set === set && row.codec === codec && row.batch === batch)?.rounds
      if (rounds === undefined) return ['–', '–', '–']
      return [rounds[0].ratio.toFixed(2), both(rounds.map((one) => one.append), rate), both(rounds.map((one) => one.read), rate)]
    })
    const head = BATCHES.flatMap((batch) => [`bytes on disk a byte of value, batches of ${batch}`, 'append, MB/s', 'read, MB/s'])
    return [
      'One thread appends and reads (`appendBatch`, `reader()`); MB are of values, before compression; keys, times and frames are counted on the disk alone. Best / median over the rounds. Nothing is synced, and every value is compared.',
      ...Object.entries(data).filter(([set]) => rows.some((row) => row.set === set)).map(([set, name]) =>
        table([`${name}, JSON`, ...head], codecs.map((codec) => [codec, ...cells(set, codec)]))),
    ]
  },
  goals: () => [],
}
