// Cost against size, both logarithmic: one line a job.
const WIDTH = 640
const HEIGHT = 380
const LEFT = 70
const RIGHT = 150
const TOP = 44
const BOTTOM = 46
const COLOURS = ['#2f81a8', '#c4622d', '#5a8f3c', '#8a5fb0', '#a8822f', '#b0506a']

export function plot({ scale, date }) {
  const lines = [
    { name: 'open (ms)', points: scale.map(({ records, open }) => [records, open.ms.min]) },
    { name: 'open, unsealed (ms)', points: scale.filter(({ unsealed }) => unsealed.closed).map(({ records, unsealed }) => [records, unsealed.closed.ms.min]) },
    { name: 'after kill -9 (ms)', points: scale.filter(({ unsealed }) => unsealed.synced).map(({ records, unsealed }) => [records, unsealed.synced.ms.min]) },
    { name: 'get, copy (ns)', points: scale.map(({ records, get }) => [records, get.ns.min]) },
    { name: 'get, view (ns)', points: scale.map(({ records, get }) => [records, get.views.min]) },
    { name: 'tail (ns a record)', points: scale.map(({ records, scan }) => [records, scan.tail.min]) },
  ]
  const values = lines.flatMap(({ points }) => points.map(([, value]) => value))
  const [low, high] = [Math.floor(Math.log10(Math.min(...values))), Math.ceil(Math.log10(Math.max(...values)))]
  const [from, to] = [Math.log10(scale[0].records), Math.log10(scale.at(-1).records)]
  const x = (records) => LEFT + ((Math.log10(records) - from) / (to - from || 1)) * (WIDTH - LEFT - RIGHT)
  const y = (value) => HEIGHT - BOTTOM - ((Math.log10(value) - low) / (high - low || 1)) * (HEIGHT - TOP - BOTTOM)
  const grid = []
  for (let power = low; power <= high; power++) {
    grid.push(`<line class="tick" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(10 ** power)}" y2="${y(10 ** power)}"/><text x="${LEFT - 8}" y="${y(10 ** power) + 4}" text-anchor="end">${10 ** power}</text>`)
  }
  for (const { records } of scale) grid.push(`<text x="${x(records)}" y="${HEIGHT - BOTTOM + 18}" text-anchor="middle">${records.toLocaleString('en')}</text>`)
  const shapes = lines.map(({ name, points }, i) => {
    const colour = COLOURS[i]
    const path = points.map(([records, value], j) => `${j === 0 ? 'M' : 'L'}${x(records).toFixed(1)} ${y(value).toFixed(1)}`).join(' ')
    const [lastX, lastY] = points.at(-1)
    const dots = points.map(([records, value]) => `<circle cx="${x(records).toFixed(1)}" cy="${y(value).toFixed(1)}" r="3.5" fill="${colour}"><title>${name}: ${value.toPrecision(3)}</title></circle>`).join('')
    return `<path d="${path}" fill="none" stroke="${colour}" stroke-width="2"/>${dots}<text x="${x(lastX) + 10}" y="${(y(lastY) + 4).toFixed(1)}" style="fill:${colour}">${name}</text>`
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" role="img" aria-label="Cost against the number of records">
<style>text { font: 11px system-ui, sans-serif; fill: #57606a } .title { font-size: 15px; font-weight: 600; fill: #24292f } .tick { stroke: #8c959f; stroke-opacity: .3 }
@media (prefers-color-scheme: dark) { text { fill: #9da7b1 } .title { fill: #e6edf3 } }</style>
<text class="title" x="12" y="22">Cost against the number of records of 138 B, ${date}</text>
${grid.join('\n')}
<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 8}" text-anchor="middle">records in the log</text>
${shapes.join('\n')}
</svg>
`
}
