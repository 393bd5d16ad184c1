import type { VarveError } from './errors.ts'

/** How far a `check` has come. */
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
  /** What is missing, where `onDamage: 'skip'` reads on behind damage; `from` and `to` are indexes. */
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
  rotations: number
  syncs: number
  /** Of the syncs of this process, in microseconds. */
  syncMicros: { p50: number; p99: number; max: number }
}
