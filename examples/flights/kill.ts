// Runs the writer, and ends it by SIGKILL once it has acknowledged enough.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/** Records acknowledged at each level: what has to be there afterwards. */
export interface Acknowledged {
  os: number
  disk: number
}

export async function writeAndKill(dir: string, passes: number, killAt: number, onProgress: (records: number) => void): Promise<Acknowledged> {
  const writer = spawn(process.execPath, [...process.execArgv, fileURLToPath(new URL('writer.ts', import.meta.url)), dir, String(passes)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const ended = once(writer, 'close')
  const acknowledged: Acknowledged = { os: 0, disk: 0 }
  let rest = ''
  for await (const chunk of writer.stdout) {
    const lines = (rest + String(chunk)).split('\n')
    // An acknowledgement cut off by the kill is none.
    rest = lines.pop() ?? ''
    for (const line of lines) {
      const [level, records] = line.split(' ')
      if (level === 'os' || level === 'disk') acknowledged[level] = Number(records)
    }
    onProgress(acknowledged.os)
    if (acknowledged.os >= killAt) writer.kill('SIGKILL')
  }
  const [code, signal] = await ended
  if (signal !== 'SIGKILL') throw new Error(`the writing process ended by itself (${code ?? signal}) after ${acknowledged.os} records`)
  return acknowledged
}
