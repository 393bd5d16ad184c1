// The public face of varve, name by name.
import { native } from './facade/native.ts'

export { Wal } from './facade/wal.ts'
export { Log } from './facade/log.ts'
export { PartitionedLog, type PartitionLog, type Placed } from './facade/partitioned-log.ts'
export type { PartitionMessage } from './facade/partition-stream.ts'
export type { WalReader, WalRecord } from './facade/reader.ts'
export type { AppendOptions, Compression, ConsumeOptions, LogOptions, PartitionedLogOptions, Retention, Seek } from './facade/log-options.ts'
export type { Message, MessageFacts, MessageInput } from './facade/message.ts'
export type { LogReader } from './facade/log-reader.ts'
export type { Consumed } from './facade/consume.ts'
export type { Cursor } from './facade/cursor.ts'
export type { Rule } from './facade/log-removal.ts'
export type { Migration } from './facade/log-care.ts'
export type { RewriteOptions } from './facade/steps.ts'
export type { Durability, Expected, OpenOptions, ScanOptions, ScanRange, WalOptions, WalRetention, WriteOptions } from './facade/options.ts'
export type {
  BackupResult, CareOptions, CheckReport, EngineStats, LogStats, Progress, RecordPosition, RecoverReport, RecoveryReport, RemoveResult,
  SegmentEvents, SegmentInfo, WalStats,
} from './facade/reports.ts'
export { codecs, type Bytes, type BytesLike, type Codec, type Codecs, type Input, type StandardSchemaLike } from './facade/codecs.ts'
export { isVarveError, VarveError, type ErrorCode } from './facade/errors.ts'

/** The version of the package, as the addon was built. */
export const version: string = native.version()
