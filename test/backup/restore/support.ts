/** A context for restores, and backups made by the real sources. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import type { ActionContext } from '../../../scripts/lib/action/types.ts'
import { backUpDatabase } from '../../../scripts/lib/backup/database/index.ts'
import { readIndex } from '../../../scripts/lib/backup/files/read-index.ts'
import { backUpFiles } from '../../../scripts/lib/backup/files/source.ts'
import { openRepository } from '../../../scripts/lib/backup/repository/open.ts'
import type { BackupEntry, SourceResult } from '../../../scripts/lib/backup/types.ts'
import { configSchema } from '../../../scripts/lib/config/schema/index.ts'
import { systemClock } from '../../../scripts/lib/core/clock.ts'
import type { Log } from '../../../scripts/lib/core/log.ts'
import { Secret } from '../../../scripts/lib/core/secret.ts'
import { silentProgress } from '../../../scripts/lib/core/progress.ts'
import { createHosts } from '../../../scripts/lib/host/index.ts'
import { openLocalHost } from '../../../scripts/lib/host/local.ts'
import { openJournal } from '../../../scripts/lib/journal/index.ts'
import { tempDir } from '../../support/temp.ts'
import { makeManifest } from '../support.ts'

export interface RestoreContext extends ActionContext {
  readonly directory: string
  readonly warnings: string[]
}

/** @param backup the `backup:` section without its repository */
export async function createContext(backup: object = {}): Promise<RestoreContext> {
  const directory = await tempDir('restore')
  const journal = openJournal({ dir: join(directory, 'state'), clock: systemClock })
  const config = configSchema.parse({ backup: { repository: join(directory, 'backups'), ...backup } })
  const warnings: string[] = []
  const log: Log = { debug() {}, info() {}, warn: (message) => void warnings.push(message) }
  const resolveSecret = async (ref: object) => new Secret(String(Object.values(ref)[0]), 'test')
  const hosts = createHosts({ config, resolveSecret })
  onTestFinished(async () => {
    await hosts.close()
    journal.close()
  })
  const { signal } = new AbortController()
  const clock = systemClock
  return {
    config,
    localName: 'web-0',
    hosts,
    journal,
    clock,
    log,
    signal,
    resolveSecret,
    redact: (t) => t,
    directory,
    warnings,
  }
}

/** A whole backup of a configured database source. */
export async function backUp(context: RestoreContext, name: string): Promise<BackupEntry> {
  const { config, resolveSecret, signal, clock } = context
  const source = config.backup.databases[name]
  if (!source) throw new Error(`no source ${name}`)
  const repository = openRepository(config.backup.repository)
  const staging = await repository.stage('database', name)
  const { compression, encryption } = config.backup
  const result: SourceResult = await backUpDatabase({
    ...{ name, source, host: openLocalHost(), resolveSecret, staging, signal, clock },
    settings: { compression, recipients: encryption?.recipients ?? [] },
  })
  const { files, server, tools, position, databases, warnings } = result
  const change = {
    ...{ files, tools, warnings },
    ...(server && { server }),
    ...(position && { position }),
    ...(databases && { databases }),
  }
  return staging.publish(makeManifest(staging, change))
}

export interface FilesBackup {
  readonly kind: 'config' | 'static'
  readonly name: string
  readonly paths: readonly string[]
  readonly exclude?: readonly string[]
  /** Makes it an incremental one. */
  readonly on?: BackupEntry
}

/** A whole backup of files. */
export async function backUpTree(
  context: RestoreContext,
  { kind, name, paths, exclude = [], on }: FilesBackup,
): Promise<BackupEntry> {
  const { config, signal } = context
  const repository = openRepository(config.backup.repository)
  const staging = await repository.stage(kind, name)
  const { compression, encryption } = config.backup
  const result = await backUpFiles({
    ...{ what: `${kind}/${name}`, paths, exclude, host: openLocalHost(), stagingPath: staging.path, signal },
    ...{
      checksums: kind === 'config',
      expectedBytes: 0,
      progress: silentProgress,
      redact: (text) => text,
      timeoutMs: 60_000,
    },
    settings: { compression, recipients: encryption?.recipients ?? [] },
    ...(on ? { full: { id: on.id, index: await readIndex(on) } } : {}),
  })
  const { files, tools, content, parent, warnings } = result
  const change = { files, tools, warnings, ...(content && { content }), ...(parent && { parent }) }
  return staging.publish(makeManifest(staging, change))
}

/** Changes the plain bytes of a data file, and its manifest so that the checksums fit: what only a drill can find. */
export async function forge(entry: BackupEntry, path: string, change: (plain: Buffer) => Buffer): Promise<BackupEntry> {
  const file = join(entry.path, path)
  const plain = execFileSync('zstd', ['-dcq', file], { maxBuffer: 1024 ** 3 })
  const changed = change(plain)
  if (changed.equals(plain)) throw new Error(`nothing was changed in ${path}`)
  const packed = execFileSync('zstd', ['-cq', '--check'], { input: changed, maxBuffer: 1024 ** 3 })
  await writeFile(file, packed)
  const sha256 = createHash('sha256').update(packed).digest('hex')
  const files = entry.manifest.files.map((one) =>
    one.path === path ? { ...one, sha256, sizeBytes: packed.length } : one,
  )
  const manifest = { ...entry.manifest, files }
  await writeFile(join(entry.path, 'manifest.json'), JSON.stringify(manifest))
  return { ...entry, manifest }
}
