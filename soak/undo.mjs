// What has to be undone, whatever ends the soak: mounts, loop devices, folders, children.
const undos = []

/** Remembers how to undo what was just done; returns a function that undoes it now. */
export function undoLater(undo) {
  const entry = { undo }
  undos.push(entry)
  return () => {
    const at = undos.indexOf(entry)
    if (at >= 0) undos.splice(at, 1)
    if (at >= 0) undo()
  }
}

/** Undoes everything, the last thing first. What cannot be undone is told, and does not hold up the rest. */
export function undoAll() {
  for (const { undo } of undos.splice(0).reverse()) {
    try {
      undo()
    } catch (error) {
      console.error(`left behind: ${error.message}`)
      process.exitCode = 1
    }
  }
}

/** From now on a signal, too, leaves nothing behind. */
export function undoAtEnd() {
  process.on('exit', undoAll)
  for (const [signal, number] of [['SIGINT', 2], ['SIGTERM', 15], ['SIGHUP', 1]]) {
    process.on(signal, () => {
      console.error(`\n${signal}: cleaning up`)
      undoAll()
      process.exit(128 + number)
    })
  }
}
