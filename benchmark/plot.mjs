// For each job and column, how many times faster than its rivals varve is, on a logarithmic scale: a bar to the best of them,
// a dot for each other. Plain SVG, for light and dark.

const WIDTH = 820
const LEFT = 290
const RIGHT = 60
const BAR = 14
const GAP = 16
const TOP = 58

const escape = (text) => text.replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c])

const times = (value) => (value >= 100 ? value.toFixed(0) : value.toPrecision(2))

export function plot(run, suite, summary) {
  const bars = summary.best
    .filter((one) => one.varve && one.rival)
    .map((one) => ({
      job: one.job,
      label: suite.label(one.column),
      varve: one.varve,
      rival: one.rival,
      faster: one.rival.minimum / one.varve.minimum,
      others: one.others.map((other) => ({ label: other.label, faster: other.minimum / one.varve.minimum })),
    }))
  const all = bars.flatMap((bar) => [bar.faster, ...bar.others.map((other) => other.faster)])
  const lowest = Math.floor(Math.log10(Math.min(1, ...all)))
  const highest = Math.ceil(Math.log10(Math.max(10, ...all)))
  const x = (value) => LEFT + ((Math.log10(value) - lowest) / (highest - lowest)) * (WIDTH - LEFT - RIGHT)

  // Long labels need the line for themselves.
  const isLong = bars.some(({ label }) => label.length > 10)
  const shapes = []
  let y = TOP
  for (const job of suite.jobs) {
    const own = bars.filter((bar) => bar.job === job.id)
    if (own.length === 0) continue
    shapes.push(`<text class="job" x="12" y="${y + BAR - 3}">${escape(job.percentiles ? 'Tail latency (p99.9)' : job.title)}</text>`)
    if (isLong) y += BAR
    for (const bar of own) {
      const [from, to] = [Math.min(x(1), x(bar.faster)), Math.max(x(1), x(bar.faster))]
      shapes.push(
        `<text class="size" x="${LEFT - 8}" y="${y + BAR - 3}" text-anchor="end">${escape(bar.label)}</text>`,
        `<rect class="${bar.faster < 1 ? 'slower' : 'faster'}" x="${from.toFixed(1)}" y="${y}" width="${Math.max(1, to - from).toFixed(1)}" height="${BAR - 2}" rx="2"><title>${escape(`${bar.varve.label} against ${bar.rival.label}`)}</title></rect>`,
        `<text class="size" x="${WIDTH - 8}" y="${y + BAR - 3}" text-anchor="end">${times(bar.faster)} ×</text>`,
        ...bar.others.map((other) =>
          `<circle cx="${x(other.faster).toFixed(1)}" cy="${y + BAR / 2 - 1}" r="3"><title>${escape(`${other.label}: ${times(other.faster)} ×`)}</title></circle>`),
      )
      y += BAR
    }
    y += GAP
  }

  const ticks = []
  for (let power = lowest; power <= highest; power++) {
    const at = x(10 ** power).toFixed(1)
    ticks.push(
      `<line class="${power === 0 ? 'one' : 'tick'}" x1="${at}" y1="${TOP - 8}" x2="${at}" y2="${y - GAP + 6}"/>`,
      `<text class="size" x="${at}" y="${TOP - 13}" text-anchor="middle">${10 ** power} ×</text>`,
    )
  }

  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y + 10}" width="${WIDTH}" height="${y + 10}" role="img" aria-label="varve beside the best rival in each job">
<style>
  text { font: 12px system-ui, sans-serif; fill: #24292f }
  .title { font-size: 15px; font-weight: 600 }
  .size { fill: #57606a; font-size: 11px }
  .tick { stroke: #8c959f; stroke-opacity: .35 }
  .one { stroke: #57606a }
  circle { fill: none; stroke: #57606a; stroke-opacity: .8 }
  .faster { fill: #2f81a8 }
  .slower { fill: #c4622d }
  @media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .size { fill: #9da7b1 } .one, circle { stroke: #9da7b1 } .faster { fill: #58a6c9 } .slower { fill: #e08b57 } }
</style>
<text class="title" x="12" y="22">varve: times faster, per record, than its best rival in Node (bar) and the others (dots), ${run.date}</text>
${ticks.join('\n')}
${shapes.join('\n')}
</svg>
`
}
