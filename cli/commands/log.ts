import type { Command } from '../command.ts'
import { check } from './check.ts'
import { logBackup } from './log-backup.ts'
import { logStat } from './log-stat.ts'
import { recover } from './recover.ts'
import { salvage } from './salvage.ts'

/** The verbs of a message log, in the order of the help. */
export const log: readonly Command[] = [logStat, check, recover, salvage, logBackup]

/** Those of a log of partitions. */
export const partitionedLog: readonly Command[] = [check, recover, salvage]
