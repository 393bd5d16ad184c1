// Cost against size, both logarithmic: one line a job.
const WIDTH = 640
const HEIGHT = 380
const LEFT = 70
const RIGHT = 150
const TOP = 44
const BOTTOM = 46
const NAME = 13
const COLOURS = ['#2f81a8', '#c4622d', '#5a8f3c', '#8a5fb0', '#a8822f', '#b0506a']

/** `lines`: name, and points of size and value; all are drawn with one scale, whatever their units. */
export function plot({ title, what, date, sizes, lines }) {
  const values = lines.flatMap(({ points }) => points.map(([, value]) => value))
  const [low, high] = [Math.floor(Math.log10(Math.min(...values))), Math.ceil(Math.log10(Math.max(...values)))]
  const [from, to] = [Math.log10(sizes[0]), Math.log10(sizes.at(-1))]
  const x = (records) => LEFT + ((Math.log10(records) - from) / (to - from || 1)) * (WIDTH - LEFT - RIGHT)
  const y = (value) => HEIGHT - BOTTOM - ((Math.log10(value) - low) / (high - low || 1)) * (HEIGHT - TOP - BOTTOM)
  const grid = []
  for (let power = low; power <= high; power++) {
    grid.push(`<line class="tick" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(10 ** power)}" y2="${y(10 ** power)}"/><text x="${LEFT - 8}" y="${y(10 ** power) + 4}" text-anchor="end">${10 ** power}</text>`)
  }
  for (const records of sizes) grid.push(`<text x="${x(records)}" y="${HEIGHT - BOTTOM + 18}" text-anchor="middle">${records.toLocaleString('en')}</text>`)
  // Names of lines that end close together stand below each other.
  const ends = lines.map(({ points }, i) => ({ i, at: y(points.at(-1)[1]) + 4 })).toSorted((a, b) => a.at - b.at)
  const names = []
  let above = -Infinity
  for (const { i, at } of ends) names[i] = above = Math.max(at, above + NAME)
  const shapes = lines.map(({ name, points }, i) => {
    const colour = COLOURS[i]
    const path = points.map(([records, value], j) => `${j === 0 ? 'M' : 'L'}${x(records).toFixed(1)} ${y(value).toFixed(1)}`).join(' ')
    const [lastX] = points.at(-1)
    const dots = points.map(([records, value]) => `<circle cx="${x(records).toFixed(1)}" cy="${y(value).toFixed(1)}" r="3.5" fill="${colour}"><title>${name}: ${value.toPrecision(3)}</title></circle>`).join('')
    return `<path d="${path}" fill="none" stroke="${colour}" stroke-width="2"/>${dots}<text x="${x(lastX) + 10}" y="${names[i].toFixed(1)}" style="fill:${colour}">${name}</text>`
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" role="img" aria-label="${title}">
<style>text { font: 11px system-ui, sans-serif; fill: #57606a } .title { font-size: 15px; font-weight: 600; fill: #24292f } .tick { stroke: #8c959f; stroke-opacity: .3 }
@media (prefers-color-scheme: dark) { text { fill: #9da7b1 } .title { fill: #e6edf3 } }</style>
<text class="title" x="12" y="22">${title}, ${date}</text>
${grid.join('\n')}
<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 8}" text-anchor="middle">${what}</text>
${shapes.join('\n')}
</svg>
`
}
