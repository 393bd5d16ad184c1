import { setTimeout } from 'node:timers/promises'

/** Waits until `done` says so; whether it ever did. For what another thread does in its own time. */
export async function soon(done: () => boolean): Promise<boolean> {
  for (let i = 0; i < 2000 && !done(); i++) await setTimeout(5)
  return done()
}
