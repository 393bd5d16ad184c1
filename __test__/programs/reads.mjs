// What a thread does that reads a log of which others cut, drop and close: every record read must be the one asked for, now and for as long as it is held.

const check = (index, data) => {
  if (!data.toString().startsWith(`record ${index}.`)) throw new Error(`${index}: ${data}`)
}

/** Opens, reads in every way and closes again, many times over. Gives how much was read, and the codes of the errors met. */
export async function reads(Wal, { dir, n }) {
  const held = []
  const errors = new Set()
  let read = 0
  const right = (index, data) => {
    if (data === undefined) return
    check(index, data)
    if (held.length < 2000) held.push([index, data])
    read++
  }
  for (let round = 0; round < 60; round++) {
    const log = Wal.openSync(dir)
    const zeroCopy = (round + n) % 2 === 0
    try {
      for (let i = 0; i < 20; i++) {
        const index = log.firstIndex + i
        right(index, log.get(index, { zeroCopy }))
      }
      for (const { index, data } of log.records({ zeroCopy })) right(index, data)
      const reader = log.reader({ zeroCopy })
      while (reader.advance()) right(reader.index, reader.data())
    } catch (error) {
      if (error.code === undefined) throw error
      errors.add(error.code)
    }
    await log.close()
  }
  for (const [index, data] of held) check(index, data)
  return { read, errors: [...errors] }
}

/** Looks for positions at random, and reads there. Gives how many records were found. */
export async function positions(Wal, { dir }) {
  const log = Wal.openSync(dir)
  let found = 0
  for (let i = 0; i < 30_000; i++) {
    const index = log.firstIndex + ((i * 7919) % (log.nextIndex - log.firstIndex))
    const position = log.positionOf(index)
    const data = position === undefined ? undefined : log.getAt(position)
    if (i % 100 === 0 && log.segments().some(({ entries, firstIndex, nextIndex }) => nextIndex - firstIndex !== entries)) throw new Error('counts')
    if (data === undefined) continue
    check(index, data)
    found++
  }
  await log.close()
  return found
}
