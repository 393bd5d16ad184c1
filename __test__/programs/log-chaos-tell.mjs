import { writeSync } from 'node:fs'

/** One write(2) of less than PIPE_BUF, past all streams, so that lines of all threads are whole and in the order of what they say; waits where the pipe is full. */
export function tell(line) {
  for (;;) {
    try {
      writeSync(1, `${line}\n`)
      return
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1)
    }
  }
}
