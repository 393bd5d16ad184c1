// `node scripts/complete-lock.mjs package-lock.json`: adds the optional packages of other platforms that a registry did not show when the
// lock was written. `npm ci` refuses a lock that lacks them. They are named with version, system and processor, and without a hash.
import { readFileSync, writeFileSync } from 'node:fs'
const file = process.argv[2]
const lock = JSON.parse(readFileSync(file, 'utf8'))
let added = 0
for (const [path, pkg] of Object.entries(lock.packages)) {
  for (const [name, version] of Object.entries(pkg.optionalDependencies ?? {})) {
    const at = `node_modules/${name}`
    if (lock.packages[at] !== undefined || lock.packages[`${path}/${at}`] !== undefined) continue
    const m = /-(android|darwin|freebsd|linux|openharmony|wasm32|win32)(?:-(.*))?$/.exec(name)
    if (m === null) { console.log('?', path, name, version); continue }
    const [, os, rest = ''] = m
    const entry = { version, dev: true, optional: true }
    if (os === 'wasm32') entry.cpu = ['wasm32']
    else {
      const [cpu, abi = ''] = rest.split(/-(.*)/)
      entry.cpu = [cpu]
      entry.os = [os]
      if (abi.startsWith('musl')) entry.libc = ['musl']
      if (os === 'linux' && abi.startsWith('gnu')) entry.libc = ['glibc']
    }
    lock.packages[at] = entry
    added++
  }
}
lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => a.localeCompare(b, 'en')))
writeFileSync(file, JSON.stringify(lock, null, 2) + '\n')
console.log(added, 'added')
