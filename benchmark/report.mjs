// From the rounds of a run to its tables.

export const key = (contender) => `${contender.peer}/${contender.run}`

const median = (sorted) => (sorted.length % 2 ? sorted[sorted.length >> 1] : (sorted[sorted.length / 2 - 1] + sorted[sorted.length / 2]) / 2)

/** Minimum and median over the rounds, in nanoseconds, of each measure ('each', or a percentile). */
function statistics(rounds, measures) {
  return Object.fromEntries(measures.map((measure) => {
    const sorted = rounds.map((round) => (measure === 'each' ? round.ns / round.ops : round[measure])).toSorted((a, b) => a - b)
    return [measure, { minimum: sorted[0], median: median(sorted) }]
  }))
}

/** The statistics of each cell that was measured, the best of varve and of its rivals in each job, and the goals. */
export function summarize(run, suite) {
  const { jobs } = suite
  const found = new Map()
  for (const cell of run.cells) {
    const job = jobs.find((one) => one.id === cell.job)
    if (cell.rounds.length > 0) found.set(`${cell.job} ${cell.column} ${cell.contender}`, statistics(cell.rounds, job.percentiles ?? ['each']))
  }
  const at = (job, column, contender) => found.get(`${job} ${column} ${contender}`)

  const best = []
  for (const job of jobs) {
    for (const column of new Set(run.cells.filter((cell) => cell.job === job.id).map((cell) => cell.column))) {
      const fastest = (kind) => {
        const measured = job.contenders.filter((one) => one.kind === kind && at(job.id, column, key(one)))
        const time = (one) => at(job.id, column, key(one))[job.percentiles ? 'p99.9' : 'each']
        return measured.map((one) => Object.assign({ label: one.label }, time(one))).toSorted((a, b) => a.minimum - b.minimum)
      }
      const rivals = fastest('rival')
      best.push({ job: job.id, column, varve: fastest('varve')[0], rival: rivals[0], others: rivals.slice(1) })
    }
  }

  const labels = new Map(jobs.flatMap((job) => job.contenders.map((one) => [`${job.id} ${key(one)}`, one.label])))
  const judged = suite.goals.flatMap((goal) => {
    const { job, column, elsewhere = {} } = goal
    const ours = at(job, column, goal.ours)?.[goal.percentile ?? 'each']
    const theirs = goal.against && at(job, elsewhere.column ?? column, goal.against)?.each
    if (!ours || (goal.against && !theirs)) return []
    const over = (name) => (goal.against ? ours[name] / theirs[name] : ours[name])
    const show = goal.against ? ratio : duration
    const most = goal.most ?? goal.nanos
    const rival = goal.against && labels.get(`${job} ${goal.against}`)
    return [{
      ours: `${jobs.find((one) => one.id === job).title.toLowerCase()}, ${suite.label(column)}: ${labels.get(`${job} ${goal.ours}`)}`,
      against: rival === undefined ? goal.percentile : elsewhere.column === undefined ? rival : `${rival}, ${suite.label(elsewhere.column)}`,
      most: show(most), minimum: show(over('minimum')), median: show(over('median')), met: over('minimum') <= most,
      numbers: { most, minimum: over('minimum'), median: over('median') },
    }]
  })
  const more = suite.extras.flatMap((extra) => (run.extras[extra.id] === undefined ? [] : extra.goals(run.extras[extra.id])))
  return { at, best, goals: [...judged, ...more] }
}

/** A time in nanoseconds, in three digits. */
export function duration(ns) {
  const [value, unit] = ns < 9995 ? [ns, 'ns'] : ns < 9_995_000 ? [ns / 1e3, 'µs'] : [ns / 1e6, 'ms']
  return `${value < 9.995 ? value.toFixed(1) : Math.round(value).toLocaleString('en')} ${unit}`
}

const ratio = (value) => `${value.toFixed(2)} ×`
const row = (columns) => `| ${columns.join(' | ')} |`
const table = (head, rows) => [row(head), row(head.map((_, i) => (i === 0 ? '---' : '---:'))), ...rows.map(row)].join('\n')
const both = (time) => (time ? `${duration(time.minimum)} / ${duration(time.median)}` : '–')

function jobTables(suite, { at, best }, job) {
  const columns = best.filter((one) => one.job === job.id).map((one) => one.column)
  if (columns.length === 0) return []
  const measured = job.contenders.filter((one) => columns.some((column) => at(job.id, column, key(one))))
  const lines = [`## ${job.title}`, job.note]
  if (job.percentiles) {
    for (const column of columns) {
      const rows = measured.map((one) => [one.label].concat(job.percentiles.map((p) => both(at(job.id, column, key(one))?.[p]))))
      lines.push(table([suite.label(column), ...job.percentiles], rows))
    }
    return lines
  }
  const rows = measured.map((one) => [one.label].concat(columns.map((column) => both(at(job.id, column, key(one))?.each))))
  const lead = columns.map((column) => {
    const { varve, rival } = best.find((one) => one.job === job.id && one.column === column)
    return varve && rival ? `**${ratio(rival.minimum / varve.minimum)}** / ${ratio(rival.median / varve.median)}` : '–'
  })
  lines.push(table([job.unit ?? 'per record', ...columns.map(suite.label)], [...rows, ['**varve faster than the best rival by**', ...lead]]))
  const absent = Object.entries(job.absent ?? {})
  if (absent.length > 0) lines.push(`Where there is no figure: ${absent.map(([name, reason]) => `${name}: ${reason}`).join('; ')}.`)
  return lines
}

function goalTable(judged) {
  const rows = judged.map((goal) => [goal.ours, goal.against, `≤ ${goal.most}`, goal.minimum, goal.median, goal.met ? 'met' : '**not met**'])
  return table(['goal', 'against', 'at most', 'minimum', 'median', ''], rows)
}

/** The whole result as Markdown; `plotted`: its plot lies beside it. */
export function render(run, suite, summary, plotted) {
  const lines = [
    `# Benchmark of ${run.suite === 'wal' ? '' : 'the Log, '}${run.date}`,
    `\`${run.command}\`: ${run.rounds} rounds in ${run.minutes} minutes. Each cell is **minimum / median** over the rounds; each round of each cell ran in a process
of its own, contenders in turn, so that only ratios within this page mean something.`,
    table(['', ''], Object.entries(run.machine).map(([name, value]) => [name, value])),
  ]
  for (const [peer, reason] of Object.entries(run.missing)) lines.push(`Without ${peer}: ${reason.replaceAll('|', '\\|')}`)
  if (plotted && summary.best.some((one) => one.varve && one.rival)) lines.push(`![How much faster than the best rival](${run.file}.svg)`)
  for (const job of suite.jobs) lines.push(...jobTables(suite, summary, job))
  for (const extra of suite.extras) {
    if (run.extras[extra.id] !== undefined) lines.push(`## ${extra.title}`, ...extra.lines(run.extras[extra.id], table))
  }
  if (summary.goals.length > 0) {
    lines.push('## Goals', 'Ratios of minima (a goal is judged by them) and of medians. A ratio below 1 is faster than what it is held against.', goalTable(summary.goals))
  }
  return `${lines.join('\n\n')}\n`
}
