/**
 * A throw-away server in a container of this machine's Docker engine, by the conventions of the official images: flags are
 * handed to the server, the environment says that it asks for no password, and the data lie in an anonymous volume.
 *
 * Their entry scripts first run a temporary server on the same socket, to set it up, and some let that one listen on
 * loopback too. What tells the two apart is process 1: the script until everything is set up, then, by `exec`, the server
 * (mariadb-docker, docker-library/mysql and docker-library/postgres, docker-entrypoint.sh). So a server is ready when it
 * is process 1 and answers; `Init` is off for that.
 *
 * Sessions go by the engine's exec, with the image's own client tools. A killed drill's container is removed by the next.
 */
import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { DatabaseSource } from '../../config/types.ts'
import { formatDuration, formatSize } from '../../core/duration.ts'
import { isOpsError, messageOf, OpsError } from '../../core/errors.ts'
import { printableLine } from '../../core/printable.ts'
import { demultiplex } from '../../host/container/demux.ts'
import { engineError, openDocker, statusOf, type Docker } from '../../host/container/docker.ts'
import { openContainerHost } from '../../host/container/host.ts'
import { openDeadline, raceAbort, timeoutError } from '../../host/deadline.ts'
import { openLocalHost } from '../../host/local.ts'
import type { Host } from '../../host/types.ts'
import { describeOwner, isGone } from '../repository/owner.ts'
import { openEngine } from '../restore/open-engine.ts'
import { refuseNewer, type ServerVersion } from '../restore/versions.ts'
import type { Manifest } from '../types.ts'
import { SUPERUSER, type Instance } from './instance.ts'

export interface ContainerOptions {
  readonly image: string
  /** What the backup was taken of. */
  readonly server: NonNullable<Manifest['server']>
  readonly redact: (text: string) => string
  readonly signal: AbortSignal
  /** Milliseconds that setting up and starting may take. Default 3 minutes. */
  readonly readyMs?: number
}

/** Holds who made the container. */
const LABEL = 'opskit.drill'
const READY_MS = 180_000
const POLL_MS = 200
/** In a container that is just ending no program is found either; after so many it is known to be over. */
const TOOL_TRIES = 10
const END_TRIES = 5
/** For one request to the engine. */
const REQUEST_MS = 30_000
/** Bounds that keep a hostile or a huge backup from taking the machine with it. */
const MEMORY_BYTES = 4 * 1024 ** 3
/** Docker gives 64 MiB, which a parallel index build of PostgreSQL outgrows. */
const SHARED_MEMORY_BYTES = 1024 ** 3
const MAX_PROCESSES = 2_048
const LOG_LINES = 5

/**
 * @returns a server that answers and is of the family of the backup, not older
 * @throws OpsError MISSING_TOOL (no engine, no such image, no client tools in it), NOT_PERMITTED, FAILED with the last
 *   lines of the container's log, TIMEOUT
 */
export async function startContainer(options: ContainerOptions): Promise<Instance> {
  const { image, server, redact, signal } = options
  const on = openLocalHost()
  const docker = await openDocker(on, { signal })
  await refuseMissingImage(docker, image, signal)
  const name = `opskit-drill-${randomBytes(6).toString('hex')}`
  const stop = () => removeContainer(docker, name)
  try {
    const { directory, settings, ...how } = RECIPES[familyOf(server)]
    // Whole, whatever happens meanwhile: one that is made after it was removed would stay.
    await ask(docker.createContainer({ name, Image: image, ...how, ...bounds() }))
    await ask(docker.getContainer(name).start(), signal)
    const host = await openContainerHost({ name: `the container of ${image}`, container: name, on, redact, signal })
    const found = await waitUntilReady({ ...options, docker, name, host })
    refuseNewer(server, found, host.name)
    const readEnd = () => awaitUnexpectedEnd({ docker, name, image, redact })
    return { directory, version: found.version, settings, host, readEnd, stop }
  } catch (error) {
    // An engine that does not remove it has failed before; the next drill will.
    await stop().catch(() => undefined)
    throw error
  }
}

type ServerFamily = 'mariadb' | 'mysql' | 'postgresql'

function familyOf({ family }: NonNullable<Manifest['server']>): ServerFamily {
  if (family === 'sqlite') throw new OpsError('USAGE', 'SQLite has no server, and so needs no image')
  return family
}

interface Recipe extends Pick<Instance, 'directory' | 'settings'> {
  readonly Env: string[]
  /** Flags: the entry script puts its server before them. */
  readonly Cmd: string[]
}

/** A place that every image has. */
const MYSQL_SOCKET = '/tmp/opskit.sock'

/** Nothing has to last, and nothing of the backup may run by itself. */
const MYSQL = {
  directory: '/var/lib/mysql',
  settings: { socket: MYSQL_SOCKET, user: 'root' },
  Cmd: [
    `--socket=${MYSQL_SOCKET}`,
    '--skip-log-bin',
    '--event-scheduler=OFF',
    '--max-allowed-packet=1G',
    '--innodb-buffer-pool-size=256M',
    '--loose-innodb-log-file-size=512M',
    '--innodb-flush-log-at-trx-commit=0',
    '--innodb-doublewrite=0',
  ],
}
const MYSQL_ENV = ['MYSQL_ALLOW_EMPTY_PASSWORD=1', 'MYSQL_ROOT_HOST=localhost', 'MYSQL_INITDB_SKIP_TZINFO=1']

const RECIPES: Readonly<Record<ServerFamily, Recipe>> = {
  mysql: { ...MYSQL, Env: MYSQL_ENV },
  // Images of MariaDB before 10.6 know MySQL's names only.
  mariadb: {
    ...MYSQL,
    Env: [
      ...MYSQL_ENV,
      'MARIADB_ALLOW_EMPTY_ROOT_PASSWORD=1',
      'MARIADB_ROOT_HOST=localhost',
      'MARIADB_INITDB_SKIP_TZINFO=1',
    ],
  },
  postgresql: {
    directory: '/var/lib/postgresql',
    // Its socket is where the image's own client looks by itself.
    settings: { port: 5432, user: SUPERUSER },
    Env: [
      'POSTGRES_HOST_AUTH_METHOD=trust',
      `POSTGRES_USER=${SUPERUSER}`,
      'POSTGRES_DB=postgres',
      'POSTGRES_INITDB_ARGS=-N --encoding=UTF8',
    ],
    Cmd: [
      'fsync=off',
      'synchronous_commit=off',
      'full_page_writes=off',
      'wal_level=minimal',
      'max_wal_senders=0',
      'max_wal_size=4GB',
      'autovacuum=off',
      'shared_buffers=256MB',
      'maintenance_work_mem=128MB',
      'max_locks_per_transaction=1024',
    ].flatMap((setting) => ['-c', setting]),
  },
}

function bounds() {
  return {
    Labels: { [LABEL]: describeOwner() },
    HostConfig: {
      NetworkMode: 'none',
      Init: false,
      RestartPolicy: { Name: 'no' },
      Memory: MEMORY_BYTES,
      ShmSize: SHARED_MEMORY_BYTES,
      PidsLimit: MAX_PROCESSES,
      SecurityOpt: ['no-new-privileges:true'],
      LogConfig: { Type: 'json-file', Config: { 'max-size': '1m' } },
    },
  }
}

async function refuseMissingImage(docker: Docker, image: string, signal: AbortSignal): Promise<void> {
  try {
    await ask(docker.getImage(image).inspect(), signal)
  } catch (error) {
    if (statusOf(isOpsError(error) ? error.cause : error) !== 404) throw error
    throw new OpsError('MISSING_TOOL', `there is no image ${image} on this machine to drill with`, {
      hint: `Nothing is pulled by itself: docker pull ${image}`,
      cause: error,
    })
  }
}

interface Container {
  readonly docker: Docker
  readonly name: string
  readonly image: string
  readonly redact: (text: string) => string
}

/** @returns what kind of server it is */
async function waitUntilReady(
  starting: ContainerOptions & Container & { readonly host: Host },
): Promise<ServerVersion> {
  const { signal, readyMs = READY_MS } = starting
  const deadline = performance.now() + readyMs
  let tries = TOOL_TRIES
  const mayBeEnding = (error: unknown): string => {
    if (!isOpsError(error, 'MISSING_TOOL') || --tries === 0) throw error
    return messageOf(error)
  }
  for (;;) {
    const ended = await readUnexpectedEnd(starting)
    if (ended) throw ended
    const found = await readServer(starting).catch(mayBeEnding)
    if (typeof found !== 'string') return found
    if (performance.now() > deadline) {
      throw await failure(starting, `is not ready after ${formatDuration(readyMs)} (${found})`)
    }
    await delay(POLL_MS, undefined, { signal }).catch(() => signal.throwIfAborted())
  }
}

const SERVERS = ['mariadbd', 'mysqld', 'postgres']

/** @returns the server, or why it is not ready yet */
async function readServer(options: ContainerOptions & { readonly host: Host }): Promise<ServerVersion | string> {
  const { server, host, redact, signal } = options
  try {
    const first = (await host.read(['cat', '/proc/1/comm'], { signal })).stdout.trim()
    if (!SERVERS.includes(first)) return `process 1 is ${printableLine(first, 40)}, not yet the server`
    const engine = await openEngine({
      source: { type: server.family, ...RECIPES[familyOf(server)].settings, timeout: REQUEST_MS },
      resolveSecret: () => Promise.reject(new OpsError('FAILED', 'a throw-away server asks for no password')),
      ...{ host, redact, signal, stateDirectory: '', isThrowAway: true },
    })
    try {
      return await readVersion(server.family, (database, sql) => engine.ask(database, sql))
    } finally {
      await engine.close()
    }
  } catch (error) {
    signal.throwIfAborted()
    if (!isOpsError(error) || error.code === 'MISSING_TOOL') throw error
    return messageOf(error)
  }
}

type Ask = (database: string, sql: string) => Promise<string | undefined>

async function readVersion(family: DatabaseSource['type'], ask: Ask): Promise<ServerVersion> {
  if (family === 'postgresql') return { family, version: (await ask('postgres', 'SHOW server_version')) ?? '' }
  const version = (await ask('mysql', 'SELECT VERSION()')) ?? ''
  return { family: /mariadb/i.test(version) ? 'mariadb' : 'mysql', version }
}

/** After a session broke off: the engine takes a moment to know that the server, and with it the container, is gone. */
async function awaitUnexpectedEnd(container: Container): Promise<OpsError | undefined> {
  for (let tries = 1; ; tries += 1) {
    const ended = await readUnexpectedEnd(container)
    if (ended || tries === END_TRIES) return ended
    await delay(POLL_MS)
  }
}

/** @returns undefined while it runs */
async function readUnexpectedEnd(container: Container): Promise<OpsError | undefined> {
  const { State } = await ask(container.docker.getContainer(container.name).inspect())
  if (State.Running) return undefined
  const memory = State.OOMKilled ? `: ${formatSize(MEMORY_BYTES)} of memory were not enough` : ''
  return failure(container, `ended with status ${State.ExitCode}${memory}`)
}

async function failure({ docker, name, image, redact }: Container, what: string): Promise<OpsError> {
  const log = await ask(docker.getContainer(name).logs({ stdout: true, stderr: true, tail: LOG_LINES }))
    .then(demultiplex)
    .catch(() => '')
  const lines = redact(log)
    .split('\n')
    .map((line) => printableLine(line, 200))
  const last = lines.filter((line) => line !== '').slice(-LOG_LINES)
  return new OpsError('FAILED', `the container of ${image} ${what}${last.length > 0 ? `: ${last.join(' | ')}` : ''}`, {
    hint: 'Is it an image of that server, made like the official ones? See docs/how-to/drill.md.',
  })
}

/** With its anonymous volumes; nothing happens when there is none. */
async function removeContainer(docker: Docker, name: string): Promise<void> {
  try {
    await ask(docker.getContainer(name).remove({ force: true, v: true }))
  } catch (error) {
    // Gone, or somebody removes it at this moment.
    if (![404, 409].includes(statusOf(isOpsError(error) ? error.cause : error) ?? 0)) throw error
  }
}

/** Removes containers whose drill is dead. An engine that is not there has none. @returns their names */
export async function sweepContainers(signal: AbortSignal): Promise<string[]> {
  const removed: string[] = []
  try {
    const docker = await openDocker(openLocalHost(), { signal })
    const all = await ask(docker.listContainers({ all: true, filters: { label: [LABEL] } }), signal)
    for (const { Names, Labels, Id } of all) {
      if (isGone(Labels[LABEL] ?? '') !== true) continue
      await removeContainer(docker, Id)
      removed.push((Names[0] ?? Id).replace(/^\//, ''))
    }
  } catch (error) {
    signal.throwIfAborted()
    if (!isOpsError(error)) throw error
  }
  return removed
}

/** One request, with a deadline. @throws OpsError */
async function ask<T>(request: Promise<T>, signal?: AbortSignal): Promise<T> {
  const expired = () => timeoutError('a request to the Docker engine', 'this machine', REQUEST_MS)
  const deadline = openDeadline({ timeoutMs: REQUEST_MS, signal, expired })
  try {
    return await raceAbort(request, deadline.signal)
  } catch (error) {
    throw engineError(error, 'this machine')
  } finally {
    deadline.clear()
  }
}
