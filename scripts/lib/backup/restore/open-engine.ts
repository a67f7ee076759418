/** The engine for a configured database source, logged in. */
import { availableParallelism } from 'node:os'
import type { DatabaseSource, SecretRef } from '../../config/types.ts'
import type { Secret } from '../../core/secret.ts'
import type { Host } from '../../host/types.ts'
import { tlsOf } from '../database/tls.ts'
import { openPlace } from '../pipeline/place.ts'
import type { RestoreEngine } from './engine.ts'

export interface OpenEngineOptions {
  readonly source: Pick<
    DatabaseSource,
    'type' | 'host' | 'port' | 'socket' | 'user' | 'password' | 'file' | 'timeout'
  > &
    Partial<Pick<DatabaseSource, 'tls' | 'ca'>>
  readonly host: Host
  readonly resolveSecret: (ref: SecretRef) => Promise<Secret>
  readonly redact: (text: string) => string
  /** A directory of this machine for what a restore must remember. */
  readonly stateDirectory: string
  readonly signal: AbortSignal
  readonly isThrowAway?: boolean
  /** Sessions that load at once. Default: one more than the processors of this machine. */
  readonly jobs?: number
}

export async function openEngine(options: OpenEngineOptions): Promise<RestoreEngine> {
  const { source, host, resolveSecret, redact, signal, stateDirectory } = options
  const password = source.password && (await resolveSecret(source.password)).reveal()
  const place = openPlace({ host, redact, signal, timeoutMs: source.timeout })
  const { host: server, port, socket, user } = source
  const address = { host: server, port, socket, user, password, tls: tlsOf(source) }
  // A session waits for the disk while another one computes.
  const { isThrowAway = false } = options
  const jobs = options.jobs ?? Math.min(8, availableParallelism() + 1)
  switch (source.type) {
    case 'mariadb':
    case 'mysql':
      return (await import('./mariadb/engine.ts')).openMysqlEngine({
        host,
        signal,
        place,
        address,
        jobs,
        stateDirectory,
        isThrowAway,
      })
    case 'postgresql':
      return (await import('./postgres/engine.ts')).openPostgresEngine({
        host,
        signal,
        place,
        address,
        jobs,
        isThrowAway,
      })
    case 'sqlite':
      return (await import('./sqlite/engine.ts')).openSqliteEngine({ host, signal, place })
  }
}
