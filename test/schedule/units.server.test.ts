/** Exported units as systemd reads them: systemd-analyze, which needs no running systemd. */
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parseCron } from '../../scripts/lib/core/cron.ts'
import { nextRun } from '../../scripts/lib/schedule/next-run.ts'
import { formatCalendar } from '../../scripts/lib/schedule/units.ts'
import { openZone } from '../../scripts/lib/schedule/zone.ts'
import { NODE, opskit, ROOT, runProgram } from '../support/opskit.ts'
import { tempDir } from '../support/temp.ts'

const JOBS = [
  { name: 'backup-database', cron: '0 2 * * *', timezone: 'Europe/Vienna', jitter: '2m' },
  { name: 'backup-static', cron: '0 4 * * 0', catchup: 'none' },
  { name: 'either', cron: '*/20 1-3 15 jan,jul mon-fri' },
].map((job) => ({ ...job, action: 'command.run', params: { run: ['true'] } }))

describe('exported units', () => {
  it('pass systemd-analyze verify', async () => {
    const dir = await tempDir('units')
    const config = join(dir, 'a 100% odd $name.yaml')
    writeFileSync(
      config,
      JSON.stringify({ state: { dir: join(dir, 'state') }, schedule: { timezone: 'UTC', jobs: JOBS } }),
    )
    const units = join(dir, 'units')
    mkdirSync(units)
    const ran = await opskit('schedule', ['export', '--systemd', '--dir', units, '--config', config])
    expect(ran.stdout).toContain('systemctl enable --now opskit-backup-database.timer')
    const names = readdirSync(units)
    expect(names).toHaveLength(6)
    const verified = await runProgram(['systemd-analyze', 'verify', ...names.map((name) => join(units, name))])
    expect([verified.stdout, verified.stderr, verified.exitCode]).toEqual(['', '', 0])
    expect(readFileSync(join(units, 'opskit-backup-static.timer'), 'utf8')).toContain('Persistent=no')
  })

  it('come due when we say', async () => {
    for (const { cron, timezone = 'UTC' } of JOBS) {
      const from = Date.UTC(2026, 5, 30, 12)
      const next = await Promise.all(
        formatCalendar({ cron, timezone }).map(async (expression) => {
          const args = ['calendar', '--base-time', '2026-06-30 12:00:00 UTC', expression]
          const { stdout } = await runProgram(['systemd-analyze', ...args], { env: { TZ: 'UTC', LANG: 'C' } })
          return Date.parse(
            /(?:Next elapse|\(in UTC\)): \w+ ([\d-]+ [\d:]+) UTC/.exec(stdout)?.[1]?.replace(' ', 'T').concat('Z') ??
              '',
          )
        }),
      )
      expect(Math.min(...next), cron).toBe(nextRun(parseCron(cron), openZone(timezone), from))
    }
  })

  it('has a daemon that passes too', async () => {
    const dir = await tempDir('unit')
    const template = readFileSync(`${ROOT}templates/opskit-schedule.service`, 'utf8')
    const unit = join(dir, 'opskit-schedule.service')
    writeFileSync(unit, template.replaceAll('/opt/opskit/node_modules/.bin/node', NODE).replaceAll('/opt/opskit', ROOT))
    const verified = await runProgram(['systemd-analyze', 'verify', unit])
    expect([verified.stdout, verified.stderr, verified.exitCode]).toEqual(['', '', 0])
  })

  it('as a crontab hold one line for each job, and the zone', async () => {
    const dir = await tempDir('crontab')
    const config = join(dir, '100%.yaml')
    writeFileSync(config, JSON.stringify({ schedule: { timezone: 'UTC', jobs: JOBS } }))
    const { stdout } = await opskit('schedule', ['export', '--crontab', '--config', config])
    expect(stdout).toContain('CRON_TZ=Europe/Vienna\n0 2 * * * ')
    expect(stdout).toContain(`schedule.ts trigger --config ${dir}/100\\%.yaml --slot due backup-database`)
  })
})
