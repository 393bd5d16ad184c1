import { createContext, runInContext } from 'node:vm'
import test from 'ava'
import { isVarveError, VarveError, Wal } from 'varve'
import { freshDir, freshWal } from '../support/directory.ts'
import { instanceOf } from '../support/errors.ts'

test('an error has a code, a name, a stack that leads to the call, and no more than its facts', (t) => {
  const log = freshWal(t)
  const error = t.throws(() => log.append('x', { expectedIndex: 5 }), { instanceOf }) as VarveError
  t.true(error instanceof Error)
  t.is(error.name, 'VarveError')
  t.is(error.code, 'VARVE_CONFLICT')
  t.regex(String(error), /^VarveError: /)
  t.regex(error.stack!, /errors\.spec/)
  t.false('pid' in error)
  t.deepEqual(Object.keys(error).filter((name) => !['code', 'path', 'index', 'position', 'limit'].includes(name)), [])
})

test('an error of the system has its path and its cause', (t) => {
  const path = `${freshDir(t)}/none`
  const error = t.throws(() => Wal.openSync(path, { create: false }), { instanceOf, code: 'VARVE_IO' }) as VarveError
  t.is(error.path, path)
  t.is((error.cause as NodeJS.ErrnoException).code, 'ENOENT')
  t.true(error.cause instanceof Error)
})

test('isVarveError knows them by code, wrong arguments too', async (t) => {
  const log = freshWal(t)
  const wrong = t.throws(() => log.append(5 as unknown as string), { instanceOf: TypeError })
  t.true(isVarveError(wrong))
  t.true(isVarveError(wrong, 'VARVE_INVALID_ARGUMENT'))
  t.false(isVarveError(wrong, 'VARVE_CLOSED'))
  t.false(wrong instanceof VarveError)
  const range = t.throws(() => log.get(-1), { instanceOf: RangeError })
  t.true(isVarveError(range, 'VARVE_INVALID_ARGUMENT'))
  await log.close()
  const closed = t.throws(() => log.append('x'))
  t.true(isVarveError(closed, 'VARVE_CLOSED'))
})

test('isVarveError is false of all else', (t) => {
  for (const other of [undefined, null, 5, 'VARVE_IO', {}, new Error('x'), Object.assign(new Error('x'), { code: 'ENOENT' }), Object.assign(new Error('x'), { code: 'VARVE_IO' })]) {
    t.false(isVarveError(other))
  }
})

test('errors of another realm or another copy of the package are known', (t) => {
  const foreign: unknown = runInContext(
    `Object.assign(new Error('x'), { code: 'VARVE_IO', [Symbol.for('varve.error')]: true })`,
    createContext({}),
  )
  t.false(foreign instanceof Error)
  t.true(isVarveError(foreign, 'VARVE_IO'))
})

test('options of another realm are plain objects too', (t) => {
  const options = runInContext('({ segmentSize: 65536 })', createContext({})) as { segmentSize: number }
  Wal.openSync(freshDir(t), options).closeSync()
  t.pass()
})

test('neither errors nor logs are constructed by their users', (t) => {
  t.throws(() => new (VarveError as unknown as new (code: string) => Error)('VARVE_IO'), { instanceOf: TypeError })
  t.throws(() => new (Wal as unknown as new (dir: string) => Wal)('x'), { instanceOf: TypeError })
  class Mine extends (Wal as unknown as new () => object) {}
  t.throws(() => new Mine(), { instanceOf: TypeError })
  t.throws(() => Reflect.construct(Wal, [], Mine), { instanceOf: TypeError })
})
