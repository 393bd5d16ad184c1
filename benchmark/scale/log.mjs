// The Log: append, open and look-ups against the number of messages, each of which has a key and a time of its own; and the memory that a key takes.
export const rounds = 3

/** What an open of the largest log may take, in milliseconds. */
const OPEN_MS = 100

export function measure({ rounds, sizes, progress, child, fresh, summary }) {
  const scale = []
  for (const records of sizes) {
    progress(`${records} messages: filling`)
    const dir = fresh('log')
    const { append, ...filled } = child({ job: 'fill', dir, records })
    const jobs = { open: [], find: [] }
    for (let round = 0; round < rounds; round++) {
      for (const job of Object.keys(jobs)) {
        progress(`${records} messages, round ${round + 1}: ${job}`)
        jobs[job].push(child({ job, dir, records }))
      }
    }
    fresh('log')
    scale.push({ records, filled, append: summary(append.map((ns) => ({ ns }))), open: summary(jobs.open), find: summary(jobs.find) })
  }
  return { scale }
}

const bytes = (value) => (value < 10 ? value.toFixed(1) : value.toFixed(0))

export function render(result, { machine, cell }) {
  const { scale } = result
  const { records, open } = scale.at(-1)
  return `# Cost of the Log against size, ${result.date}

${machine}. Values of 138 B, keys of 16 B, each message with a key of its own, appended one at a time; both indexes. Minimum (median) of ${result.rounds} rounds, each in a fresh process, page cache warm; of appends,
of ten parts of the last messages. All that is read is looked at. \`npm run bench:scale -- --suite log\`.

| messages | append at the end | open | get by offset | by key | by a key that is not there | by time |
|---:|---:|---:|---:|---:|---:|---:|
${scale.map((one) => `| ${one.records.toLocaleString('en')} | ${cell(one.append.ns, ' ns')} | ${cell(one.open.ms, ' ms')} | ${cell(one.find.offset, ' ns')} | ${cell(one.find.key, ' ns')} | ${cell(one.find.missing, ' ns')} | ${cell(one.find.time, ' ns')} |`).join('\n')}

| bytes a key | memory of its own (RssAnon) that the process took while it filled the log | that a process took which opened it, and looked up | of that, indexes by their own account | tables of the index on disk |
|---:|---:|---:|---:|---:|
${scale.map((one) => `| ${one.records.toLocaleString('en')} keys | ${bytes(one.filled.anon / one.records)} | ${bytes(one.find.anon.min / one.records)} | ${bytes(one.find.index.min / one.records)} | ${bytes(one.filled.tables / one.records)} |`).join('\n')}

Pages of mapped files are not counted: they are the page cache's, and the system takes them back. Of a small log it is the least that a process takes, and no figure for a key.
${records < 1e7 ? '' : `
Goal: ${records.toLocaleString('en')} messages open in less than ${OPEN_MS} ms: ${open.ms.min < OPEN_MS ? 'met' : '**not met**'}.
`}
![Cost against size](scale-log.svg)
`
}

export const lines = ({ scale }) => ({
  title: 'Cost against the number of messages, one key each',
  what: 'messages in the log',
  lines: [
    { name: 'open (ms)', points: scale.map(({ records, open }) => [records, open.ms.min]) },
    { name: 'append (ns)', points: scale.map(({ records, append }) => [records, append.ns.min]) },
    { name: 'by offset (ns)', points: scale.map(({ records, find }) => [records, find.offset.min]) },
    { name: 'by key (ns)', points: scale.map(({ records, find }) => [records, find.key.min]) },
    { name: 'no such key (ns)', points: scale.map(({ records, find }) => [records, find.missing.min]) },
    { name: 'by time (ns)', points: scale.map(({ records, find }) => [records, find.time.min]) },
  ],
})
