// The public face of varve, name by name.
import { native } from './facade/native.ts'

export { Wal, type ScanOptions, type ScanRange, type SegmentEvents } from './facade/wal.ts'
export type { WalReader, WalRecord } from './facade/reader.ts'
export type { Durability, Expected, OpenOptions, WalOptions, WalRetention, WriteOptions } from './facade/options.ts'
export type {
  BackupResult, CareOptions, CheckReport, EngineStats, Progress, RecordPosition, RecoverReport, RecoveryReport, RemoveResult, SegmentInfo, WalStats,
} from './facade/reports.ts'
export { codecs, type Bytes, type BytesLike, type Codec, type Codecs, type Input, type StandardSchemaLike } from './facade/codecs.ts'
export { isVarveError, VarveError, type ErrorCode } from './facade/errors.ts'

/** The version of the package, as the addon was built. */
export const version: string = native.version()
