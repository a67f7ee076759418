/** Single tables of PostgreSQL: a restore, or the undoing of one, that is killed while the rows are copied. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { NODE, opskit, ROOT } from '../../support/opskit.ts'
import { startPostgres, type Postgres } from '../../support/postgres.ts'
import { tempDir } from '../../support/temp.ts'
import { waitFor } from '../../support/wait.ts'

let server: Postgres
let dir: string
beforeAll(async () => {
  server = await startPostgres()
})
afterAll(() => server?.stop())

const where = () => ['-qAtX', '-h', server.socket, '-p', String(server.port), '-U', 'postgres', '-v', 'ON_ERROR_STOP=1']
const psql = (database: string, sql: string) =>
  execFileSync('psql', [...where(), '-d', database, '-c', sql], { encoding: 'utf8' }).trim()
const run = (command: string, ...args: string[]) => opskit(command, args, { cwd: dir, timeoutMs: 50_000 })
const begin = (...args: string[]) =>
  spawn(NODE, [`${ROOT}scripts/restore.ts`, ...args, '--yes'], { cwd: dir, stdio: 'ignore' })

const WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"

/** A reader who does not end keeps the rows from being replaced. */
async function read(): Promise<ChildProcess> {
  const reader = spawn('psql', [...where(), '-d', 'app'], { stdio: ['pipe', 'ignore', 'ignore'] })
  reader.stdin.write('BEGIN; SELECT 1 FROM t LIMIT 1;\n')
  const reads = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' AND query ~ 'FROM t LIMIT'"
  await waitFor('the reader', () => psql('postgres', reads) === '1')
  return reader
}

/** Kills it as soon as it waits for the reader; its client lives on and still waits. */
async function killWaiting(child: ChildProcess, pattern: string): Promise<void> {
  await waitFor(
    'it to wait for the table',
    () => psql('postgres', `${WAITING} AND query ~ '${pattern}'`) === '1',
    40_000,
  )
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
}

/** Kills it when the rows are swapped and it is not over: the scratch database cannot be dropped while somebody holds it. */
async function killSwapped(child: ChildProcess): Promise<void> {
  const reader = await read()
  await waitFor('it to wait', () => psql('postgres', `${WAITING} AND query ~ 'LOCK TABLE'`) === '1', 40_000)
  const scratch = psql('postgres', "SELECT datname FROM pg_database WHERE datname ~ 'opskit'")
  const holder = spawn('psql', [...where(), '-d', 'postgres'], { stdio: ['pipe', 'ignore', 'ignore'] })
  holder.stdin.write(`BEGIN; COMMENT ON DATABASE ${scratch} IS 'held';\n`)
  const holds = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' AND query ~ '^COMMENT'"
  await waitFor('the scratch database to be held', () => psql('postgres', holds) === '1')
  reader.kill('SIGKILL')
  const drops = "FROM pg_stat_activity WHERE state = 'active' AND query ~ '^DROP DATABASE'"
  await waitFor('it to drop the scratch database', () => psql('postgres', `SELECT count(*) ${drops}`) === '1')
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
  psql('postgres', `SELECT pg_terminate_backend(pid) ${drops}`)
  await waitFor('the server to give up', () => psql('postgres', `SELECT count(*) ${drops}`) === '0')
  holder.kill('SIGKILL')
}

async function finish(direction: string, reader: ChildProcess): Promise<void> {
  const finishing = run('restore', `--${direction}`, '--yes')
  await waitFor('it to wait for the client that is left', () => psql('postgres', WAITING) === '2', 20_000)
  reader.kill('SIGKILL')
  expect(await finishing).toMatchObject({ exitCode: 0 })
}

const state = () => ({
  rows: psql('app', 'SELECT count(*) FROM t'),
  triggers: psql('app', "SELECT string_agg(tgenabled::text, '') FROM pg_trigger WHERE tgrelid = 't'::regclass"),
  kept: psql('app', "SELECT count(*) FROM pg_namespace WHERE nspname ~ 'before'"),
  scratch: psql('postgres', "SELECT count(*) FROM pg_database WHERE datname ~ 'opskit'"),
})
const OLD = { rows: '7', triggers: 'O', kept: '0', scratch: '0' }
const restored = (rows: number) => ({ rows: String(rows), triggers: 'O', kept: '1', scratch: '0' })

async function backUp(rows: number): Promise<void> {
  psql('postgres', 'DROP DATABASE IF EXISTS app WITH (FORCE)')
  psql('postgres', 'CREATE DATABASE app')
  psql(
    'app',
    `CREATE TABLE t AS SELECT i AS id, md5(i::text) AS v FROM generate_series(1, ${rows}) i;
     CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()`,
  )
  const source = { type: 'postgresql', socket: server.socket, port: server.port, user: 'postgres', databases: ['app'] }
  const config = { state: { dir: 'state' }, backup: { repository: 'repository', databases: { app: source } } }
  await writeFile(join(dir, 'opskit.yaml'), JSON.stringify(config))
  expect(await run('backup', 'run', 'app')).toMatchObject({ exitCode: 0 })
  psql('app', 'DELETE FROM t WHERE id > 7')
}

describe('a restore of a table', () => {
  beforeEach(async () => {
    dir = await tempDir('killed')
  })

  // What its client has not got yet, it cannot make good: it ends without a commit. A small table it may have whole.
  it.each([
    ['resume', 20_000],
    ['undo', 100],
  ])('killed while it waits for the table: --%s, with %i rows', async (direction, rows) => {
    await backUp(rows)
    const reader = await read()
    await killWaiting(begin('database', 'app', '--table', 't'), 'LOCK TABLE')
    await finish(direction, reader)
    expect(state()).toEqual(direction === 'undo' ? OLD : restored(rows))
    expect((await run('restore', '--undo', '--yes')).stdout).toContain('no restore is unfinished')
  })

  it.each(['undo', 'resume'])('whose undoing is killed, too: --%s', async (direction) => {
    await backUp(100)
    await killSwapped(begin('database', 'app', '--table', 't'))
    expect(psql('app', 'SELECT count(*) FROM t')).toBe('100')
    const second = await read()
    await killWaiting(begin('--undo'), 'LOCK TABLE')
    await finish(direction, second)
    expect(state()).toEqual(direction === 'undo' ? OLD : restored(100))
    expect((await run('restore', '--undo', '--yes')).stdout).toContain('no restore is unfinished')
  })
})
