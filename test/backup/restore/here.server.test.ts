/** Free space is looked at on the machine of the server, and nowhere else. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { RestoreEngine } from '../../../scripts/lib/backup/restore/engine.ts'
import { openEngine } from '../../../scripts/lib/backup/restore/open-engine.ts'
import { openLocalHost } from '../../../scripts/lib/host/local.ts'
import type { Host } from '../../../scripts/lib/host/types.ts'
import { startMariaDb, type MariaDb } from '../../support/mariadb.ts'
import { POSTGRES_PASSWORD, startPostgres, type Postgres } from '../../support/postgres.ts'
import { backUp, createContext, type RestoreContext } from './support.ts'

let [mariadb, postgres] = [undefined as MariaDb | undefined, undefined as Postgres | undefined]
beforeAll(async () => {
  ;[mariadb, postgres] = await Promise.all([startMariaDb(), startPostgres()])
  await mariadb.sql(
    'CREATE DATABASE app',
    'CREATE TABLE app.t (id INT)',
    "CREATE USER tools IDENTIFIED BY 'tools'",
    'GRANT ALL ON *.* TO tools',
  )
  await postgres.sql('CREATE DATABASE app')
})
afterAll(async () => {
  await mariadb?.stop()
  await postgres?.stop()
})

const here = () => openLocalHost()

/** A machine of another name with processes of its own, whose tools reach the server by its address. */
function elsewhere(): Host {
  const local = openLocalHost()
  const script = 'hostname elsewhere; exec "$@"'
  const unshare = ['unshare', '--uts', '--pid', '--fork', '--mount-proc', 'sh', '-c', script, 'sh'] as const
  return { ...local, read: (argv, options) => local.read([...unshare, ...argv], options) }
}

const settings = (): Record<string, Record<string, object>> => ({
  mariadb: {
    socket: { socket: mariadb?.socket },
    address: { host: '127.0.0.1', port: mariadb?.port },
    account: { type: 'mariadb', user: 'tools', password: { env: 'tools' }, databases: ['app'] },
  },
  postgresql: {
    socket: { socket: postgres?.socket, port: postgres?.port },
    address: { host: '127.0.0.1', port: postgres?.port },
    account: { type: 'postgresql', user: 'postgres', password: { env: POSTGRES_PASSWORD }, databases: ['app'] },
  },
})

async function notesOf(context: RestoreContext, engine: RestoreEngine): Promise<readonly string[]> {
  const entry = await backUp(context, 'app')
  const [facts] = entry.manifest.databases ?? []
  if (!facts) throw new Error('the backup is empty')
  // Far more than any disk has: whoever knows the space refuses it.
  const files = entry.manifest.files.map((file) => ({ ...file, plainBytes: 1e18 }))
  const source = { entry, facts, files, identity: undefined }
  return (await engine.preflight(source, { target: 'app', scratch: 's', aside: 'a', existed: true })).notes
}

describe.each(['mariadb', 'postgresql'])('of %s', (family) => {
  it.each([
    ['over its socket', 'socket', here],
    ['by an address of this machine', 'address', here],
    ['over its socket, whatever the name of the machine', 'socket', elsewhere],
  ] as const)('%s is known: what does not fit is refused', async (_how, way, open) => {
    const { [way]: address, account } = settings()[family] ?? {}
    const context = await createContext({ databases: { app: { ...account, ...address } } })
    const engine = await openFor(context, open())
    try {
      await expect(notesOf(context, engine)).rejects.toMatchObject({ code: 'CANNOT_WRITE' })
      expect(await engine.freeBytes()).toBeGreaterThan(0)
    } finally {
      await engine.close()
    }
  })

  it('on another machine is not known, and the plan says so', async () => {
    const { address, account } = settings()[family] ?? {}
    const context = await createContext({ databases: { app: { ...account, ...address } } })
    const engine = await openFor(context, elsewhere())
    try {
      expect(await notesOf(context, engine)).toEqual([expect.stringContaining('free space there is not known')])
      expect(await engine.freeBytes()).toBeUndefined()
    } finally {
      await engine.close()
    }
  })
})

function openFor({ config, resolveSecret, directory, signal }: RestoreContext, host: Host): Promise<RestoreEngine> {
  const source = config.backup.databases['app']
  if (!source) throw new Error('no source app')
  return openEngine({ source, host, resolveSecret, redact: (text) => text, stateDirectory: directory, signal })
}
