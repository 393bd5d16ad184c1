// A log of values instead of bytes: a codec turns one into the other, and the compiler knows the type.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Wal, codecs, isVarveError, type Codec } from 'varve'

interface Order {
  id: number
  item: string
}

const dir = mkdtempSync(path.join(tmpdir(), 'varve-typed-'))

{
  await using orders = await Wal.open(path.join(dir, 'orders'), { codec: codecs.json<Order>() })
  const at = orders.append({ id: 7, item: 'tea' })
  orders.appendBatch([{ id: 8, item: 'cups' }, { id: 9, item: 'kettle' }])
  assert.deepEqual(orders.get(at), { id: 7, item: 'tea' })
  console.log([...orders.records()].map(({ index, data }) => `${index}: ${data.item}`).join(', '))
}

// The codec's name is kept in the directory: another one is refused, instead of reading nonsense.
const refused = await Wal.open(path.join(dir, 'orders'), { codec: codecs.utf8 }).catch((error: unknown) => error)
assert.ok(isVarveError(refused, 'VARVE_INVALID_ARGUMENT'))
console.log(refused.message)

/** One of your own: a point as two 64-bit floats. */
const point: Codec<{ x: number; y: number }> = {
  name: 'point',
  encode({ x, y }) {
    const bytes = Buffer.alloc(16)
    bytes.writeDoubleLE(x, 0)
    bytes.writeDoubleLE(y, 8)
    return bytes
  },
  decode: (bytes) => ({ x: bytes.readDoubleLE(0), y: bytes.readDoubleLE(8) }),
}

{
  await using points = await Wal.open(path.join(dir, 'points'), { codec: point })
  points.append({ x: 1.5, y: -2 })
  assert.deepEqual(points.get(0), { x: 1.5, y: -2 })
}
rmSync(dir, { recursive: true })
