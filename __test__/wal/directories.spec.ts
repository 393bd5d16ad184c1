import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { type VarveError, Wal } from 'varve'
import { run } from '../support/child.ts'
import { crc32c } from '../support/crc32c.ts'
import { contents, freshDir, segments } from '../support/directory.ts'
import { instanceOf } from '../support/errors.ts'

function written(t: ExecutionContext): string {
  const dir = freshDir(t)
  const log = Wal.openSync(dir)
  log.appendBatch(['a', 'b', 'c'])
  log.closeSync()
  return dir
}

async function refused(t: ExecutionContext, dir: string, code: string): Promise<VarveError> {
  const error = t.throws(() => Wal.openSync(dir), { instanceOf, code }) as VarveError
  const other = (await t.throwsAsync(Wal.open(dir), { instanceOf, code })) as VarveError
  t.is(other.message, error.message)
  return error
}

const causeOf = (error: Error): unknown => (error.cause as NodeJS.ErrnoException | undefined)?.code

test('no such directory, with create: false, is VARVE_IO with ENOENT', (t) => {
  const path = join(freshDir(t), 'none')
  const error = t.throws(() => Wal.openSync(path, { create: false }), { instanceOf, code: 'VARVE_IO' }) as VarveError
  t.is(error.path, path)
  t.is(causeOf(error), 'ENOENT')
})

test('a directory that is a file is VARVE_IO with ENOTDIR, and the file stays', async (t) => {
  const path = join(freshDir(t), 'file')
  writeFileSync(path, 'mine')
  const error = await refused(t, path, 'VARVE_IO')
  t.is(error.path, path)
  t.is(causeOf(error), 'ENOTDIR')
  t.is(readFileSync(path, 'utf8'), 'mine')
  t.is(causeOf(await refused(t, join(path, 'below'), 'VARVE_IO')), 'ENOTDIR')
})

test('a FIFO, a directory or a symlink in the place of a segment is refused, and does not block', async (t) => {
  const makers: Record<string, (path: string, dir: string) => void> = {
    fifo: (path) => execFileSync('mkfifo', [path]),
    directory: (path) => mkdirSync(path),
    symlink: (path, dir) => symlinkSync(segments(dir)[0]!, path),
    dangling: (path) => symlinkSync('/nowhere/at/all', path),
  }
  for (const [kind, make] of Object.entries(makers)) {
    const dir = written(t)
    const first = segments(dir)[0]!
    const next = first.replace(/\d+(?=\.seg$)/, (digits) => String(Number(digits) + 1).padStart(digits.length, '0'))
    make(next, dir)
    const error = t.throws(() => Wal.openSync(dir), { instanceOf }, kind) as VarveError
    t.true(['VARVE_IO', 'VARVE_CORRUPT', 'VARVE_UNSUPPORTED'].includes(error.code), `${kind}: ${error.code}`)
    t.is(error.path, next)
  }
})

test('a symlink in the place of the lock or the durable bound is not followed', async (t) => {
  for (const name of ['LOCK', 'durable']) {
    const dir = written(t)
    const target = join(freshDir(t), 'target')
    writeFileSync(target, 'mine')
    execFileSync('rm', ['-f', join(dir, name)])
    symlinkSync(target, join(dir, name))
    t.throws(() => Wal.openSync(dir).closeSync(), { instanceOf }, name)
    t.is(readFileSync(target, 'utf8'), 'mine')
  }
})

test('files of others in the directory are left alone', (t) => {
  const dir = written(t)
  writeFileSync(join(dir, 'README'), 'mine')
  writeFileSync(join(dir, 'notes.seg'), 'mine')
  const log = Wal.openSync(dir)
  log.append('d')
  log.closeSync()
  t.is(readFileSync(join(dir, 'README'), 'utf8'), 'mine')
  t.is(readFileSync(join(dir, 'notes.seg'), 'utf8'), 'mine')
})

test('no permission is VARVE_IO with EACCES', async (t) => {
  const dir = written(t)
  const closed = join(freshDir(t), 'closed')
  mkdirSync(closed)
  chmodSync(dir, 0o555)
  chmodSync(join(closed, '..'), 0o755)
  chmodSync(closed, 0o000)
  t.teardown(() => [dir, closed].forEach((path) => chmodSync(path, 0o755)))
  // Root may do anything: the child is nobody.
  const nobody = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {}
  const end = await run('unprivileged', [join(dir, 'below'), join(closed, 'below'), dir], nobody)
  t.is(end.code, 0, end.stderr)
  const met = JSON.parse(end.stdout) as { code: string; path: string; cause: string }[]
  for (const [i, { code, path, cause }] of met.entries()) {
    t.is(code, 'VARVE_IO', `${i}`)
    t.is(cause, 'EACCES', `${i}`)
    t.true(path.startsWith(i === 1 ? closed : dir), path)
  }
})

test('a newer format version is VARVE_UNSUPPORTED, and nothing is touched', async (t) => {
  const dir = written(t)
  const path = segments(dir)[0]!
  const file = readFileSync(path)
  for (const at of [0, 512]) {
    t.is(file.toString('latin1', at, at + 8), 'VARVESEG')
    t.is(file.readUInt32LE(at + 124), crc32c(file.subarray(at, at + 124)))
    file.writeUInt16LE(99, at + 8)
    file.writeUInt32LE(crc32c(file.subarray(at, at + 124)), at + 124)
  }
  writeFileSync(path, file)
  const before = contents(dir)
  const error = await refused(t, dir, 'VARVE_UNSUPPORTED')
  t.regex(error.message, /99/)
  t.is(error.path, path)
  t.deepEqual(contents(dir), before)
})
