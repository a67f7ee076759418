/** Who is told when a command about backups fails: once, at once, and again when it is over. */
import { execFileSync } from 'node:child_process'
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { opskit } from '../support/opskit.ts'
import { mountMemory } from '../support/file-system.ts'
import { startReceiver, type Receiver } from '../support/receiver.ts'
import { tempDir } from '../support/temp.ts'
import { waitFor } from '../support/wait.ts'

let dir: string
let hook: Receiver

beforeEach(async () => {
  dir = await tempDir('told')
  hook = await startReceiver()
  onTestFinished(() => hook.close())
  await mkdir(join(dir, 'srv'))
  await writeFile(join(dir, 'srv/index.html'), 'hello')
  await configure()
})

async function configure(more: object = {}): Promise<void> {
  const text = JSON.stringify({
    name: 'ops-1',
    state: { dir: 'state' },
    notify: { channels: { hook: { type: 'webhook', url: hook.url, allow_private_redirects: true } } },
    backup: { repository: 'repository', static: { www: { paths: ['srv'].map((one) => join(dir, one)) } } },
    schedule: { jobs: [{ name: 'nightly', cron: '0 2 * * *', action: 'backup.static', params: { name: 'www' } }] },
    ...more,
  })
  await writeFile(join(dir, 'opskit.yaml'), text)
}

const run = (command: string, ...args: string[]) => opskit(command, args, { cwd: dir })

const told = () =>
  hook.requests.map((_, index) => {
    const { status, severity, title } = hook.json(index)
    return `${String(status)} ${String(severity)}: ${String(title)}`
  })

async function journal(): Promise<string> {
  const { DatabaseSync } = await import('node:sqlite')
  const database = new DatabaseSync(join(dir, 'state/journal.db'), { readOnly: true })
  try {
    return database
      .prepare('SELECT * FROM events ORDER BY 1')
      .all()
      .map((row) => JSON.stringify(row))
      .join('\n')
  } finally {
    database.close()
  }
}

describe('a backup that fails', () => {
  it('is told with what to do, counted while it lasts, and over with the next one that succeeds', async () => {
    await rename(join(dir, 'srv'), join(dir, 'away'))
    expect(await run('backup', 'run', '--all')).toMatchObject({ exitCode: 1 })
    expect(told()).toEqual(['problem critical: backup of static/www failed'])
    expect(hook.json(0)).toMatchObject({
      action: 'backup.static',
      text: expect.stringContaining('is not there on localhost: nothing is saved') as string,
      next: 'Take it out of paths in opskit.yaml, or bring it back.',
    })
    await run('backup', 'run', 'www')
    expect(hook.requests).toHaveLength(1)
    await rename(join(dir, 'away'), join(dir, 'srv'))
    expect(await run('backup', 'run', 'www')).toMatchObject({ exitCode: 0 })
    await run('backup', 'run', 'www')
    expect(told().slice(1)).toEqual(['recovered info: backup of static/www works again'])
    expect(await journal()).toContain('backup.failed')
  })

  it('by the scheduler is told once, and what failed by hand is over when the scheduler succeeds', async () => {
    await rename(join(dir, 'srv'), join(dir, 'away'))
    await run('schedule', 'trigger', 'nightly')
    await waitFor('the message', () => hook.requests.length > 0)
    await run('backup', 'run', 'www')
    await rename(join(dir, 'away'), join(dir, 'srv'))
    await run('schedule', 'trigger', 'nightly')
    await waitFor('four messages', () => hook.requests.length >= 4)
    expect(told()).toEqual([
      'problem critical: job nightly failed',
      'problem critical: backup of static/www failed',
      ...[
        expect.stringMatching(/^recovered info: (backup of static\/www|job nightly) works again$/) as string,
        expect.stringMatching(/^recovered info: (backup of static\/www|job nightly) works again$/) as string,
      ],
    ])
  })

  it('on a full disk that holds the journal too is told all the same, ends with 73, and leaves nothing', async () => {
    const disk = await mountMemory(1)
    await configure({ state: { dir: join(disk.path, 'state') } })
    execFileSync('sh', ['-c', `head -c 2M /dev/zero > ${disk.path}/full 2>/dev/null || :`])
    const ran = await run('backup', 'run', 'www')
    expect(ran.exitCode).toBe(73)
    expect(told()).toEqual([expect.stringMatching(/^problem critical: .* failed$/)])
    await expect(readdir(join(dir, 'repository/static/www'))).rejects.toMatchObject({ code: 'ENOENT' })
  })

  it('because the name is wrong is told as news, and the journal knows', async () => {
    expect(await run('backup', 'run', 'wwww')).toMatchObject({ exitCode: 64 })
    expect(told()).toEqual(['news warning: backup of wwww failed'])
    expect(await journal()).toContain('command.failed')
  })
})

describe('what else fails', () => {
  it('a flipped bit is told by verify, by drill and by restore, each with 74; a good one takes it back', async () => {
    await run('backup', 'run', 'www')
    const [stamp = ''] = await readdir(join(dir, 'repository/static/www'))
    const file = join(dir, 'repository/static/www', stamp, 'files.tar.zst')
    const good = await readFile(file)
    const bad = Buffer.from(good)
    bad[20] = (bad[20] ?? 0) ^ 1
    await writeFile(file, bad)
    for (const args of [
      ['backup', 'verify'],
      ['backup', 'drill', '--all'],
      ['restore', 'static', 'www', '--yes'],
    ] as const) {
      expect(await run(args[0], ...args.slice(1))).toMatchObject({ exitCode: 74 })
    }
    expect(told()).toEqual([
      `problem critical: verification of static/www/${stamp} failed`,
      'problem critical: drill of static/www failed',
      'problem critical: restore of static/www failed',
    ])
    await writeFile(file, good)
    await run('backup', 'verify')
    await run('backup', 'drill', '--all')
    await rm(join(dir, 'srv/index.html'))
    expect(await run('restore', 'static', 'www', '--yes')).toMatchObject({ exitCode: 0 })
    expect(told().slice(3)).toEqual([
      `recovered info: verification of static/www/${stamp} works again`,
      'recovered info: drill of static/www works again',
      'recovered info: restore of static/www works again',
    ])
  })
})
