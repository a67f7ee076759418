/** The command as operators run it: its own process, its lines, its JSON and its exit codes. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { opskit, type Ran } from '../support/opskit.ts'
import { tempDir } from '../support/temp.ts'

let dir: string
beforeEach(async () => {
  dir = await tempDir('backup-cli')
  await mkdir(join(dir, 'srv'))
  await writeFile(join(dir, 'srv/index.html'), 'hello')
  await configure({ www: { paths: [join(dir, 'srv')], full_every: '7d' }, api: { paths: [join(dir, 'srv')] } })
})

async function configure(sets: object, more: object = {}): Promise<void> {
  const backup = { repository: 'repository', static: sets, ...more }
  await writeFile(join(dir, 'opskit.yaml'), JSON.stringify({ state: { dir: join(dir, 'state') }, backup }))
}

const backup = (...args: string[]): Promise<Ran> => opskit('backup', args, { cwd: dir })

describe('backup run', () => {
  it('prints one line for each, and the list shows them against the RPO', async () => {
    expect((await backup('list')).stdout).toContain('There are no backups yet in')
    const ran = await backup('run', '--all')
    expect(ran).toMatchObject({ exitCode: 0, stderr: '' })
    expect(ran.stdout.trim().split('\n')).toEqual([
      expect.stringMatching(/^static\/www\/\d{8}T\d{6}Z: \d+ B, 1 file of 5 B, in .+$/),
      expect.stringMatching(/^static\/api\/\d{8}T\d{6}Z: /),
      '2 saved, each verified.',
    ])
    const { stdout } = await backup('list')
    expect(stdout).toMatch(/^WARNING: 2 warning, 2 ok on .+ — no backup of static\/www was ever restored in a drill\n/)
    expect(stdout).toMatch(/\nnext: npx zx scripts\/backup.ts drill static\/www\n$/)
    expect(stdout).toMatch(/static\/www\/\d{8}T\d{6}Z .* of 1 d 2 h .* ok .* ago .*never/)
    const shown = await backup('show', 'www')
    expect(shown.stdout).toMatch(/verified \(checksums\)/)
    expect(shown.exitCode).toBe(0)
  })

  it('goes on after one that fails, and ends with its code', async () => {
    await configure({ bad: { paths: ['/nowhere'] }, www: { paths: [join(dir, 'srv')] } })
    const { exitCode, stdout, stderr } = await backup('run', '--all')
    expect(exitCode).toBe(1)
    expect(stderr).toBe(
      'error: static/bad: /nowhere is not there on localhost: nothing is saved\n  next: Take it out of paths in opskit.yaml, or bring it back.\n',
    )
    expect(stdout).toMatch(/^static\/www\//)
    expect(stdout).toMatch(/\n1 saved, 1 FAILED: static\/bad\n {2}next: npx zx scripts\/backup.ts run static\/bad\n$/)
  })

  it('--json is one document, with what was made and what failed', async () => {
    await configure({ bad: { paths: ['/nowhere'] }, www: { paths: [join(dir, 'srv')] } })
    const { exitCode, stdout } = await backup('run', '--all', '--json', '--output', join(dir, 'report.json'))
    expect(exitCode).toBe(1)
    expect(JSON.parse(stdout)).toMatchObject({
      backups: [{ kind: 'static', name: 'www', verified: true, status: 'ok' }],
      failures: [{ name: 'static/bad', code: 'FAILED', exitCode: 1 }],
    })
  })

  it('--dry-run shows the plan and leaves nothing', async () => {
    const { exitCode, stdout } = await backup('run', 'www', '--dry-run')
    expect(exitCode).toBe(0)
    expect(stdout).toContain('Nothing has been changed.')
    expect((await backup('list', '--json')).stdout).toContain('"backups": []')
  })

  it.each([
    [['run'], 'say which backups'],
    [['run', 'wwww'], 'Did you mean www?'],
    [['run', '--all', 'www'], 'say which backups'],
    [['show', 'www'], 'the repository holds none'],
    [['list', 'wwww'], 'there is no backup "wwww"'],
    [['copy', '--all'], 'nowhere to copy'],
    [['pin', 'www'], '--reason'],
    [['runn'], 'run'],
  ])('%j is wrong usage', async (args, message) => {
    const { exitCode, stderr } = await backup(...args)
    expect({ exitCode, stderr }).toMatchObject({ exitCode: 64, stderr: expect.stringContaining(message) as string })
  })
})

describe('backup prune', () => {
  it('--dry-run gives every backup its verdict with the reason; without it they go', async () => {
    await configure({ www: { paths: [join(dir, 'srv')] } }, { retention: { last: 1 } })
    await backup('run', 'www')
    await backup('run', 'www')
    const dry = await backup('prune', '--dry-run')
    expect(dry.stdout).toMatch(/keep +static\/www.*the newest good one; the newest verified one; 1 of last 1/)
    expect(dry.stdout).toMatch(/REMOVE +static\/www.*no rule keeps it \(last 1\)/)
    expect(dry.stdout).toContain('1 stay, 1 would go')
    const { exitCode, stdout } = await backup('prune')
    expect(exitCode).toBe(0)
    expect(stdout).toContain('the policy keeps 1 of 2')
    expect(JSON.parse((await backup('list', '--json')).stdout)).toMatchObject({ backups: [{ name: 'www' }] })
  })
})

describe('diagnose', () => {
  it('says the same of the backups as the list', async () => {
    const look = async () => {
      const { stdout } = await opskit('diagnose', ['--only', 'backup', '--json'], { cwd: dir })
      const { findings } = JSON.parse(stdout) as { findings: { check: string; subject: string; severity: string }[] }
      return findings.map(({ check, subject, severity }) => `${check} ${subject} ${severity}`).sort()
    }
    expect(await look()).toEqual(['backup.age static/api critical', 'backup.age static/www critical'])
    await backup('run', 'www')
    expect(await look()).toEqual([
      'backup.age static/api critical',
      'backup.age static/www ok',
      'backup.drill static/www warning',
    ])
  })
})
