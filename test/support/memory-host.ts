/** Machines in memory: files that can be read and written, and a list of everything that was done to them. */
import { OpsError } from '../../scripts/lib/core/errors.ts'
import type { Argv, Host, Hosts, RunResult } from '../../scripts/lib/host/types.ts'

export interface MemoryHost extends Host {
  readonly files: Map<string, string>
  /** `run …`, `read …` and `put PATH`, in order. */
  readonly calls: string[]
}

export interface MemoryHosts extends Hosts {
  readonly machines: ReadonlyMap<string, MemoryHost>
  /** The files of every machine, in a fixed order. */
  snapshot(): Record<string, Record<string, string>>
}

export function createMemoryHosts(names: readonly string[], unreachable: readonly string[] = []): MemoryHosts {
  const machines = new Map(names.map((name) => [name, createMemoryHost(name)]))
  const snapshot = () =>
    Object.fromEntries([...machines].map(([name, host]) => [name, Object.fromEntries([...host.files].sort())]))
  return {
    machines,
    snapshot,
    names: () => names,
    open: async (name, options) => {
      options?.signal?.throwIfAborted()
      const host = machines.get(name)
      if (!host) throw new OpsError('USAGE', `there is no host ${name}`)
      if (unreachable.includes(name)) throw new OpsError('UNREACHABLE', 'no route to host', { hint: `Ping ${name}.` })
      return host
    },
    close: async () => undefined,
  }
}

function createMemoryHost(name: string): MemoryHost {
  const files = new Map<string, string>()
  const calls: string[] = []
  const done = (argv: Argv): RunResult => {
    return { argv, exitCode: 0, stdout: '', stderr: '', durationMs: 0, truncated: false }
  }
  return {
    name,
    kind: 'local',
    files,
    calls,
    read: async (argv, options) => {
      options?.signal?.throwIfAborted()
      calls.push(`read ${argv.join(' ')}`)
      return done(argv)
    },
    get: async (path, options) => {
      options?.signal?.throwIfAborted()
      const text = files.get(path)
      return text === undefined ? undefined : Buffer.from(text)
    },
    run: async (argv, options) => {
      options?.signal?.throwIfAborted()
      calls.push(`run ${argv.join(' ')}`)
      return done(argv)
    },
    stream: async () => {
      throw new OpsError('MISSING_TOOL', 'a machine in memory has no streams')
    },
    put: async (path, data, options) => {
      options?.signal?.throwIfAborted()
      calls.push(`put ${path}`)
      files.set(path, Buffer.from(data).toString())
    },
    close: async () => undefined,
  }
}
