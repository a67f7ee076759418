/** Whole runs against real disks that are full, read-only or shared, and processes that are killed. */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { openRepository } from '../../../scripts/lib/backup/repository/open.ts'
import { readChecksumProblems } from '../../../scripts/lib/backup/repository/checksums.ts'
import { runGroup } from '../../../scripts/lib/backup/run/run.ts'
import { findGroup, seriesLease } from '../../../scripts/lib/backup/run/sources.ts'
import { mountMemory } from '../../support/mounts.ts'
import { tempDir } from '../../support/temp.ts'
import { waitFor } from '../../support/wait.ts'
import { act, failureOf, makeContext } from '../context.ts'

let dir: string
let tree: string
let repositoryPath: string
beforeEach(async () => {
  dir = await tempDir('run')
  tree = join(dir, 'srv')
  repositoryPath = join(dir, 'repository')
  await mkdir(tree)
  await writeFile(join(tree, 'index.html'), 'hello')
})

const contextFor = (backup: object = {}, change = {}) =>
  makeContext({
    config: { backup: { repository: repositoryPath, static: { www: { paths: [tree] } }, ...backup } },
    stateDir: join(dir, 'state'),
    change,
  })
const repository = () => openRepository(repositoryPath)

/** Every file below the repository, hidden ones too. */
function filesIn(path: string): string[] {
  return existsSync(path)
    ? readdirSync(path, { recursive: true, encoding: 'utf8' }).filter((name) => name !== 'README.md')
    : []
}

/** Nothing is listed that is not whole: every checksum is right, and there are no leftovers. */
async function expectSound(count: number): Promise<void> {
  const entries = await repository().list()
  expect(entries).toHaveLength(count)
  for (const entry of entries) expect(await readChecksumProblems(entry.path, entry.manifest.files)).toEqual([])
  expect(await repository().problems()).toEqual([])
  expect(filesIn(repositoryPath).filter((name) => /\/\./.test(name))).toEqual([])
}

describe('a run', () => {
  it('publishes a verified backup and tells the journal', async () => {
    const context = await contextFor()
    const result = await act(context, 'backup.static', { name: 'www' })
    expect(result.steps[0]?.message).toMatch(/^static\/www\/\d{8}T\d{6}Z: .*, 1 file of 5 B, in /)
    const [entry] = await repository().list()
    expect(entry).toMatchObject({ kind: 'static', name: 'www', manifest: { host: 'this-host', status: 'ok' } })
    expect(entry?.verifiedAt).toBeGreaterThan(0)
    expect(context.journal.events({ kind: 'backup' })).toMatchObject([{ kind: 'backup.published', result: 'ok' }])
    await expectSound(1)
  })

  it('of a static set with full_every is incremental until the full one is too old', async () => {
    const backup = { static: { www: { paths: [tree], full_every: '1h' } } }
    let nowMs = Date.UTC(2026, 10, 20, 2)
    const { systemClock } = await import('../../../scripts/lib/core/clock.ts')
    const context = await contextFor(backup, { clock: { ...systemClock, now: () => nowMs } })
    for (const minutes of [0, 20, 59, 61]) {
      nowMs = Date.UTC(2026, 10, 20, 2, minutes)
      await act(context, 'backup.static', { name: 'www' })
    }
    const parents = (await repository().list()).map(({ manifest }) => manifest.parent?.split('/')[2])
    expect(parents).toEqual([undefined, '20261120T020000Z', '20261120T020000Z', undefined])
  })

  it('is a full one when the index of the last full one is damaged, and says so', async () => {
    const context = await contextFor({ static: { www: { paths: [tree], full_every: '1d' } } })
    await act(context, 'backup.static', { name: 'www' })
    const [full] = await repository().list()
    const index = join(full?.path ?? '', 'index.jsonl.zst')
    const bytes = await readFile(index)
    await writeFile(index, bytes.fill(0, 10, 20))
    await act(context, 'backup.static', { name: 'www' })
    const [newest] = await repository().list()
    expect(newest?.manifest.parent).toBeUndefined()
    expect(newest?.manifest.notes?.[0]).toContain('saved in full: the index of static/www/')
  })

  it('needs an identity to build on an encrypted full one; without it every one is full', async () => {
    execFileSync('age-keygen', ['-o', join(dir, 'key')], { stdio: 'ignore' })
    const recipients = [execFileSync('age-keygen', ['-y', join(dir, 'key')], { encoding: 'utf8' }).trim()]
    const sets = { static: { www: { paths: [tree], full_every: '1d' } } }
    const blind = await contextFor({ ...sets, encryption: { recipients } })
    await act(blind, 'backup.static', { name: 'www' })
    await act(blind, 'backup.static', { name: 'www' })
    const [newest] = await repository().list()
    expect(newest?.manifest.notes?.[0]).toContain('no age identity is configured')
    const seeing = await contextFor({ ...sets, encryption: { recipients, identity: { file: join(dir, 'key') } } })
    await act(seeing, 'backup.static', { name: 'www' })
    expect((await repository().list())[0]?.manifest.parent).toBe(newest?.id)
  })

  it('runs the hooks around it, and the one after it also when it fails', async () => {
    const log = join(dir, 'log')
    const hooks = {
      before: [{ run: ['sh', '-c', `echo before >> ${log}`] }],
      after: [{ run: ['sh', '-c', `echo after >> ${log}`] }],
    }
    const context = await contextFor({
      static: { www: { paths: [tree], hooks }, bad: { paths: ['/nowhere'], hooks } },
    })
    await act(context, 'backup.static', { name: 'www' })
    expect(await readFile(log, 'utf8')).toBe('before\nafter\n')
    expect((await failureOf(act(context, 'backup.static', { name: 'bad' }))).message).toContain('/nowhere is not there')
    expect(await readFile(log, 'utf8')).toBe('before\nafter\nbefore\nafter\n')
  })

  it('that a hook refuses is not made', async () => {
    const hooks = { before: [{ run: ['sh', '-c', 'echo not now >&2; exit 3'] }], after: [] }
    const context = await contextFor({ static: { www: { paths: [tree], hooks } } })
    const failure = await failureOf(act(context, 'backup.static', { name: 'www' }))
    expect(failure).toMatchObject({ code: 'FAILED', message: expect.stringContaining('not now') as string })
    await expectSound(0)
  })

  it('whose last hook fails is whole, with a warning', async () => {
    const hooks = { before: [], after: [{ run: ['sh', '-c', 'echo cannot start >&2; exit 3'] }] }
    await act(await contextFor({ static: { www: { paths: [tree], hooks } } }), 'backup.static', { name: 'www' })
    const [entry] = await repository().list()
    expect(entry?.manifest.status).toBe('warning')
    expect(entry?.manifest.warnings[0]).toContain('cannot start')
  })

  it('that takes too long ends by its own deadline', async () => {
    const hooks = { before: [{ run: ['sleep', '60'] }], after: [] }
    const context = await contextFor({ static: { www: { paths: [tree], hooks, timeout: '300ms' } } })
    const failure = await failureOf(act(context, 'backup.static', { name: 'www' }))
    expect(failure).toMatchObject({ code: 'TIMEOUT', message: expect.stringContaining('300 ms') as string })
    await expectSound(0)
  })

  it('of everything goes on after one that fails, and fails with its code', async () => {
    const context = await contextFor({ static: { bad: { paths: ['/nowhere'] }, www: { paths: [tree] } } })
    const failure = await failureOf(act(context, 'backup.run', { all: true }))
    expect(failure.message).toContain('1 of 2 backups failed: static/bad: /nowhere is not there')
    await expectSound(1)
  })
})

describe('a group', () => {
  const groups = { shop: ['config/web', 'static/www'] }
  it('is published together and knows itself', async () => {
    const context = await contextFor({ config: { web: { paths: [tree] } }, groups })
    await act(context, 'backup.run', { group: 'shop' })
    const entries = await repository().list()
    expect(new Set(entries.map(({ manifest }) => manifest.group)).size).toBe(1)
    expect(entries[0]?.manifest.group).toMatch(/^shop\//)
    await expectSound(2)
  })

  it('of which one fails leaves nothing, and names the one', async () => {
    const context = await contextFor({ config: { web: { paths: ['/nowhere'] } }, groups })
    const members = findGroup(context.config, 'shop')
    const failure = await failureOf(runGroup(context, 'shop', members))
    expect(failure.message).toContain(
      'nothing of group shop is saved, because config/web failed: /nowhere is not there',
    )
    await expectSound(0)
    expect(context.journal.leases()).toEqual([])
  })
})

describe('a disk', () => {
  it('that is full at any point costs the run, says so with 73, and leaves nothing', async () => {
    const mount = await mountMemory(repositoryPath, { size: '3m' })
    onTestFinished(() => mount.unmount())
    const context = await contextFor()
    await act(context, 'backup.static', { name: 'www' })
    const [first] = await repository().list()
    for (const [index, bytes] of [20_000_000, 3_200_000, 2_950_000, 2_900_000, 2_850_000, 2_800_000].entries()) {
      execFileSync('dd', ['if=/dev/urandom', `of=${tree}/noise`, `bs=${bytes}`, 'count=1'], { stdio: 'ignore' })
      // The space check goes by the last one's size, which was small: these run into the wall.
      const failure = await failureOf(act(context, 'backup.static', { name: 'www' })).catch(() => undefined)
      if (index < 2) expect(failure).toBeDefined()
      if (failure)
        expect(failure).toMatchObject({ code: 'CANNOT_WRITE', message: expect.stringContaining('space') as string })
      const entries = await repository().list()
      expect(entries.map(({ id }) => id)).toContain(first?.id)
      await expectSound(entries.length)
      for (const entry of entries) if (entry.id !== first?.id) await repository().remove(entry)
    }
  })

  it('without room for one like the last is seen before anything starts', async () => {
    const mount = await mountMemory(repositoryPath, { size: '3m' })
    onTestFinished(() => mount.unmount())
    execFileSync('dd', ['if=/dev/urandom', `of=${tree}/noise`, 'bs=1600000', 'count=1'], { stdio: 'ignore' })
    const log = join(dir, 'log')
    const hooks = { before: [{ run: ['touch', log] }], after: [] }
    await act(await contextFor(), 'backup.static', { name: 'www' })
    const context = await contextFor({ static: { www: { paths: [tree], hooks } } })
    const failure = await failureOf(act(context, 'backup.static', { name: 'www' }))
    expect(failure.code).toBe('CANNOT_WRITE')
    expect(failure.message).toMatch(/is not begun: .* has 1\.\d MiB free, and it needs about 1\.\d MiB/)
    expect(failure.hint).toContain('prune --dry-run')
    expect(existsSync(log)).toBe(false)
  })

  it('that is mounted read-only is named', async () => {
    const mount = await mountMemory(repositoryPath, { readOnly: true })
    onTestFinished(() => mount.unmount())
    const failure = await failureOf(act(await contextFor(), 'backup.static', { name: 'www' }))
    expect(failure).toMatchObject({ code: 'CANNOT_WRITE', message: expect.stringContaining('read-only') as string })
  })
})

describe('two runs at once', () => {
  it('the second is told who holds it', async () => {
    const context = await contextFor()
    const lease = context.journal.acquire({ name: seriesLease('static', 'www'), reason: 'backup.static www by cron' })
    onTestFinished(() => lease.release())
    const second = await contextFor()
    const failure = await failureOf(act(second, 'backup.static', { name: 'www' }))
    expect(failure).toMatchObject({
      code: 'LOCKED',
      message: expect.stringContaining('backup.static www by cron') as string,
    })
    await expectSound(0)
  })

  it('of different names both succeed', async () => {
    const backup = { static: { www: { paths: [tree] }, other: { paths: [tree] } } }
    const [a, b] = [await contextFor(backup), await contextFor(backup)]
    await Promise.all([act(a, 'backup.static', { name: 'www' }), act(b, 'backup.static', { name: 'other' })])
    await expectSound(2)
  })
})

describe('prune', () => {
  it('removes what no rule keeps, and nothing of a name that is not configured', async () => {
    const context = await contextFor({ retention: { last: 1 } })
    for (let n = 0; n < 3; n += 1) await act(context, 'backup.static', { name: 'www' })
    const other = await contextFor({ static: { old: { paths: [tree] } } })
    await act(other, 'backup.static', { name: 'old' })
    const result = await act(context, 'backup.prune', {})
    expect(result.steps.map(({ title }) => title)).toEqual([
      expect.stringContaining('no rule keeps it (last 1)'),
      expect.stringContaining('no rule keeps it (last 1)'),
    ])
    expect((await repository().list()).map(({ name }) => name).sort()).toEqual(['old', 'www'])
    expect(context.journal.events({ kind: 'backup.removed' })).toHaveLength(2)
    expect((await act(context, 'backup.prune', {})).because).toBe('the policy keeps all 1 of them')
  })

  it('never orphans an incremental, and takes it away before its full one', async () => {
    const context = await contextFor({ retention: { last: 1 }, static: { www: { paths: [tree], full_every: '1d' } } })
    for (let n = 0; n < 3; n += 1) await act(context, 'backup.static', { name: 'www' })
    await act(context, 'backup.prune', {})
    expect((await repository().list()).map(({ manifest }) => manifest.parent !== undefined)).toEqual([true, false])
    await expectSound(2)
  })

  it('does not run while the name is being backed up', async () => {
    const context = await contextFor({ retention: { last: 1 } })
    for (let n = 0; n < 2; n += 1) await act(context, 'backup.static', { name: 'www' })
    const lease = (await contextFor()).journal.acquire({ name: seriesLease('static', 'www'), reason: 'a run' })
    await expect(act(context, 'backup.prune', {})).rejects.toThrow(/a run/)
    lease.release()
    await expectSound(2)
  })

  it('leaves alone what is pinned or being read', async () => {
    const { acquireUse } = await import('../../../scripts/lib/backup/run/in-use.ts')
    const context = await contextFor({ retention: { last: 1 } })
    for (let n = 0; n < 3; n += 1) await act(context, 'backup.static', { name: 'www' })
    const [, middle, oldest] = await repository().list()
    await act(context, 'backup.pin', { backup: oldest?.id, reason: 'before the migration' })
    const use = acquireUse(context.journal, middle?.id ?? '', 'restore')
    expect((await act(context, 'backup.prune', {})).changed).toBe(false)
    use.release()
    await act(context, 'backup.pin', { backup: oldest?.id })
    await act(context, 'backup.prune', {})
    await expectSound(1)
  })
})

describe('a run that is killed', () => {
  const ROOT = new URL('../../..', import.meta.url).pathname

  function start(args: readonly string[]) {
    const child = spawn(
      join(ROOT, 'node_modules/.bin/node'),
      [join(ROOT, 'scripts/backup.ts'), ...args, '--config', join(dir, 'opskit.yaml')],
      {
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    )
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()))
    return { child, ended: once(child, 'close').then(([code]) => ({ code: code as number | null, output })) }
  }

  beforeEach(async () => {
    await writeFile(
      join(dir, 'opskit.yaml'),
      `state: { dir: ${join(dir, 'state')} }\nbackup:\n  repository: ${repositoryPath}\n  static:\n    www: { paths: [${tree}] }\n`,
    )
    execFileSync('dd', ['if=/dev/urandom', `of=${tree}/noise`, 'bs=1M', 'count=60'], { stdio: 'ignore' })
  })

  it('at any moment leaves nothing that is listed and not whole; the next run takes its leftovers away', async () => {
    let listed = 0
    for (let round = 0; round < 8; round += 1) {
      const { child, ended } = start(['run', 'www'])
      if (round % 2 === 0) {
        const isWriting = () => filesIn(repositoryPath).some((name) => name.includes('.partial-'))
        await waitFor('it to write', () => isWriting() || child.exitCode !== null)
      }
      const pause = Math.random() * 250
      await new Promise((resolve) => setTimeout(resolve, round % 2 === 0 ? pause : 300 + pause))
      child.kill('SIGKILL')
      await ended
      const entries = await repository().list()
      for (const entry of entries) expect(await readChecksumProblems(entry.path, entry.manifest.files)).toEqual([])
      expect(entries.length).toBeGreaterThanOrEqual(listed)
      listed = entries.length
    }
    const { code, output } = await start(['run', 'www']).ended
    expect({ code, output }).toMatchObject({ code: 0 })
    await expectSound(listed + 1)
  })

  it('by SIGTERM ends with 143 and leaves nothing at all', async () => {
    const { child, ended } = start(['run', 'www'])
    await waitFor('it to write', () => filesIn(repositoryPath).some((name) => name.endsWith('files.tar.zst')))
    child.kill('SIGTERM')
    const { code, output } = await ended
    expect({ code, output }).toMatchObject({ code: 143 })
    await expectSound(0)
  })
})
