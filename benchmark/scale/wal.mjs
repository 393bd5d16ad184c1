// The Wal: open, recover, read and follow against the number of records; how soon a reader sees a record, and how much memory it takes.
export const rounds = 5

export function measure({ rounds, quick, sizes, progress, child, fresh, summary }) {
  const result = { scale: [], live: {}, memory: undefined }
  for (const records of sizes) {
    progress(`${records} records: filling`)
    const dir = fresh('log')
    child({ job: 'fill', dir, records })
    const jobs = { open: [], get: [], scan: [] }
    for (let round = 0; round < rounds; round++) {
      for (const job of Object.keys(jobs)) {
        progress(`${records} records, round ${round + 1}: ${job}`)
        jobs[job].push(child({ job, dir }))
      }
    }
    fresh('log')
    const unsealed = {}
    for (const end of ['closed', 'synced', 'unsynced']) {
      const opened = []
      for (let round = 0; records <= 1e6 && round < rounds; round++) {
        progress(`${records} records, round ${round + 1}: open an unsealed segment, ${end}`)
        const left = fresh('unsealed')
        child({ job: 'unsealed', dir: left, records, end }, end !== 'closed')
        const { ms, entries } = child({ job: 'open', dir: left })
        if (entries !== records) throw new Error(`found ${entries} of ${records}`)
        opened.push({ ms })
        fresh('unsealed')
      }
      if (opened.length > 0) unsealed[end] = summary(opened)
    }
    result.scale.push({
      records, open: summary(jobs.open), get: summary(jobs.get), scan: summary(jobs.scan), unsealed,
    })
  }
  for (const job of ['same', 'worker', 'process']) {
    const laps = []
    for (let round = 0; round < rounds; round++) {
      progress(`live, round ${round + 1}: ${job}`)
      laps.push(child({ job, dir: fresh('live') }))
    }
    result.live[job] = summary(laps)
  }
  if (!quick) {
    progress('memory: 2 GB')
    result.memory = child({ job: 'memory', dir: fresh('memory') })
  }
  return result
}

const LIVE = { same: 'the append, in the same thread', worker: 'the append, in another worker', process: 'the write, in another process' }

export const render = (result, { machine, cell }) => `# Cost against size, ${result.date}

${machine}. Records of 138 B; minimum (median) of ${result.rounds} rounds, each in a fresh process, page cache warm. \`npm run bench:scale\`.

| records | open, in sealed segments | open, all in one unsealed segment: closed | after \`kill -9\`, synced | after \`kill -9\`, nothing synced: all is written and synced again | get at random, copy | get, view | tail, from the start | recordsAsync | records as views |
|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|
${result.scale.map(({ records, open, get, scan, unsealed }) => `| ${records.toLocaleString('en')} | ${cell(open.ms, ' ms')} | ${cell(unsealed.closed?.ms, ' ms')} | ${cell(unsealed.synced?.ms, ' ms')} | ${cell(unsealed.unsynced?.ms, ' ms')} | ${cell(get.ns, ' ns')} | ${cell(get.views, ' ns')} | ${cell(scan.tail, ' ns')} | ${cell(scan.ahead, ' ns')} | ${cell(scan.views, ' ns')} |`).join('\n')}

| seen by a waiting \`for await\` after | p50 | p99 |
|---|---:|---:|
${Object.entries(result.live).map(([job, { p50, p99 }]) => `| ${LIVE[job]} | ${cell(p50, ' µs')} | ${cell(p99, ' µs')} |`).join('\n')}
${result.memory === undefined ? '' : `
Memory of its own (RssAnon), MB, while 2 GB are appended: ${result.memory.append.join(', ')}; while a tail reads them: ${result.memory.read.join(', ')}. Pages of mapped files are not counted: they are the page cache's, and the system takes them back.
`}
![Cost against size](scale.svg)
`

export const lines = ({ scale }) => ({
  title: 'Cost against the number of records of 138 B',
  what: 'records in the log',
  lines: [
    { name: 'open (ms)', points: scale.map(({ records, open }) => [records, open.ms.min]) },
    { name: 'open, unsealed (ms)', points: scale.filter(({ unsealed }) => unsealed.closed).map(({ records, unsealed }) => [records, unsealed.closed.ms.min]) },
    { name: 'after kill -9 (ms)', points: scale.filter(({ unsealed }) => unsealed.synced).map(({ records, unsealed }) => [records, unsealed.synced.ms.min]) },
    { name: 'get, copy (ns)', points: scale.map(({ records, get }) => [records, get.ns.min]) },
    { name: 'get, view (ns)', points: scale.map(({ records, get }) => [records, get.views.min]) },
    { name: 'tail (ns a record)', points: scale.map(({ records, scan }) => [records, scan.tail.min]) },
  ],
})
