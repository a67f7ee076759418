import { describe, expect, it } from 'vitest'
import { validateConfig } from '../../scripts/lib/config/validate.ts'
import { parseCrontab } from '../../scripts/lib/schedule/crontab.ts'

const WIKI = `# 每天凌晨 2 点备份数据库
0 2 * * * /opt/app/scripts/backup-database.sh >> /var/log/app/backup.log 2>&1

# 每天凌晨 3 点备份配置文件
0 3 * * * /opt/app/scripts/backup-config.sh >> /var/log/app/backup.log 2>&1

# 每周日凌晨 4 点备份静态文件
0 4 * * 0 /opt/app/scripts/backup-static.sh >> /var/log/app/backup.log 2>&1
`

describe('a crontab', () => {
  it('becomes jobs that run the same commands at the same times', () => {
    const { jobs, notes } = parseCrontab(WIKI, 'crontab', false)
    expect(notes).toEqual([])
    expect(jobs.map(({ name, cron }) => [name, cron])).toEqual([
      ['backup-database', '0 2 * * *'],
      ['backup-config', '0 3 * * *'],
      ['backup-static', '0 4 * * 0'],
    ])
    expect(jobs[0]?.params.run).toEqual([
      '/bin/sh',
      '-c',
      '/opt/app/scripts/backup-database.sh >> /var/log/app/backup.log 2>&1',
    ])
    expect(validateConfig(JSON.stringify({ schedule: { jobs } }), 'x').schedule.jobs).toHaveLength(3)
  })

  it('keeps nicknames, zones and escaped percents, and says what it leaves out', () => {
    const text =
      'MAILTO=root\nCRON_TZ="Europe/Vienna"\n@daily date +\\%F\n  */5 * * * * root /usr/bin/x.sh\n1 1 1 1 * root x.sh\n'
    const { jobs, notes } = parseCrontab(text.replace('@daily date', '@daily bob date'), '/etc/crontab', true)
    expect(jobs).toEqual([
      expect.objectContaining({
        name: 'date',
        cron: '@daily',
        timezone: 'Europe/Vienna',
        params: { run: ['/bin/sh', '-c', 'date +%F'] },
      }),
      expect.objectContaining({ name: 'x', cron: '*/5 * * * *' }),
      expect.objectContaining({ name: 'x-2', cron: '1 1 1 1 *' }),
    ])
    expect(notes.map((note) => note.split(' is ')[0])).toEqual([
      '/etc/crontab:1: the variable MAILTO',
      '/etc/crontab:3: the user bob',
      '/etc/crontab:4: the user root',
      '/etc/crontab:5: the user root',
    ])
  })

  it.each([
    ['0 25 * * * x', 'c:1: "0 25 * * *": hour, column 3: expected 0-23'],
    ['hello', 'c:1: expected five fields and a command'],
  ])('with the line %s is refused with its place', (text, message) => {
    expect(() => parseCrontab(text, 'c', false)).toThrow(message)
  })
})
