// How long a compaction takes that leaves the last message of each key, what it frees, and how long it holds up the event loop.
const MOST_SECONDS = 1

const shown = (values, show) => `${show(Math.min(...values))} / ${show(values.toSorted((a, b) => a - b)[values.length >> 1])}`
const count = (number) => Math.round(number).toLocaleString('en')
const MB = ({ messages, index }) => `${(messages / 1e6).toFixed(1)} + ${(index / 1e6).toFixed(1)}`

export const compaction = {
  id: 'compaction',
  title: 'Compaction',
  run({ measure, fresh, quick, progress, most, isLate }) {
    const messages = quick ? 200_000 : 1_000_000
    const keys = quick ? 2_000 : 10_000
    const rounds = []
    for (let round = 0; round < Math.min(most, quick ? 1 : 5) && (round === 0 || !isLate()); round++) {
      progress(`compaction, round ${round + 1}`)
      const found = fresh((dir) => measure({ peer: 'varve-compaction', label: 'compaction' }, { run: 'measure', dir, records: messages, keys, indexed: true }))
      if (found !== undefined) rounds.push(found)
    }
    return rounds.length === 0 ? undefined : { messages, keys, rounds }
  },
  lines({ messages, keys, rounds }, table) {
    const of = (name) => rounds.map((round) => round[name])
    return [
      `${count(messages)} messages of ${count(keys)} keys, both indexes, all durable before; \`compact()\` works on another thread. What is left is read and compared. Minimum / median over the rounds; of the
longest wait of the event loop, which timers of 1 ms see, less those 1 ms.`,
      table(['', 'seconds', 'messages/s', 'messages left', 'MB before: segments + key index', 'after', 'event loop held up, ms'], [[
        'varve `compact()`', shown(of('seconds'), (value) => value.toFixed(3)), shown(of('seconds'), (value) => count(messages / value)), count(rounds[0].left),
        MB(rounds[0].before), MB(rounds[0].after), shown(of('stall'), (value) => value.toFixed(1)),
      ]]),
    ]
  },
  /** Seconds, and so no goal of a smaller run. */
  goals({ messages, rounds }) {
    if (messages < 1_000_000) return []
    const seconds = rounds.map((round) => round.seconds).toSorted((a, b) => a - b)
    const shownSeconds = (value) => `${value.toFixed(2)} s`
    return [{
      ours: 'compaction: a million messages to 10,000 keys', against: 'the clock', most: shownSeconds(MOST_SECONDS), minimum: shownSeconds(seconds[0]),
      median: shownSeconds(seconds[seconds.length >> 1]), met: seconds[0] < MOST_SECONDS,
    }]
  },
}
