// A user's program in TypeScript, as a module: it has to compile strictly against the installed package.
import { codecs, isVarveError, VarveError, Wal, type Codec, type Durability, type ErrorCode, type WalOptions, type WalRecord } from 'varve'

const durability: Durability = { syncEveryMs: 50 }
const options: WalOptions = { durability, segmentSize: 8 << 20 }

export async function use(dir: string): Promise<number> {
  await using log = await Wal.open(dir, options)
  const index: number = log.append('text')
  const data: Buffer | undefined = log.get(index)
  for (const record of log.records({ from: index })) record satisfies WalRecord
  using reader = log.reader({ from: index })
  // @ts-expect-error a record is bytes or text
  log.append(7)
  return reader.advance() ? reader.end : (data?.length ?? 0)
}

const json: Codec<{ tea: number }> = codecs.json<{ tea: number }>()
export const typed: Promise<Wal<{ tea: number }>> = Wal.open('log', { codec: json })

export function code(error: unknown): ErrorCode | undefined {
  return error instanceof VarveError ? error.code : isVarveError(error) ? error.code : undefined
}
