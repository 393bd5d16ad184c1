// A user's program, in CommonJS: `require` and `import` give the same classes. Argument: a directory that is not there yet.
const assert = require('node:assert/strict')
const required = require('varve')

async function main() {
  const imported = await import('varve')
  assert.deepEqual(Object.keys(required).sort(), Object.keys(imported).sort())
  assert.equal(typeof required.Wal.open, 'function')
  for (const name of Object.keys(required)) assert.equal(required[name], imported[name], name)
  const log = required.Wal.openSync(process.argv[2])
  assert.ok(log instanceof imported.Wal)
  const error = await imported.Wal.open(process.argv[2]).then((other) => other.append('x', { expectedIndex: 9 })).catch((caught) => caught)
  assert.ok(error instanceof required.VarveError)
  assert.equal(error.code, 'VARVE_CONFLICT')
  assert.equal(require('varve/package.json').version, required.version)
  log.closeSync()
  console.log('ok')
}

main().catch((error) => {
  console.error(error)
  process.exit(1)
})
