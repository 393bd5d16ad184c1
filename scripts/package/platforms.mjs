// The platforms that npm/ has a package for.

/** By the name that the addon, its folder in npm/ and its package bear: Rust's name, and zig's where zig can build it. */
export const platforms = {
  // glibc 2.17 is as old as Rust itself supports: it is on every Linux since 2014.
  'linux-x64-gnu': { target: 'x86_64-unknown-linux-gnu', glibc: '2.17', zig: true },
  'linux-arm64-gnu': { target: 'aarch64-unknown-linux-gnu', glibc: '2.17', zig: true },
  'linux-x64-musl': { target: 'x86_64-unknown-linux-musl', zig: true },
  'linux-arm64-musl': { target: 'aarch64-unknown-linux-musl', zig: true },
  'darwin-arm64': { target: 'aarch64-apple-darwin', zig: true },
  'darwin-x64': { target: 'x86_64-apple-darwin', zig: true },
  'win32-x64-msvc': { target: 'x86_64-pc-windows-msvc', zig: false },
}

/** What is built where nothing is said. */
export const crossBuilt = ['linux-x64-gnu', 'linux-arm64-gnu', 'linux-x64-musl']

export const addonName = (name) => `varve.${name}.node`

/** The platform of this process. */
export function host() {
  const { platform, arch } = process
  if (platform === 'win32') return `win32-${arch}-msvc`
  if (platform !== 'linux') return `${platform}-${arch}`
  process.report.excludeNetwork = true
  return `linux-${arch}-${process.report.getReport().header.glibcVersionRuntime === undefined ? 'musl' : 'gnu'}`
}
