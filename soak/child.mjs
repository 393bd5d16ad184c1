// Children that are watched: one that hangs is killed, and none outlives the soak. Each has a process group of its own: an interrupt from the keyboard
// reaches us alone, and we end them, in order.
import { spawn } from 'node:child_process'
import { undoLater } from './undo.mjs'

/** Starts a program in a group of its own. */
export function begin(command, args, options = {}) {
  const child = spawn(command, args, { ...options, detached: true })
  return { child, end: undoLater(() => kill(child)) }
}

/** Ends a child, and all that it has started. */
function kill(child) {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch (error) {
    if (error.code !== 'ESRCH') throw error
  }
}

/** Runs a program to its end, or kills it after `millis`. Resolves to its code, signal, output, and whether it hung. */
export function runChild(command, args, { millis, env = {}, cwd, show = false } = {}) {
  return new Promise((resolve) => {
    const { child, end } = begin(command, args, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
    let [output, hung] = ['', false]
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        output = (output + text).slice(-200_000)
        if (show) process.stderr.write(text)
      })
    }
    const timer = millis === undefined ? undefined : setTimeout(() => ((hung = true), kill(child)), millis)
    const done = (code, signal) => {
      clearTimeout(timer)
      end()
      resolve({ code, signal, output, hung })
    }
    child.on('error', (error) => ((output += error.message), done(127, null)))
    child.on('close', done)
  })
}
