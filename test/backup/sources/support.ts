/** A request for `backUpDatabase`, and a watch for secrets in argument lists. */
import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { promisify } from 'node:util'
import { expect } from 'vitest'
import { backUpDatabase } from '../../../scripts/lib/backup/database/index.ts'
import type { DatabaseBackup } from '../../../scripts/lib/backup/database/request.ts'
import type { SourceResult } from '../../../scripts/lib/backup/types.ts'
import type { DatabaseSource } from '../../../scripts/lib/config/types.ts'
import { systemClock } from '../../../scripts/lib/core/clock.ts'
import { Secret } from '../../../scripts/lib/core/secret.ts'
import { openLocalHost } from '../../../scripts/lib/host/local.ts'

const execute = promisify(execFile)

export type SourceSettings = Partial<DatabaseSource> & Pick<DatabaseSource, 'type'>

export interface Run extends Partial<Omit<DatabaseBackup, 'source' | 'staging'>> {
  readonly source: SourceSettings
  /** What `resolveSecret` gives. */
  readonly password?: string
  /** The staging directory. */
  readonly into: string
}

export function run({ source, password, into, ...rest }: Run): Promise<SourceResult> {
  return backUpDatabase({
    name: 'app',
    host: openLocalHost(),
    resolveSecret: async () => new Secret(password ?? '', 'env:DB_PASSWORD'),
    staging: { path: into },
    settings: { compression: { level: 3, threads: 1 } },
    signal: new AbortController().signal,
    clock: systemClock,
    ...rest,
    source: {
      databases: 'all',
      users: true,
      row_counts: true,
      fingerprints: false,
      tls: 'off',
      checks: [],
      hooks: { before: [], after: [] },
      timeout: 120_000,
      ...(password === undefined ? {} : { password: { env: 'DB_PASSWORD' } }),
      ...source,
    },
  })
}

/** Runs a plain shell line, as an operator would; `$1`… are the words. */
export async function shell(line: string, words: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<string> {
  const { stdout } = await execute('bash', ['-o', 'pipefail', '-c', line, 'test', ...words], {
    env: { ...process.env, ...env },
    maxBuffer: 64 * 1024 ** 2,
    timeout: 60_000,
  })
  return stdout
}

export async function filesIn(dir: string): Promise<string[]> {
  return (await readdir(dir)).sort()
}

/** What a run could leave in the temp directory: files with credentials, copies. */
export function leftovers(): string[] {
  return [tmpdir(), '/dev/shm'].flatMap((dir) =>
    readdirSync(dir).filter((name) => /^opskit-\w{6}$|^tmp\.|^\.sqlite-/.test(name)),
  )
}

/** Reads every argument list of the machine, over and over, while `work` runs. */
export async function withoutSecretInArgv<T>(secret: string, work: () => Promise<T>): Promise<T> {
  let scans = 0
  const seen = new Set<string>()
  const scan = () => {
    scans += 1
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      try {
        const line = readFileSync(`/proc/${pid}/cmdline`, 'latin1')
        if (line.includes(secret)) seen.add(line.replaceAll('\0', ' '))
      } catch {
        // It has ended in between.
      }
    }
  }
  const timer = setInterval(scan, 10)
  const result = await work().finally(() => clearInterval(timer))
  scan()
  if (scans < 5) throw new Error(`only ${scans} looks at the argument lists: the work was too short to tell`)
  if (seen.size > 0) throw new Error(`the secret is in ${[...seen].join('; ')}`)
  return result
}

/** A text that matches, within an object that is compared. */
export function like(pattern: RegExp): string {
  return expect.stringMatching(pattern) as string
}

export function saying(words: string): string {
  return expect.stringContaining(words) as string
}
