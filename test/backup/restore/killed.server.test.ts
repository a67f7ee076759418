/** PostgreSQL and files: a restore that is killed leaves the old or the new, and says how to go on. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { NODE, opskit, ROOT } from '../../support/opskit.ts'
import { startPostgres, type Postgres } from '../../support/postgres.ts'
import { tempDir } from '../../support/temp.ts'
import { waitFor } from '../../support/wait.ts'

let dir: string

const shell = (script: string) =>
  execFileSync('bash', ['--norc', '-euo', 'pipefail', '-c', script], { encoding: 'utf8' })
const run = (command: string, ...args: string[]) => opskit(command, args, { cwd: dir, timeoutMs: 50_000 })
const begin = (...args: string[]) =>
  spawn(NODE, [`${ROOT}scripts/restore.ts`, ...args, '--yes'], { cwd: dir, stdio: 'ignore' })

async function configure(backup: () => object): Promise<void> {
  dir = await tempDir('killed')
  const config = { state: { dir: 'state' }, backup: { repository: 'repository', ...backup() } }
  await writeFile(join(dir, 'opskit.yaml'), JSON.stringify(config))
}

async function kill(child: ChildProcess): Promise<void> {
  const gone = child.exitCode === null ? once(child, 'exit') : Promise.resolve([])
  child.kill('SIGKILL')
  await gone
}

/** As when the machine goes down: everything that it has started, too. */
async function killAll(child: ChildProcess): Promise<void> {
  const parents = new Map<number, number>()
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
      parents.set(Number(pid), Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[1]))
    } catch {
      // It has ended in between.
    }
  }
  const below = (pid: number): boolean => {
    const parent = parents.get(pid)
    return parent !== undefined && (parent === child.pid || below(parent))
  }
  const found = [...parents.keys()].filter(below)
  child.kill('SIGSTOP')
  for (const pid of found) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // Likewise.
    }
  }
  await kill(child)
}

async function expectRefused(what: readonly string[]): Promise<void> {
  const refused = await run('restore', ...what, '--yes')
  expect(refused).toMatchObject({ exitCode: 75, stderr: expect.stringContaining('--resume') as string })
}

async function expectOver(): Promise<void> {
  expect((await run('restore', '--undo', '--yes')).stdout).toContain('no restore is unfinished')
}

describe('PostgreSQL', () => {
  let server: Postgres
  beforeAll(async () => {
    server = await startPostgres()
  })
  afterAll(() => server?.stop())

  const psql = (database: string, sql: string) =>
    shell(`psql -qAtX -v ON_ERROR_STOP=1 -h ${server.socket} -p ${server.port} -U postgres -d ${database} -c "${sql}"`)
  const databases = () => psql('postgres', "SELECT datname FROM pg_database WHERE datname ~ 'app|opskit' ORDER BY 1")
  const count = () => psql('app', 'SELECT count(*) FROM t').trim()

  beforeEach(async () => {
    for (const name of databases().split('\n').filter(Boolean))
      psql('postgres', `DROP DATABASE \\"${name}\\" WITH (FORCE)`)
    psql('postgres', 'CREATE DATABASE app')
    psql('app', 'CREATE TABLE t AS SELECT i AS id, md5(i::text) AS v FROM generate_series(1, 20000) i')
    const source = {
      type: 'postgresql',
      socket: server.socket,
      port: server.port,
      user: 'postgres',
      databases: ['app'],
    }
    await configure(() => ({ databases: { app: source } }))
    expect(await run('backup', 'run', 'app')).toMatchObject({ exitCode: 0 })
    psql('app', 'DELETE FROM t WHERE id > 7')
  })

  it('killed while it loads: untouched, and --undo takes the scratch database away', async () => {
    const child = begin('database', 'app')
    await waitFor('the scratch database', () => databases().includes('opskit_restore_'), 30_000)
    await kill(child)
    expect(count()).toBe('7')
    await expectRefused(['database', 'app'])
    expect(await run('restore', '--undo', '--yes')).toMatchObject({ exitCode: 0 })
    expect([count(), databases()]).toEqual(['7', 'app\n'])
    await expectOver()
  })

  it.each(['undo', 'resume'])('killed in the middle of the swap, when nobody may come in: --%s', async (direction) => {
    // Whoever changes the comment of a database keeps others from renaming it.
    const holder = spawn('psql', ['-qX', '-h', server.socket, '-p', String(server.port), '-U', 'postgres'], {
      stdio: ['pipe', 'ignore', 'ignore'],
    })
    const child = begin('database', 'app')
    await waitFor('the scratch database', () => databases().includes('opskit_restore_'), 30_000)
    holder.stdin.write("BEGIN; COMMENT ON DATABASE app IS 'held';\n")
    const isWaiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ 'RENAME'"
    await waitFor('the swap to wait', () => psql('postgres', isWaiting).trim() === '1', 40_000)
    await kill(child)
    await expectRefused(['database', 'app'])
    const finishing = run('restore', `--${direction}`, '--yes')
    await delay(500)
    holder.kill('SIGKILL')
    expect(await finishing).toMatchObject({ exitCode: 0 })
    expect(count()).toBe(direction === 'undo' ? '7' : '20000')
    expect(databases()).toMatch(direction === 'undo' ? /^app\n$/ : /^app\napp_before_\w+\n$/)
    await expectOver()
  })
})

describe('files', () => {
  const tree = () => join(dir, 'srv')
  const DIRECTORIES = 60
  const contents = () => shell(`cd ${tree()} && cat */a */b | sort | uniq -c | sed 's/^ *//'`).trim()

  beforeEach(async () => {
    await configure(() => ({ static: { www: { paths: [tree()] } } }))
    const path = tree()
    shell(
      `for i in $(seq ${DIRECTORIES}); do mkdir -p ${path}/$i; echo new > ${path}/$i/a; echo new > ${path}/$i/b; done`,
    )
    expect(await run('backup', 'run', 'www')).toMatchObject({ exitCode: 0 })
    shell(`for i in $(seq ${DIRECTORIES}); do echo old > ${path}/$i/a; echo old > ${path}/$i/b; done`)
  })

  it.each([
    ['undo', `${2 * DIRECTORIES} old`],
    ['resume', `${2 * DIRECTORIES} new`],
  ])('killed with everything it started while files are put in place: each is whole, and --%s', async (how, then) => {
    const child = begin('static', 'www')
    await waitFor('the first new file', () => contents().includes('new'), 30_000)
    await killAll(child)
    // Each file is the old one or the new one; none is missing, none is half.
    expect(contents()).toMatch(/^\d+ new(?:\n\d+ old)?$/)
    await expectRefused(['static', 'www'])
    expect(await run('restore', `--${how}`, '--yes')).toMatchObject({
      exitCode: 0,
      stderr: expect.not.stringContaining('error') as string,
    })
    expect(contents()).toBe(then)
    expect(readdirSync(dir).filter((name) => name.startsWith('.opskit-restore'))).toEqual([])
    expect(existsSync(tree())).toBe(true)
    await expectOver()
  })
})
