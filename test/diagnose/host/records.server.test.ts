/**
 * Machines that this one is not (with systemd, with a syslog, with chrony), made in a mount namespace of their own, with
 * programs that answer as the real ones do.
 */
import { execFile } from 'node:child_process'
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import type { RecordFacts } from '../../../scripts/lib/diagnose/host/index.ts'
import { tempDir } from '../../support/temp.ts'

const ROOT = new URL('../../..', import.meta.url).pathname
const now = new Date()
const iso = (minutesAgo: number) => new Date(now.getTime() - minutesAgo * 60_000).toISOString().replace('Z', '+00:00')

interface Machine {
  /** Text of programs by name; they end with status 0 unless the text is `exit N`. */
  readonly programs?: Readonly<Record<string, string>>
  /** Files below /run and /var/log, which are otherwise empty. */
  readonly files?: Readonly<Record<string, string>>
}

describe('a machine with systemd', () => {
  it('tells its failed units, its errors by priority, and whether its clock is synchronised', async () => {
    const journal = `${iso(5)} web-1 app[7]: disk on fire\n    more\n${iso(3)} web-1 kernel: Out of memory: Killed process 9 (app) total-vm:1kB\n`
    const all = await readAll({
      files: { '/run/systemd/system/x': '' },
      programs: {
        systemctl: 'backup.service loaded failed failed Nightly backup\n',
        journalctl: journal,
        timedatectl: 'NTPSynchronized=no\n',
      },
    })
    for (const facts of all) {
      expect(facts.units).toEqual([{ name: 'backup.service', description: 'Nightly backup' }])
      expect(facts.logs).toMatchObject({ from: 'journal' })
      expect(facts.logs.records.map(({ source }) => source)).toEqual(['app', 'kernel'])
      expect(facts.oom.kills).toContainEqual(expect.objectContaining({ pid: 9, name: 'app' }))
      expect(facts.clock).toMatchObject({ by: 'systemd', synchronised: false })
    }
  })

  it('falls back on the syslog file when there is no journal', async () => {
    const all = await readAll({
      files: {
        '/run/systemd/system/x': '',
        '/run/systemd/timesync/synchronized': '',
        '/var/log/syslog': `${iso(60)} h a: fine\n${iso(5)} h cron[1]: error: x\n`,
      },
      programs: { systemctl: 'exit 1', journalctl: 'No journal files were found.\n-- No entries --\n' },
    })
    for (const facts of all) {
      expect(facts.units).toBeUndefined()
      expect(facts.logs).toMatchObject({ from: '/var/log/syslog', records: [{ source: 'cron' }] })
      expect(facts.clock).toMatchObject({ by: 'timesyncd', synchronised: true })
    }
  })
})

describe('a machine whose journalctl fails', () => {
  it('does not pass for one without errors', async () => {
    const all = await readAll({
      files: { '/run/systemd/system/x': '' },
      programs: { systemctl: '\n', journalctl: 'exit 127', timedatectl: 'exit 1' },
    })
    for (const facts of all) {
      expect(facts.logs.from).not.toBe('journal')
      expect(facts.units).toEqual([])
      expect(facts.clock.synchronised).toBeUndefined()
    }
  })
})

describe('a machine without systemd', () => {
  it('tells the errors at the end of a large syslog, and how far back that reaches', async () => {
    const filler = `${iso(300)} web-1 chatty[1]: nothing of interest, only long ${'.'.repeat(150)}\n`.repeat(20_000)
    const text = `${iso(600)} web-1 old[1]: error before the end\n${filler}${iso(2)} web-1 sshd[3]: fatal: \u001b[2J no route\n`
    const all = await readAll({
      files: { '/var/log/syslog': text, '/run/chrony/chronyd.pid': '1' },
      programs: { chronyc: 'C0000201,192.0.2.1,3,1767225600.1,0.150,0.1,0.1,-1.2,0.0,0.1,0.01,0.001,64.2,Normal\n' },
    })
    for (const facts of all) {
      expect(facts.units).toBe('absent')
      expect(facts.logs.records).toMatchObject([{ source: 'sshd', message: 'fatal: \u001b[2J no route' }])
      expect(facts.logs.reachesBackTo).toBe(Date.parse(iso(300)))
      expect(facts.clock).toMatchObject({ by: 'chrony', synchronised: true, offsetMs: 150 })
    }
  })
})

/** The records of `machine`, read as local and as remote. */
async function readAll({ programs = {}, files = {} }: Machine): Promise<RecordFacts[]> {
  const dir = await tempDir('machine')
  const bin = join(dir, 'bin')
  mkdirSync(bin)
  for (const [name, text] of Object.entries(programs)) {
    const path = join(bin, name)
    writeFileSync(`${path}.txt`, text)
    writeFileSync(path, /^exit \d+$/.test(text) ? `#!/bin/sh\n${text}\n` : `#!/bin/sh\ncat ${path}.txt\n`)
    chmodSync(path, 0o755)
  }
  for (const [path, text] of Object.entries(files)) {
    const copy = join(dir, 'files', path)
    mkdirSync(join(copy, '..'), { recursive: true })
    writeFileSync(copy, text)
  }
  const script = `
set -e
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/log
cp -r ${dir}/files/run/. /run/ 2>/dev/null || :
cp -r ${dir}/files/var/log/. /var/log/ 2>/dev/null || :
export PATH=${bin}:$PATH
exec ${process.execPath} --no-warnings --input-type=module -e "$1"`
  const look = `
import { readRecordFacts } from '${ROOT}scripts/lib/diagnose/host/index.ts'
import { systemClock as clock } from '${ROOT}scripts/lib/core/clock.ts'
import { createPlainHost } from '${ROOT}test/support/plain-host.ts'
const signal = AbortSignal.timeout(20000)
const all = []
for (const kind of ['local', 'ssh']) all.push(await readRecordFacts({ host: createPlainHost({ kind }), clock, signal, timeoutMs: 10000 }))
console.log(JSON.stringify(all, (key, value) => value ?? (key === 'units' ? null : value)))`
  const { stdout } = await promisify(execFile)('unshare', ['-m', 'sh', '-c', script, 'sh', look], { timeout: 40_000 })
  const all = JSON.parse(stdout) as RecordFacts[]
  expect(all).toHaveLength(2)
  return all.map((facts) => ({ ...facts, units: facts.units ?? undefined }))
}
