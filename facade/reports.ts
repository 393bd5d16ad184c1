import type { VarveError } from './errors.ts'

/** How far long work has come. */
export interface Progress {
  bytes: number
  totalBytes: number
  segments: number
  totalSegments: number
}

export interface CareOptions {
  signal?: AbortSignal
  /** Called on this thread, some times a second; if it throws, the call rejects with that. */
  onProgress?: (progress: Progress) => void
}

/** What the last open found and did. */
export interface RecoveryReport {
  /** Tails that had never been acknowledged as durable, and were cut; their bytes are kept in `.torn` files. */
  torn: { path: string; position: number; bytes: number }[]
  /**
   * What is missing, where `onDamage: 'skip'` reads on behind damage; `from` and `to` are indexes. Of a message log they are offsets, those that the messages on both
   * sides bound.
   */
  gaps: { path: string; position: number; bytes: number; from?: number; to?: number }[]
  micros: number
}

/** What `check` found. A torn tail is listed with the reason 'torn tail', and leaves `ok` true. */
export interface CheckReport {
  ok: boolean
  segments: number
  entries: number
  bytes: number
  damage: { path: string; position: number; reason: string }[]
}

/** What `recover` or `salvage` found and did. `ok`: there was no damage. */
export interface RecoverReport extends CheckReport {
  /** Records in the log that is left, or in the copy. */
  keptEntries: number
  /** Files that hold what was set aside. */
  setAside: string[]
}

/** `position`: the index below which the copy holds everything. */
export interface BackupResult {
  files: string[]
  bytes: number
  position: number
}

export interface RemoveResult {
  segments: number
  entries: number
  bytes: number
}

/** Where a record lies on disk. */
export interface RecordPosition {
  segment: number
  offset: number
}

/** One file of a log. Times are milliseconds since the Unix epoch. */
export interface SegmentInfo {
  id: number
  path: string
  /** Of its first record. Of a message log: the offset of its first message. */
  firstIndex: number
  /** After its last record, or message. */
  nextIndex: number
  /** Records in it, or messages. */
  entries: number
  /** Bytes of the file that are used. */
  bytes: number
  /** Length of the file. */
  capacity: number
  /** It takes no more records. */
  sealed: boolean
  createdAt: number
  /** When it was last written to. */
  modifiedAt: number
  marker: number
  /** Readers, views and pins that still hold it. */
  references: number
  /** It is no more part of the log; its file goes when nobody holds it. */
  pendingDeletion: boolean
}

/** What happens to the segments of a log; never told inside the call that brings it about. */
export interface SegmentEvents {
  /** A segment was sealed. */
  rotate: [sealed: SegmentInfo]
  /** The file of a segment is gone. */
  delete: [deleted: SegmentInfo]
  /** The engine has failed: a write or a sync did; or `mayDelete` threw. Without a listener nothing is thrown. */
  error: [error: VarveError]
}

export interface EngineStats {
  /** Bytes accepted and not yet handed to the system. */
  pendingBytes: number
  /** What failed the engine, if something has. */
  failed: VarveError | undefined
  recovery: RecoveryReport
}

export interface WalStats extends EngineStats {
  entries: number
  bytes: number
  segments: number
  firstIndex: number
  nextIndex: number
  durableIndex: number
  /** As if every reader stopped at the gate. */
  committedIndex: number
  /** Name of the codec. */
  codec: string
  /** Segments that were removed from the log, and whose files are held by so many readers, views and pins. */
  pinned: { segments: number; bytes: number; references: number }
  rotations: number
  syncs: number
  /** Of the syncs of this process, in microseconds. */
  syncMicros: { p50: number; p99: number; max: number }
}

export interface LogStats extends EngineStats {
  /** Version of the format of its files. */
  version: number
  /** Messages held; those before `startOffset` that share a segment with later ones are counted. */
  messages: number
  /** Of the files, as far as they are used. */
  bytes: number
  /** Of the tables of the key index. */
  indexBytes: number
  /** That indexes take in memory. */
  indexMemoryBytes: number
  segments: number
  startOffset: number
  nextOffset: number
  durableOffset: number
  /** As if every reader stopped at the gate. */
  highWaterMark: number
  /** Stored over raw bytes; 1 without compression. */
  compressionRatio: number
  /** What retention would have removed when it ran last, and a cursor with `holdRetention` keeps; bytes are an estimate. */
  held: { messages: number; bytes: number }
  /** Names of the codecs of keys and of values. */
  codec: string
  /** Segments that were removed from the log, and whose files are held by so many readers and pins. */
  pinned: { segments: number; bytes: number; references: number }
  rotations: number
  syncs: number
  /** Of the syncs of this process, in microseconds. */
  syncMicros: { p50: number; p99: number; max: number }
}
