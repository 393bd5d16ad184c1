import type { Command } from '../command.ts'
import { check } from './check.ts'
import { logBackup } from './log-backup.ts'
import { logDump } from './log-dump.ts'
import { logStat } from './log-stat.ts'
import { logTail } from './log-tail.ts'
import { partitionedBackup } from './partitioned-backup.ts'
import { partitionedDump } from './partitioned-dump.ts'
import { partitionedStat } from './partitioned-stat.ts'
import { partitionedTail } from './partitioned-tail.ts'
import { recover } from './recover.ts'
import { salvage } from './salvage.ts'

/** The verbs of a message log, in the order of the help. */
export const log: readonly Command[] = [logStat, check, logDump, logTail, recover, salvage, logBackup]

/** Those of a log of partitions. */
export const partitionedLog: readonly Command[] = [partitionedStat, check, partitionedDump, partitionedTail, recover, salvage, partitionedBackup]
