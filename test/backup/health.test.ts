import { describe, expect, it } from 'vitest'
import { decideBackupHealth, type SeriesHealth } from '../../scripts/lib/backup/health.ts'
import { findGroup, findSource, listSources } from '../../scripts/lib/backup/run/sources.ts'
import { decideFull } from '../../scripts/lib/backup/run/full.ts'
import { chooseTargets } from '../../scripts/lib/backup/copy/targets.ts'
import type { BackupEntry } from '../../scripts/lib/backup/types.ts'
import { configSchema } from '../../scripts/lib/config/schema/index.ts'
import { makeManifest } from './support.ts'

const HOUR = 3_600_000
const NOW = Date.UTC(2026, 10, 20, 12)

function entry(ageHours: number, change: Partial<BackupEntry> = {}): BackupEntry {
  const id = `database/app/${ageHours}`
  const at = NOW - ageHours * HOUR
  const manifest = makeManifest({ id })
  return {
    id,
    kind: 'database',
    name: 'app',
    path: '/x',
    at,
    sizeBytes: 10,
    manifest,
    records: [],
    pinned: false,
    ...change,
  }
}

function series(change: Partial<SeriesHealth> = {}): SeriesHealth {
  return {
    kind: 'database',
    name: 'app',
    count: 1,
    rpoMs: 26 * HOUR,
    drillEveryMs: 168 * HOUR,
    missingCopies: [],
    ...change,
  }
}

const verified = (ageHours: number, change: Partial<BackupEntry> = {}) => {
  const one = entry(ageHours, { verifiedAt: NOW, ...change })
  return { newest: one, newestVerified: one }
}
const drilled = (agoHours: number) => ({ newestDrilled: entry(1, { drilledAt: NOW - agoHours * HOUR, rtoMs: 9_000 }) })

describe('the health of backups', () => {
  it.each<[string, SeriesHealth, readonly [check: string, severity: string, title: string]]>([
    ['none at all', series({ count: 0 }), ['backup.age', 'critical', 'database/app has never been backed up']],
    [
      'fresh',
      series({ ...verified(26), ...drilled(1) }),
      ['backup.age', 'ok', 'database/app has a fresh verified backup'],
    ],
    [
      'late',
      series({ ...verified(27), ...drilled(1) }),
      ['backup.age', 'warning', 'the newest verified backup of database/app is too old'],
    ],
    [
      'very late',
      series(verified(53)),
      ['backup.age', 'critical', 'the newest verified backup of database/app is too old'],
    ],
    [
      'fresh and not verified',
      series({ newest: entry(1) }),
      ['backup.age', 'critical', 'no backup of database/app is verified'],
    ],
    [
      'damaged',
      series({ newest: entry(1, { failedBecause: 'x.zst does not match' }) }),
      ['backup.age', 'critical', 'the newest backup of database/app did not pass its last check'],
    ],
    [
      'never drilled',
      series(verified(1)),
      ['backup.drill', 'warning', 'no backup of database/app was ever restored in a drill'],
    ],
    [
      'drilled long ago',
      series({ ...verified(1), ...drilled(200) }),
      ['backup.drill', 'warning', 'the drill of database/app is overdue'],
    ],
    [
      'drilled lately',
      series({ ...verified(1), ...drilled(100) }),
      ['backup.drill', 'ok', 'database/app is known to restore'],
    ],
    [
      'not copied',
      series({ ...verified(1), missingCopies: ['offsite'] }),
      ['backup.copy', 'warning', 'the newest backup of database/app is not copied to offsite'],
    ],
  ])('%s', (_what, one, [check, severity, title]) => {
    const found = decideBackupHealth({ series: [one], problems: [], now: NOW }).filter(
      (finding) => finding.check === check,
    )
    expect(found).toMatchObject([{ severity, title }])
    if (severity !== 'ok') expect(found[0]?.next).toMatch(/^npx zx scripts\/backup\.ts (run|verify|drill|copy) /)
  })

  it('names what is no whole backup', () => {
    const problems = [{ path: '/r/x', because: 'it has no manifest' }]
    expect(decideBackupHealth({ series: [], problems, now: NOW })).toMatchObject([
      { check: 'backup.repository', severity: 'warning', lines: ['/r/x: it has no manifest'] },
    ])
  })
})

const config = configSchema.parse({
  backup: {
    databases: { app: { type: 'mariadb' } },
    config: { web: { paths: ['/etc'], retention: { last: 9 }, rpo: '1h' } },
    static: { web: { paths: ['/srv'], on: 'web-1' } },
    groups: { shop: ['database/app', 'static/web'], odd: ['app', 'nothing'] },
    copies: [{ name: 'offsite', host: 'standby', path: '/b' }],
  },
})

describe('names', () => {
  it('of sources are found with and without the kind', () => {
    expect(findSource(config, 'app').series).toBe('database/app')
    expect(findSource(config, 'static/web')).toMatchObject({ on: 'web-1', rpoMs: 26 * HOUR })
    expect(findSource(config, 'config/web')).toMatchObject({ on: 'localhost', rpoMs: HOUR, retention: { last: 9 } })
    expect(listSources(config).map(({ series: one }) => one)).toEqual(['database/app', 'config/web', 'static/web'])
    expect(findGroup(config, 'shop').map(({ name }) => name)).toEqual(['app', 'web'])
  })

  it.each<[string, () => unknown, string, string]>([
    ['a mistyped source', () => findSource(config, 'databse/app'), 'USAGE', 'Did you mean database/app?'],
    ['one of two kinds', () => findSource(config, 'web'), 'USAGE', 'Say which one.'],
    ['a source of another kind', () => findSource(config, 'app', 'static'), 'USAGE', 'There are static/web.'],
    ['anything when nothing is configured', () => findSource(configSchema.parse({}), 'app'), 'USAGE', 'Add it under'],
    ['a mistyped group', () => findGroup(config, 'shp'), 'USAGE', 'Did you mean shop?'],
    ['a mistyped target', () => chooseTargets(config, ['ofsite']), 'USAGE', 'Did you mean offsite?'],
    ['a target when none is configured', () => chooseTargets(configSchema.parse({}), []), 'USAGE', 'backup.copies'],
  ])('%s is refused with the next thing to try', (_what, find, code, hint) => {
    expect(find).toThrow(
      expect.objectContaining({
        code,
        details: expect.objectContaining({ hint: expect.stringContaining(hint) as string }) as object,
      }) as Error,
    )
  })

  it('of a member that is not configured are an error of the config', () => {
    expect(() => findGroup(config, 'odd')).toThrow(/backup\.groups\.odd: there is no backup "nothing"/)
  })
})

describe('full or incremental', () => {
  const old = (ageHours: number, change: Partial<BackupEntry> = {}) => entry(ageHours, change)
  const child = (ageHours: number) =>
    entry(ageHours, { manifest: makeManifest({ id: 'database/app/x' }, { parent: 'p' }) })
  it.each<[string, number | undefined, BackupEntry[], readonly [full: boolean, because: string]]>([
    ['no policy', undefined, [old(1)], [true, 'no full_every is set']],
    ['the first one', 24 * HOUR, [], [true, 'there is no full backup yet']],
    ['a young full one', 24 * HOUR, [child(1), old(2)], [false, 'builds on database/app/2']],
    [
      'a full one that is too old',
      24 * HOUR,
      [child(1), old(24)],
      [true, 'the last full one is 1 d old (full_every 1 d)'],
    ],
    ['a full one that is damaged', 24 * HOUR, [old(2, { failedBecause: 'x' })], [true, 'there is no full backup yet']],
    ['a full one of the future', 24 * HOUR, [old(-2)], [true, 'the last full one is -2 h old (full_every 1 d)']],
  ])('%s', (_what, every, entries, [full, because]) => {
    expect(decideFull({ full_every: every }, entries, NOW)).toMatchObject({ full, because })
  })
})
