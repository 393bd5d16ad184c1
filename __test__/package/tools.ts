// The scripts that pack and install, with their types.
interface Tools {
  /** Packs what is published into the folder `out`. */
  pack(what: { names?: readonly string[]; addons: string; out: string }): string[]
  packed(out: string): { main: string; platforms: Map<string, string> }
  install(folder: string, tarballs: readonly string[], options?: readonly string[]): void
  bareEnv(): Record<string, string>
  platforms: Record<string, { target: string; glibc?: string; zig: boolean }>
  crossBuilt: string[]
  host(): string
  runtime(name: string): Promise<{ command: string; args: readonly string[] }>
  runtimesHere(): string[]
}

export const root: URL = new URL('../../', import.meta.url)

const load = (name: string): Promise<object> => import(new URL(`scripts/package/${name}.mjs`, root).href) as Promise<object>
export const tools: Tools = Object.assign({}, ...(await Promise.all(['pack', 'install', 'platforms', 'runtimes'].map(load))))
