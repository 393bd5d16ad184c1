// What a result has to name to mean anything: processor, kernel, file system, versions.
import { execFileSync } from 'node:child_process'
import { readFileSync, statfsSync } from 'node:fs'
import os from 'node:os'

const fileSystems = { 0xef53: 'ext4', 0x58465342: 'xfs', 0x9123683e: 'btrfs', 0x01021994: 'tmpfs', 0x794c7630: 'overlayfs', 0x2fc12fc1: 'zfs' }

function rustVersion() {
  try {
    return execFileSync('rustc', ['--version'], { encoding: 'utf8' }).split(' ')[1]
  } catch {
    return 'none'
  }
}

/** `dir`: where the data of the run lies; `rivals`: packages whose versions matter. */
export function describeMachine(dir, rivals = []) {
  const cpus = os.cpus()
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
  const { dependencies } = JSON.parse(readFileSync(new URL('package.json', import.meta.url), 'utf8'))
  return {
    processor: `${cpus.length} × ${cpus[0].model.trim()}`,
    memory: `${Math.round(os.totalmem() / 2 ** 30)} GiB`,
    system: `${os.type()} ${os.release()}, ${os.arch()}`,
    'file system': fileSystems[statfsSync(dir).type] ?? `0x${statfsSync(dir).type.toString(16)}`,
    load: os.loadavg().map((load) => load.toFixed(1)).join(', '),
    Node: process.versions.node,
    Rust: rustVersion(),
    varve: version,
    ...Object.fromEntries(rivals.map((name) => [name, dependencies[name]])),
  }
}
