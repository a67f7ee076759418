import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { appendFile, mkdir, readdir, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { readChecksumProblems } from '../../../scripts/lib/backup/repository/checksums.ts'
import { compareStamps, formatStamp, parseId, parseStamp } from '../../../scripts/lib/backup/repository/names.ts'
import { openRepository } from '../../../scripts/lib/backup/repository/open.ts'
import type { Repository } from '../../../scripts/lib/backup/types.ts'
import { createManualClock, type ManualClock } from '../../../scripts/lib/core/clock.ts'
import { tempDir } from '../../support/temp.ts'
import { makeManifest, publishSmall, stageSmall } from '../support.ts'

let dir: string
let clock: ManualClock
let repository: Repository
beforeEach(async () => {
  dir = join(await tempDir('repository'), 'backups')
  clock = createManualClock(Date.UTC(2026, 10, 20, 2))
  repository = openRepository(dir, { clock })
})

const FIRST = 'config/web/20261120T020000Z'

describe('names', () => {
  it.each([
    ['20261120T020000Z', Date.UTC(2026, 10, 20, 2)],
    ['20261120T020000Z-2', Date.UTC(2026, 10, 20, 2)],
    ['20261320T020000Z', undefined],
    ['20260230T020000Z', undefined],
    ['20261120', undefined],
    ['latest', undefined],
  ])('reads the time %s', (stamp, at) => expect(parseStamp(stamp)).toBe(at))

  it.each(['config/web', 'config/../20261120T020000Z', 'other/web/20261120T020000Z', `${FIRST}/x`, '/etc/passwd'])(
    'takes %s for no id',
    (text) => expect(parseId(text)).toBeUndefined(),
  )

  it('sorts the newest first, and the second of one second before the first', () => {
    const stamps = ['20261120T020000Z', '20261120T020000Z-10', '20261120T020000Z-2', '20261121T000000Z']
    expect(stamps.sort(compareStamps)).toEqual([
      '20261121T000000Z',
      '20261120T020000Z-10',
      '20261120T020000Z-2',
      '20261120T020000Z',
    ])
    expect(formatStamp(Date.UTC(2026, 10, 20, 2, 0, 0, 999))).toBe('20261120T020000Z')
  })
})

describe('publishing', () => {
  it('lists a backup when it is published and not before', async () => {
    const { staging, files } = await stageSmall(repository, {})
    expect(await repository.list()).toEqual([])
    expect(await repository.problems()).toEqual([])
    const entry = await staging.publish(makeManifest(staging, { files }))
    expect(entry).toMatchObject({ id: FIRST, kind: 'config', name: 'web', sizeBytes: 4, pinned: false })
    expect(await repository.list()).toEqual([entry])
    expect(await readdir(entry.path)).toEqual(['files.tar.zst', 'manifest.json'])
    expect(await repository.problems()).toEqual([])
  })

  it('leaves nothing of a backup that is discarded, and all of one that was published', async () => {
    const { staging } = await stageSmall(repository, {})
    await staging.discard()
    expect(await readdir(join(dir, 'config/web'))).toEqual([])
    const second = await stageSmall(repository, {})
    await second.staging.publish(makeManifest(second.staging, { files: second.files }))
    await second.staging.discard()
    expect(await repository.list()).toHaveLength(1)
  })

  it('gives two backups of one second ids of their own', async () => {
    const stagings = await Promise.all(Array.from({ length: 6 }, () => stageSmall(repository, {})))
    await Promise.all(stagings.map(({ staging, files }) => staging.publish(makeManifest(staging, { files }))))
    const ids = (await repository.list()).map(({ id }) => id)
    expect(new Set(ids).size).toBe(6)
    expect(ids.at(-1)).toBe(FIRST)
  })

  it.each<[string, (path: string) => Promise<void>, string]>([
    ['a data file that is too short', (path) => truncate(join(path, 'files.tar.zst'), 2), 'has 2 bytes'],
    ['a data file that was not written', (path) => rm(join(path, 'files.tar.zst')), 'was not written'],
    ['a file that nobody knows', (path) => writeFile(join(path, 'plain.sql'), 'x'), 'plain.sql is staged'],
  ])('refuses %s', async (_what, damage, because) => {
    const { staging, files } = await stageSmall(repository, {})
    await damage(staging.path)
    await expect(staging.publish(makeManifest(staging, { files }))).rejects.toMatchObject({
      code: 'DATA_MISMATCH',
      message: expect.stringContaining(because) as string,
    })
    expect(await repository.list()).toEqual([])
  })

  it('removes what a dead process left, and nothing that a living one writes', async () => {
    const { staging } = await stageSmall(repository, {})
    const dead = execFileSync('sh', ['-c', 'echo $$'], { encoding: 'utf8' }).trim()
    const left = join(dir, 'config/web', `.20261119T020000Z.partial-${dead}`)
    const trash = join(dir, 'config/web', `.20261118T020000Z.trash-${dead}`)
    await mkdir(left)
    await mkdir(trash)
    expect((await repository.problems()).map(({ path }) => path).sort()).toEqual([trash, left].sort())
    expect((await repository.sweep()).sort()).toEqual([trash, left].sort())
    expect(existsSync(staging.path)).toBe(true)
  })

  it('takes a partial whose pid was given to another process for abandoned', async () => {
    const { staging } = await stageSmall(repository, {})
    const owner = join(staging.path, '.owner.json')
    const text = JSON.parse(await readFile(owner, 'utf8')) as object
    await writeFile(owner, JSON.stringify({ ...text, start: '1' }))
    expect(await repository.sweep()).toEqual([staging.path])
  })

  it('leaves the partial of another container alone', async () => {
    const { staging } = await stageSmall(repository, {})
    const owner = join(staging.path, '.owner.json')
    const text = JSON.parse(await readFile(owner, 'utf8')) as object
    await writeFile(owner, JSON.stringify({ ...text, pidSpace: 'pid:[1]', pid: 999_999_999 }))
    expect(await repository.sweep()).toEqual([])
  })

  it('leaves the partial of another machine alone', async () => {
    const { staging } = await stageSmall(repository, {})
    const owner = join(staging.path, '.owner.json')
    const text = JSON.parse(await readFile(owner, 'utf8')) as object
    await writeFile(owner, JSON.stringify({ ...text, host: 'elsewhere', pid: 999_999_999 }))
    expect(await repository.sweep()).toEqual([])
  })

  it('removes a backup by taking it off the list first', async () => {
    const entry = await publishSmall(repository)
    await repository.remove(entry)
    expect(await repository.list()).toEqual([])
    expect(await readdir(join(dir, 'config/web'))).toEqual([])
  })

  it('keeps a README that is not ours', async () => {
    await mkdir(dir)
    await writeFile(join(dir, 'README.md'), 'mine\n')
    await publishSmall(repository)
    expect(await readFile(join(dir, 'README.md'), 'utf8')).toBe('mine\n')
  })

  it('brings the README of an older opskit up to date', async () => {
    await mkdir(dir)
    await writeFile(join(dir, 'README.md'), '# Backups made by opskit\nold\n')
    await publishSmall(repository)
    expect(await readFile(join(dir, 'README.md'), 'utf8')).toContain('sha256sum --check')
  })
})

describe('what is no whole backup', () => {
  const damages: [string, (path: string) => Promise<unknown>, string][] = [
    ['without a manifest', (path) => rm(join(path, 'manifest.json')), 'it has no manifest'],
    ['with an empty manifest', (path) => truncate(join(path, 'manifest.json')), 'the manifest is empty'],
    ['with half a manifest', (path) => truncate(join(path, 'manifest.json'), 100), 'the manifest is damaged'],
    ['of a newer schema', (path) => edit(path, { schema: 2 }), 'written by a newer opskit'],
    ['with a manifest that lacks its files', (path) => edit(path, { files: [] }), 'files: '],
    ['whose files lie elsewhere', (path) => edit(path, { files: [{ path: '../x' }] }), 'not a path below'],
    ['that was moved here', (path) => edit(path, { id: 'config/api/20261120T020000Z' }), 'that of config/api'],
    ['without a data file', (path) => rm(join(path, 'files.tar.zst')), 'files.tar.zst is missing'],
    ['with a truncated data file', (path) => truncate(join(path, 'files.tar.zst'), 1), 'has 1 bytes'],
    ['with a directory for a manifest', (path) => directoryAs(join(path, 'manifest.json')), 'cannot be read'],
  ]
  it.each(damages)('does not list one %s, and says why', async (_what, damage, because) => {
    const entry = await publishSmall(repository)
    const other = await publishSmall(repository, { name: 'api' })
    await damage(entry.path)
    expect((await repository.list()).map(({ id }) => id)).toEqual([other.id])
    const problems = await repository.problems()
    expect(problems).toHaveLength(1)
    expect(problems[0]?.because).toContain(because)
    await expect(repository.find(entry.id)).rejects.toMatchObject({ code: 'DATA_MISMATCH' })
  })

  it('does not list an incremental whose full backup is gone', async () => {
    const full = await publishSmall(repository, { kind: 'static' })
    clock.step(60_000)
    const incremental = await publishSmall(repository, { kind: 'static', change: { parent: full.id } })
    expect(await repository.list()).toHaveLength(2)
    await rm(full.path, { recursive: true })
    expect(await repository.list()).toEqual([])
    expect(await repository.problems()).toEqual([
      { path: incremental.path, id: incremental.id, because: `the full backup it builds on is not here: ${full.id}` },
    ])
  })

  it('names directories that are not called like a time', async () => {
    await publishSmall(repository)
    await mkdir(join(dir, 'config/web/old'))
    expect(await repository.problems()).toMatchObject([{ because: expect.stringContaining('not a time') as string }])
  })

  it('is empty when the directory is not there', async () => {
    expect(await repository.list()).toEqual([])
    expect(await repository.problems()).toEqual([])
    expect(await repository.freeBytes()).toBeGreaterThan(0)
  })
})

describe('finding', () => {
  beforeEach(async () => {
    await publishSmall(repository, { kind: 'database', name: 'app' })
    clock.step(3_600_000)
    await publishSmall(repository, { kind: 'database', name: 'app' })
    await publishSmall(repository, { kind: 'config', name: 'web' })
    await publishSmall(repository, { kind: 'static', name: 'web' })
  })

  it.each([
    ['database/app', 'database/app/20261120T030000Z'],
    ['database/app/latest', 'database/app/20261120T030000Z'],
    ['app', 'database/app/20261120T030000Z'],
    ['app/latest', 'database/app/20261120T030000Z'],
    ['database/app/20261120T020000Z', 'database/app/20261120T020000Z'],
    ['database/app/20261120T020000Z/', 'database/app/20261120T020000Z'],
    ['static/web', 'static/web/20261120T030000Z'],
  ])('finds %s', async (reference, id) => expect((await repository.find(reference)).id).toBe(id))

  it.each([
    ['databse/app', 'Did you mean database/app?'],
    ['ap', 'Did you mean app?'],
    ['database/app/20261120T023000Z', 'The nearest is database/app/20261120T020000Z.'],
    ['database/app/20251120T023000Z', 'The nearest is database/app/20261120T020000Z.'],
    ['nonsense', 'There are '],
    ['web', 'Say which one.'],
    ['../../etc', 'There are '],
  ])('refuses %s', async (reference, hint) => {
    await expect(repository.find(reference)).rejects.toMatchObject({
      code: 'USAGE',
      details: { hint: expect.stringContaining(hint) as string },
    })
  })

  it.each([
    ['20261120T030000Z', 'The newest whole one is database/app/20261120T020000Z: name it'],
    ['*', 'There is no other of that name'],
  ])('never takes an older one for a name whose newest is not whole: %s', async (broken, hint) => {
    const path = join(dir, 'database/app')
    for (const stamp of await readdir(path)) {
      if (broken === '*' || stamp === broken) await truncate(join(path, stamp, 'files.tar.zst'), 1)
    }
    for (const reference of ['app', 'database/app/latest']) {
      await expect(repository.find(reference)).rejects.toMatchObject({
        code: 'DATA_MISMATCH',
        message: expect.stringContaining('database/app/20261120T030000Z is the newest, and cannot be used') as string,
        details: { hint: expect.stringContaining(hint) as string },
      })
    }
    const older = repository.find('database/app/20261120T020000Z')
    await (broken === '*' ? expect(older).rejects.toThrow() : expect(older).resolves.toBeDefined())
  })

  it('takes the newest for a name of which only an older one is not whole', async () => {
    await truncate(join(dir, 'database/app/20261120T020000Z/files.tar.zst'), 1)
    expect((await repository.find('app')).id).toBe('database/app/20261120T030000Z')
  })
})

describe('records', () => {
  const at = '2026-11-20T03:00:00.000Z'
  const verified = { type: 'verified', at, ok: true, level: 'checksums', because: 'all right', durationMs: 5 } as const

  it('are learned one after another', async () => {
    const entry = await publishSmall(repository)
    await repository.record(entry, verified)
    await repository.record(entry, { type: 'drilled', at, ok: true, because: 'equal', rtoMs: 900, differences: [] })
    await repository.record(entry, { type: 'pinned', at, reason: 'before the migration' })
    const read = await repository.find(entry.id)
    expect(read).toMatchObject({ pinned: true, verifiedAt: Date.parse(at), drilledAt: Date.parse(at), rtoMs: 900 })
    await repository.record(entry, { type: 'unpinned', at })
    await repository.record(entry, { ...verified, ok: false, because: 'files.tar.zst does not match its checksum' })
    const later = await repository.find(entry.id)
    expect(later.pinned).toBe(false)
    expect(later.failedBecause).toContain('does not match')
    expect(later.verifiedAt).toBeUndefined()
  })

  it('survive a torn last line', async () => {
    const entry = await publishSmall(repository)
    await repository.record(entry, verified)
    await appendFile(join(entry.path, 'records.jsonl'), '{"type":"drilled","at":"20')
    expect((await repository.find(entry.id)).records).toEqual([verified])
    await repository.record(entry, { type: 'pinned', at, reason: 'keep' })
    expect((await repository.find(entry.id)).records).toEqual([verified, { type: 'pinned', at, reason: 'keep' }])
  })

  it('of a kind that is not known yet are passed over', async () => {
    const entry = await publishSmall(repository)
    await writeFile(join(entry.path, 'records.jsonl'), `{"type":"admired","at":"${at}"}\n`)
    await repository.record(entry, verified)
    expect((await repository.find(entry.id)).records).toEqual([verified])
  })
})

describe('checksums', () => {
  it('notice one flipped bit', async () => {
    const entry = await publishSmall(repository, { text: 'a'.repeat(5_000) })
    expect(await readChecksumProblems(entry.path, entry.manifest.files)).toEqual([])
    const path = join(entry.path, 'files.tar.zst')
    const bytes = await readFile(path)
    bytes[2_500] = (bytes[2_500] ?? 0) ^ 1
    await writeFile(path, bytes)
    expect(await readChecksumProblems(entry.path, entry.manifest.files)).toEqual([
      'files.tar.zst does not match its checksum',
    ])
  })
})

async function edit(path: string, change: object): Promise<void> {
  const file = join(path, 'manifest.json')
  await writeFile(file, JSON.stringify({ ...(JSON.parse(await readFile(file, 'utf8')) as object), ...change }))
}

async function directoryAs(path: string): Promise<void> {
  await rename(path, `${path}.old`)
  await mkdir(path)
}
