/** A database whose tools are in a container: the same backup, by the engine's exec. */
import { basename, dirname } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openContainerHost } from '../../../scripts/lib/host/container/host.ts'
import { openLocalHost } from '../../../scripts/lib/host/local.ts'
import { startDocker, type DockerEngine } from '../../support/docker.ts'
import { MARIADB_ROOT_PASSWORD, startMariaDb, type MariaDb } from '../../support/mariadb.ts'
import { tempDir } from '../../support/temp.ts'
import { filesIn, run, shell, withoutSecretInArgv } from './support.ts'

let engine: DockerEngine
let server: MariaDb
beforeAll(async () => {
  ;[engine, server] = await Promise.all([startDocker(), startMariaDb()])
  await server.sql(
    'CREATE DATABASE app',
    'CREATE TABLE app.t (id int PRIMARY KEY)',
    'INSERT INTO app.t VALUES (1), (2)',
  )
  const socket = dirname(server.socket)
  // The tools of this machine, seen from inside.
  const tools = ['/usr', '/lib', '/lib64'].flatMap((path) => ['-v', `${path}:${path}:ro`])
  await engine.run({ name: 'with-tools', args: ['-v', `${socket}:/run/db`, ...tools] })
  await engine.run({ name: 'without' })
})
afterAll(async () => {
  await engine.stop()
  await server.stop()
})

async function backUpInside(container: string, into: string) {
  const on = openLocalHost()
  const host = await openContainerHost({ name: `db in ${container}`, container, on, socketPath: engine.socketPath })
  return run({
    source: {
      type: 'mariadb',
      socket: `/run/db/${basename(server.socket)}`,
      user: 'root',
      databases: ['app'],
      users: false,
    },
    password: MARIADB_ROOT_PASSWORD,
    ...{ host, into },
  })
}

describe('a backup by the tools of a container', () => {
  it('is the same as anywhere, and leaves nothing there', async () => {
    const into = await tempDir('staging')
    const result = await withoutSecretInArgv(MARIADB_ROOT_PASSWORD, () => backUpInside('with-tools', into))
    expect(result.databases?.[0]).toMatchObject({ name: 'app', tables: [{ name: 't', rows: 2 }] })
    expect(await shell('zstd -dc "$1/app.sql.zst" | tail -n 1', [into])).toBe('-- Dump completed\n')
    expect(await engine.docker('exec', 'with-tools', 'ls', '/tmp')).toBe('')
  })

  it('says which package is missing where', async () => {
    const into = await tempDir('staging')
    await expect(backUpInside('without', into)).rejects.toMatchObject({
      code: 'MISSING_TOOL',
      message: 'mariadb is not installed on db in without',
      details: { hint: 'Install it on db in without: apt-get install mariadb-client' },
    })
    expect(await filesIn(into)).toEqual([])
  })
})
