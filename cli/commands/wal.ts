import type { Command } from '../command.ts'
import { backup } from './backup.ts'
import { check } from './check.ts'
import { dump } from './dump.ts'
import { recover } from './recover.ts'
import { salvage } from './salvage.ts'
import { stat } from './stat.ts'
import { tail } from './tail.ts'

/** The verbs of a Wal, in the order of the help. */
export const wal: readonly Command[] = [stat, check, dump, tail, recover, salvage, backup]
