/** A restore that is killed, at any moment: afterwards the old state or the new one, and the command that says which. */
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { MARIADB_ROOT_PASSWORD, startMariaDb, type MariaDb } from '../../support/mariadb.ts'
import { NODE, opskit, ROOT } from '../../support/opskit.ts'
import { makeTempDir } from '../../support/temp.ts'
import { waitFor } from '../../support/wait.ts'

const execute = promisify(execFile)
let server: MariaDb
let temp: { path: string; remove(): Promise<void> }
let config: string

let nasty: string
/** A backup of it as the fixture makes it, and its contents; made once. */
let saved: string

beforeAll(async () => {
  server = await startMariaDb()
  nasty = await readFile(new URL('../fixtures/nasty-mariadb.sql', import.meta.url), 'utf8')
  await reset()
  temp = await makeTempDir('interrupted')
  const directory = temp.path
  config = join(directory, 'opskit.yaml')
  await writeFile(join(directory, 'password'), MARIADB_ROOT_PASSWORD, { mode: 0o600 })
  await writeFile(
    config,
    `state: { dir: ${directory}/state }
backup:
  repository: ${directory}/backups
  databases:
    app: { type: mariadb, socket: ${server.socket}, user: root, password: { file: ${directory}/password }, databases: [app] }
`,
  )
  expect((await run('backup', ['run', 'app'])).stderr).toBe('')
  saved = await contents()
})
afterAll(async () => {
  await server?.stop()
  await temp?.remove()
})

beforeEach(reset)

async function reset(): Promise<void> {
  for (const name of await databases()) await server.sql(`DROP DATABASE \`${name}\``)
  await server.sql('CREATE DATABASE app')
  await client(nasty)
}

async function client(input: string): Promise<void> {
  const running = execute('mariadb', ['-uroot', `-p${MARIADB_ROOT_PASSWORD}`, '-S', server.socket, 'app'])
  running.child.stdin?.end(input)
  await running
}

async function contents(database = 'app'): Promise<string> {
  const options = [
    '--skip-dump-date',
    '--skip-comments',
    '--hex-blob',
    '--routines',
    '--triggers',
    '--events',
    '--order-by-primary',
  ]
  const args = ['-uroot', `-p${MARIADB_ROOT_PASSWORD}`, '-S', server.socket, ...options, database]
  return (await execute('mariadb-dump', args, { maxBuffer: 64 * 1024 ** 2, encoding: 'latin1' })).stdout
}

const databases = async () =>
  (await server.sql("SHOW DATABASES WHERE `Database` NOT IN ('mysql','sys','information_schema','performance_schema')"))
    .map((row) => String(Object.values(row)[0]))
    .sort()

const run = (command: string, args: readonly string[]) =>
  opskit(command, [...args, '--config', config], { timeoutMs: 60_000 })

function begin(args: readonly string[]): ChildProcess {
  return spawn(NODE, [`${ROOT}scripts/restore.ts`, ...args, '--config', config], { stdio: 'ignore', detached: true })
}

const MOVING =
  "SELECT id FROM information_schema.processlist WHERE state = 'Waiting for table metadata lock' AND info LIKE '%RENAME TABLE%'"

/** The tables are asked for: the objects of the old ones are gone by then. */
const isMoving = async () => (await server.sql(MOVING)).length > 0

/** Kills it and waits until nothing it started is at work any more. */
async function kill(child: ChildProcess): Promise<void> {
  const gone = child.exitCode === null ? once(child, 'exit') : Promise.resolve([])
  child.kill('SIGKILL')
  await gone
  await waitFor('the clients to end', async () => {
    const rows = await server.sql(
      "SELECT COUNT(*) AS n FROM information_schema.processlist WHERE user = 'root' AND id <> CONNECTION_ID()",
    )
    return Number(rows[0]?.['n']) === 0
  })
}

describe('a restore that is killed', () => {
  it('leaves the old database as it was when it dies while it loads, and says so', async () => {
    await server.sql('USE app', 'DELETE FROM ring_c')
    const before = await contents()
    const child = begin(['database', 'app', '--yes'])
    await waitFor(
      'the scratch database',
      async () => (await databases()).some((name) => name.startsWith('opskit_restore_')),
      30_000,
    )
    await kill(child)
    expect(await contents()).toBe(before)
    const again = await run('restore', ['database', 'app', '--yes'])
    expect(again).toMatchObject({ exitCode: 75, stderr: expect.stringContaining('app is untouched') as string })
    const undone = await run('restore', ['--undo', '--yes'])
    expect(undone).toMatchObject({ exitCode: 0 })
    expect(await databases()).toEqual(['app'])
    expect(await contents()).toBe(before)
  })

  it.each(['undo', 'resume'] as const)(
    'can be taken either way when it dies in the middle of the swap: %s',
    async (direction) => {
      await server.sql('USE app', 'DELETE FROM ring_c', 'DROP VIEW a_view_on_v1', 'DROP PROCEDURE fill')
      const old = await contents()
      // A transaction that holds a table stops the swap after the triggers are gone and before the tables move.
      const holder = spawn('mariadb', ['-uroot', `-p${MARIADB_ROOT_PASSWORD}`, '-S', server.socket, 'app'], {
        stdio: ['pipe', 'ignore', 'ignore'],
      })
      onTestFinished(() => void holder.kill())
      holder.stdin.write('BEGIN; SELECT * FROM ring_a;\n')
      const child = begin(['database', 'app', '--yes'])
      await waitFor('the swap to wait for it', isMoving, 40_000)
      const gone = once(child, 'exit')
      child.kill('SIGKILL')
      await gone
      const refused = await run('restore', ['database', 'app', '--yes'])
      expect(refused).toMatchObject({ exitCode: 75, stderr: expect.stringContaining('--resume') as string })
      // Its client still waits to move the tables, and does so as soon as it can: that must not come in between.
      const finishing = run('restore', [`--${direction}`, '--yes'])
      await delay(1_000)
      holder.stdin.end()
      await once(holder, 'exit')
      const finished = await finishing
      expect(finished).toMatchObject({ exitCode: 0 })
      expect(finished.stderr).not.toContain('error')
      expect(await contents()).toBe(direction === 'undo' ? old : saved)
      expect((await databases()).filter((name) => name.startsWith('opskit_'))).toEqual([])
      expect(await run('restore', ['--undo', '--yes'])).toMatchObject({
        exitCode: 0,
        stdout: expect.stringContaining('no restore is unfinished') as string,
      })
    },
  )

  it('takes back everything it had dropped when the server ends its swap', async () => {
    await server.sql('USE app', 'DELETE FROM ring_c')
    const old = await contents()
    const holder = spawn('mariadb', ['-uroot', `-p${MARIADB_ROOT_PASSWORD}`, '-S', server.socket, 'app'], {
      stdio: ['pipe', 'ignore', 'ignore'],
    })
    onTestFinished(() => void holder.kill())
    holder.stdin.write('BEGIN; SELECT * FROM ring_a;\n')
    const restoring = run('restore', ['database', 'app', '--yes'])
    await waitFor('the swap to wait for it', isMoving, 40_000)
    for (const { id } of await server.sql(MOVING)) await server.sql(`KILL ${String(id)}`)
    holder.stdin.end()
    expect(await restoring).toMatchObject({ stderr: expect.stringContaining('everything was undone') as string })
    expect(await contents()).toBe(old)
    expect(await databases()).toEqual(['app'])
  })

  it('is the old one or the new one wherever it dies', async () => {
    await server.sql('USE app', 'DELETE FROM ring_c')
    const old = await contents()
    for (const afterMs of [900, 1_600]) {
      const child = begin(['database', 'app', '--yes'])
      await delay(afterMs)
      await kill(child)
      const undone = await run('restore', ['--undo', '--yes'])
      expect(undone.exitCode).toBe(0)
      expect([old, saved]).toContain(await contents())
      expect((await databases()).filter((name) => name.startsWith('opskit_'))).toEqual([])
    }
  })
})
