/** Drills in throw-away containers: what is proved, what is refused, and what is left. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { runAction } from '../../../scripts/lib/action/run.ts'
import type { Action } from '../../../scripts/lib/action/types.ts'
import { drillAction } from '../../../scripts/lib/backup/drill/action.ts'
import { startContainer } from '../../../scripts/lib/backup/drill/container.ts'
import { OpsError } from '../../../scripts/lib/core/errors.ts'
import { openRepository } from '../../../scripts/lib/backup/repository/open.ts'
import { makeMariaDbImage, makePostgresImage } from '../../support/database-image.ts'
import { startDocker, type DockerEngine } from '../../support/docker.ts'
import { MARIADB_ROOT_PASSWORD, startMariaDb, type MariaDb } from '../../support/mariadb.ts'
import { startPostgres } from '../../support/postgres.ts'
import { failureOf } from '../context.ts'
import { backUp, createContext, forge } from './support.ts'

const execute = promisify(execFile)
const drill = drillAction as Action
const MARIADB = 'mariadb:test'
const POSTGRES = 'postgres:test'

let engine: DockerEngine
let server: MariaDb

/** With a tenth of the rows. */
const fixture = async (name: string) =>
  (await readFile(new URL(`../fixtures/${name}`, import.meta.url), 'utf8'))
    .replace('seq_1_to_20000', 'seq_1_to_2000')
    .replace('generate_series(1, 20000)', 'generate_series(1, 2000)')

async function pipe(program: string, args: readonly string[], input: string): Promise<void> {
  const running = execute(program, [...args])
  running.child.stdin?.end(input)
  await running
}

beforeAll(async () => {
  ;[engine, server] = await Promise.all([startDocker(), startMariaDb()])
  vi.stubEnv('DOCKER_HOST', `unix://${engine.socketPath}`)
  // A drill that took the temporary server for the real one would not find what is set up last, or lose its server.
  await makeMariaDbImage(engine, {
    name: MARIADB,
    setUp: 'sleep 1; mariadb --no-defaults -uroot -S "$socket" -e "CREATE DATABASE set_up_last"',
  })
  await makePostgresImage(engine, {
    name: POSTGRES,
    setUp: 'sleep 1; psql -qX -U "$POSTGRES_USER" -d postgres -c "CREATE DATABASE set_up_last"',
  })
  await server.sql('CREATE DATABASE app')
  await pipe(
    'mariadb',
    ['-uroot', `-p${MARIADB_ROOT_PASSWORD}`, '-S', server.socket, 'app'],
    await fixture('nasty-mariadb.sql'),
  )
})
afterAll(async () => {
  vi.unstubAllEnvs()
  await server?.stop()
  await engine?.stop()
})

const settings = () => ({
  type: 'mariadb',
  socket: server.socket,
  user: 'root',
  password: { env: MARIADB_ROOT_PASSWORD },
  databases: ['app'],
  fingerprints: true,
})

const nothingIsLeft = async () => {
  expect(await engine.docker('ps', '-aq')).toBe('')
  expect(await engine.docker('volume', 'ls', '-q')).toBe('')
}

describe('a drill in a container', () => {
  it('proves a backup of MariaDB by the image of its source, and leaves nothing', async () => {
    const checks = [
      { name: 'many rows', sql: 'SELECT COUNT(*) FROM big', expect: '>=2000' },
      {
        name: 'the real server',
        sql: "SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name = 'set_up_last'",
        expect: 1,
      },
    ]
    const context = await createContext({ databases: { app: { ...settings(), checks, drill_image: MARIADB } } })
    const entry = await backUp(context, 'app')
    expect(await runAction(drill, { backups: ['app'] }, context)).toMatchObject({
      report: { findings: [{ severity: 'ok', evidence: expect.stringContaining('fingerprints too') as string }] },
    })
    const [after] = await openRepository(context.config.backup.repository).list()
    expect(after).toMatchObject({ id: entry.id, drilledAt: expect.any(Number) as number })
    await nothingIsLeft()
  })

  it('finds what is wrong with a backup of PostgreSQL, by an image that is named', async () => {
    const postgres = await startPostgres()
    try {
      await postgres.sql('CREATE ROLE "app owner"', 'CREATE DATABASE app OWNER "app owner"')
      const psql = ['-h', postgres.socket, '-p', String(postgres.port), '-U', 'postgres', '-qX', '-d', 'app']
      await pipe('psql', psql, await fixture('nasty-postgres.sql'))
      const source = {
        ...{ type: 'postgresql', socket: postgres.socket, port: postgres.port, user: 'postgres' },
        ...{ databases: ['app'], fingerprints: true },
      }
      const context = await createContext({ databases: { app: source } })
      const entry = await backUp(context, 'app')
      await forge(entry, 'app.data-1.dump.zst', (plain) =>
        Buffer.from(plain.toString('latin1').replace('7\t7\t8f14e45f', '7\t7\tzzzzzzzz'), 'latin1'),
      )
      expect(await runAction(drill, { backups: ['app'], image: POSTGRES }, context)).toMatchObject({
        report: { findings: [{ severity: 'critical', lines: ['the content of table big differs from the backup'] }] },
      })
      await nothingIsLeft()
    } finally {
      await postgres.stop()
    }
  })

  it('that cannot be held says why, records nothing and leaves nothing', async () => {
    const context = await createContext({ databases: { app: settings() } })
    await backUp(context, 'app')
    const refusal = (params: object) => failureOf(runAction(drill, { backups: ['app'], ...params }, context))
    expect(await refusal({ image: 'mariadb:10.11' })).toEqual({
      code: 'MISSING_TOOL',
      message: 'there is no image mariadb:10.11 on this machine to drill with',
      hint: 'Nothing is pulled by itself: docker pull mariadb:10.11',
    })
    expect(await refusal({ image: POSTGRES })).toMatchObject({
      code: 'FAILED',
      message: expect.stringMatching(
        /^the container of postgres:test ended with status 1: .*password is not specified/,
      ) as string,
    })
    expect(await refusal({ image: MARIADB, all: true, backups: [] })).toMatchObject({ code: 'USAGE' })
    expect(await refusal({ image: MARIADB, into: 'app' })).toMatchObject({ code: 'USAGE' })
    const [after] = await openRepository(context.config.backup.repository).list()
    expect(after?.records).toEqual([])
    await nothingIsLeft()
  })

  it('gives up on a server that is not ready in time, too old or killed, and stops when it is told to', async () => {
    const { signal } = new AbortController()
    const common = { server: { family: 'mariadb', version: '10.3.0' }, redact: (text: string) => text } as const
    const options = { ...common, image: MARIADB, readyMs: 0 }
    expect(await failureOf(startContainer({ ...options, signal }))).toMatchObject({
      code: 'FAILED',
      message: expect.stringMatching(/is not ready after 0 ms \(process 1 is \S+, not yet the server\)/) as string,
    })
    const newer = { ...common, server: { family: 'mariadb', version: '99.1.0' } as const, image: MARIADB }
    expect(await failureOf(startContainer({ ...newer, signal }))).toMatchObject({
      message: expect.stringMatching(/^the backup is of mariadb 99.1.0, newer than 10/) as string,
    })
    const running = await startContainer({ ...common, image: MARIADB, signal })
    expect(await running.readEnd?.()).toBeUndefined()
    await engine.docker('kill', await engine.docker('ps', '-q'))
    const end = { code: 'FAILED', message: expect.stringContaining('ended with status 137') as string }
    expect(await running.readEnd?.()).toMatchObject(end)
    await running.stop()
    const abort = new AbortController()
    const starting = failureOf(startContainer({ ...common, image: MARIADB, signal: abort.signal }))
    await vi.waitFor(async () => expect(await engine.docker('ps', '-q')).not.toBe(''), { timeout: 20_000 })
    abort.abort(new OpsError('INTERRUPTED', 'stopped'))
    expect(await starting).toMatchObject({ code: 'INTERRUPTED' })
    await nothingIsLeft()
  })

  it('has no network; one that is killed leaves its container to the next', async () => {
    const module = new URL('../../../scripts/lib/backup/drill/container.ts', import.meta.url).pathname
    const script = `const { startContainer } = await import(${JSON.stringify(module)})
      await startContainer({ image: '${MARIADB}', server: { family: 'mariadb', version: '10.3.0' },
        redact: (text) => text, signal: new AbortController().signal })
      console.log('ready'); setInterval(() => {}, 1000)`
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await Promise.race([once(child.stdout, 'data'), once(child, 'exit')])
    const context = await createContext({ databases: { app: settings() } })
    await backUp(context, 'app')
    const before = await engine.docker('ps', '-q')
    const reach = '{{.HostConfig.NetworkMode}} {{.HostConfig.PortBindings}} {{.HostConfig.Binds}}'
    expect(await engine.docker('inspect', '-f', reach, before)).toBe('none map[] []')
    await failureOf(runAction(drill, { backups: ['app'], image: 'none:1' }, context))
    expect(await engine.docker('ps', '-q')).toBe(before)
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
    await failureOf(runAction(drill, { backups: ['app'], image: 'none:1' }, context))
    await nothingIsLeft()
  })
})
