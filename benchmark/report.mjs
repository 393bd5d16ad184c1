// From the rounds of a run to its tables.
import { goals, jobs, key } from './jobs.mjs'

const median = (sorted) => (sorted.length % 2 ? sorted[sorted.length >> 1] : (sorted[sorted.length / 2 - 1] + sorted[sorted.length / 2]) / 2)

/** Minimum and median over the rounds, in nanoseconds, of each measure ('each', or a percentile). */
function statistics(rounds, measures) {
  return Object.fromEntries(measures.map((measure) => {
    const sorted = rounds.map((round) => (measure === 'each' ? round.ns / round.ops : round[measure])).toSorted((a, b) => a - b)
    return [measure, { minimum: sorted[0], median: median(sorted) }]
  }))
}

/** The statistics of each cell that was measured, the best of varve and of its rivals in each job, and the goals. */
export function summarize(run) {
  const found = new Map()
  for (const cell of run.cells) {
    const job = jobs.find((one) => one.id === cell.job)
    if (cell.rounds.length > 0) found.set(`${cell.job} ${cell.size} ${cell.contender}`, statistics(cell.rounds, job.percentiles ?? ['each']))
  }
  const at = (job, size, contender) => found.get(`${job} ${size} ${contender}`)

  const best = []
  for (const job of jobs) {
    for (const size of new Set(run.cells.filter((cell) => cell.job === job.id).map((cell) => cell.size))) {
      const fastest = (kind) => {
        const measured = job.contenders.filter((one) => one.kind === kind && at(job.id, size, key(one)))
        const time = (one) => at(job.id, size, key(one))[job.percentiles ? 'p99.9' : 'each']
        return measured.map((one) => Object.assign({ label: one.label }, time(one))).toSorted((a, b) => a.minimum - b.minimum)
      }
      const rivals = fastest('rival')
      best.push({ job: job.id, size, varve: fastest('varve')[0], rival: rivals[0], others: rivals.slice(1) })
    }
  }

  const judged = goals.flatMap((goal) => {
    const ours = at(goal.job, goal.size, goal.ours)?.[goal.percentile ?? 'each']
    const theirs = goal.against && at(goal.job, goal.size, goal.against)?.each
    if (!ours || (goal.against && !theirs)) return []
    const over = (name) => (goal.against ? ours[name] / theirs[name] : ours[name])
    const most = goal.most ?? goal.nanos
    return [{ ...goal, minimum: over('minimum'), median: over('median'), met: over('minimum') <= most }]
  })
  return { at, best, goals: judged }
}

/** A time in nanoseconds, in three digits. */
export function duration(ns) {
  const [value, unit] = ns < 9995 ? [ns, 'ns'] : ns < 9_995_000 ? [ns / 1e3, 'µs'] : [ns / 1e6, 'ms']
  return `${value < 9.995 ? value.toFixed(1) : Math.round(value).toLocaleString('en')} ${unit}`
}

export const bytes = (size) => (size < 1024 ? `${size} B` : `${size / 1024} KiB`)
const ratio = (value) => `${value.toFixed(2)} ×`
const row = (columns) => `| ${columns.join(' | ')} |`
const table = (head, rows) => [row(head), row(head.map((_, i) => (i === 0 ? '---' : '---:'))), ...rows.map(row)].join('\n')
const both = (time) => (time ? `${duration(time.minimum)} / ${duration(time.median)}` : '–')
const labels = new Map(jobs.flatMap((job) => job.contenders.map((one) => [`${job.id} ${key(one)}`, one.label])))

function jobTables(run, { at, best }, job) {
  const sizes = best.filter((one) => one.job === job.id).map((one) => one.size)
  if (sizes.length === 0) return []
  const measured = job.contenders.filter((one) => sizes.some((size) => at(job.id, size, key(one))))
  const lines = [`## ${job.title}`, job.note]
  if (job.percentiles) {
    for (const size of sizes) {
      const rows = measured.map((one) => [one.label].concat(job.percentiles.map((p) => both(at(job.id, size, key(one))?.[p]))))
      lines.push(table([bytes(size), ...job.percentiles], rows))
    }
    return lines
  }
  const rows = measured.map((one) => [one.label].concat(sizes.map((size) => both(at(job.id, size, key(one))?.each))))
  const lead = sizes.map((size) => {
    const { varve, rival } = best.find((one) => one.job === job.id && one.size === size)
    return varve && rival ? `**${ratio(rival.minimum / varve.minimum)}** / ${ratio(rival.median / varve.median)}` : '–'
  })
  lines.push(table(['per record', ...sizes.map(bytes)], [...rows, ['**varve faster than the best rival by**', ...lead]]))
  return lines
}

const shown = (goal, value) => (goal.against ? ratio(value) : duration(value))

function goalTable(goalsMet) {
  const rows = goalsMet.map((goal) => [
    `${jobs.find((job) => job.id === goal.job).title.toLowerCase()}, ${bytes(goal.size)}: ${labels.get(`${goal.job} ${goal.ours}`)}`,
    goal.against ? labels.get(`${goal.job} ${goal.against}`) : goal.percentile,
    `≤ ${shown(goal, goal.most ?? goal.nanos)}`,
    shown(goal, goal.minimum),
    shown(goal, goal.median),
    goal.met ? 'met' : '**not met**',
  ])
  return table(['goal', 'against', 'at most', 'minimum', 'median', ''], rows)
}

/** The whole result as Markdown; `plotted`: its plot lies beside it. */
export function render(run, summary, plotted) {
  const lines = [
    `# Benchmark of ${run.date}`,
    `\`${run.command}\`: ${run.rounds} rounds in ${run.minutes} minutes. Each cell is **minimum / median** over the rounds; each round of each cell ran in a process
of its own, contenders in turn, so that only ratios within this page mean something.`,
    table(['', ''], Object.entries(run.machine).map(([name, value]) => [name, value])),
  ]
  for (const [peer, reason] of Object.entries(run.missing)) lines.push(`Without ${peer}: ${reason.replaceAll('|', '\\|')}`)
  if (plotted && summary.best.some((one) => one.varve && one.rival)) lines.push(`![How much faster than the best rival](${run.date}.svg)`)
  for (const job of jobs) lines.push(...jobTables(run, summary, job))
  if (summary.goals.length > 0) {
    lines.push('## Goals', 'Ratios of minima (a goal is judged by them) and of medians. A ratio below 1 is faster than what it is held against.', goalTable(summary.goals))
  }
  return `${lines.join('\n\n')}\n`
}
