/** The schedules in the documentation, run as they are written there: by cron's shell, and by our own scheduler. */
import { readFileSync } from 'node:fs'
import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { beforeEach, expect, it } from 'vitest'
import { parse } from 'yaml'
import { opskit, ROOT, runProgram } from '../support/opskit.ts'
import { tempDir } from '../support/temp.ts'

const page = readFileSync(`${ROOT}docs/how-to/backup.md`, 'utf8')
const cronLines = page.split('\n').filter((line) => /^[\d*]+ [\d*]+ \* \* [\d*] +cd /.test(line))
const jobs = /```yaml\n(schedule:\n[\s\S]*?)```/.exec(page)?.[1] ?? ''

let dir: string
beforeEach(async () => {
  dir = await tempDir('schedules')
  const file = join(dir, 'app.db')
  const database = new DatabaseSync(file)
  database.exec('CREATE TABLE t (v); INSERT INTO t VALUES (1)')
  database.close()
  for (const name of ['etc', 'www']) {
    await mkdir(join(dir, name))
    await writeFile(join(dir, name, 'file'), name)
  }
  const config = {
    state: { dir: 'state' },
    backup: {
      repository: 'repository',
      databases: { app: { type: 'sqlite', file } },
      config: { web: { paths: [join(dir, 'etc')] } },
      static: { www: { paths: [join(dir, 'www')], full_every: '7d' } },
    },
    ...(parse(jobs) as object),
  }
  await writeFile(join(dir, 'opskit.yaml'), JSON.stringify(config))
})

const listed = async () =>
  (
    JSON.parse((await opskit('backup', ['list', '--json'], { cwd: dir })).stdout) as { backups: { id: string }[] }
  ).backups
    .map(({ id }) => id.replace(/\/[^/]+$/, ''))
    .sort()

const ALL = ['config/web', 'database/app', 'static/www']

it('every line for cron works in the bare environment that cron gives', async () => {
  expect(cronLines).toHaveLength(5)
  for (const name of ['scripts', 'node_modules']) await symlink(join(ROOT, name), join(dir, name))
  for (const line of cronLines) {
    const command = line.replace(/^(?:\S+ ){5} */, '').replaceAll('/opt/opskit', dir)
    const env = ['env', '-i', `HOME=${dir}`, 'LOGNAME=root', 'PATH=/usr/bin:/bin', 'SHELL=/bin/sh'] as const
    const ran = await runProgram([...env, '/bin/sh', '-c', command])
    expect({ command, ...ran }).toMatchObject({ exitCode: 0, stderr: '' })
  }
  expect(await listed()).toEqual(ALL)
})

it('every job for the scheduler works', async () => {
  const names = (parse(jobs) as { schedule: { jobs: { name: string }[] } }).schedule.jobs.map(({ name }) => name)
  expect(names).toEqual(['backup-database', 'backup-config', 'backup-static', 'prune', 'drill'])
  for (const name of names) {
    expect({ name, ...(await opskit('schedule', ['trigger', name], { cwd: dir })) }).toMatchObject({ exitCode: 0 })
  }
  expect(await listed()).toEqual(ALL)
})
