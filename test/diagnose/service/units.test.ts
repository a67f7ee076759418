/** systemd units: what `systemctl show` printed, and what each state means. */
import { describe, expect, it } from 'vitest'
import {
  decideUnit,
  decideWithoutSystemd,
  readUnits,
  type UnitFacts,
} from '../../../scripts/lib/diagnose/service/units.ts'
import type { HostReader } from '../../../scripts/lib/host/types.ts'

const OUTPUT = `Type=notify
Result=success
NRestarts=2
ExecMainStatus=0
LoadState=loaded
ActiveState=active
SubState=running
ActiveEnterTimestampMonotonic=5000000

LoadState=not-found
ActiveState=inactive
SubState=dead
Result=success
`

const RUNNING: UnitFacts = {
  unit: 'x',
  loadState: 'loaded',
  activeState: 'active',
  subState: 'running',
  result: 'success',
  type: 'simple',
  exitStatus: 0,
  restarts: 0,
  activeSinceMonotonicMs: 0,
}

describe('units', () => {
  it('are asked for in one call and read in the order asked', async () => {
    const asked: (readonly string[])[] = []
    const host = {
      kind: 'ssh',
      read: async (argv: readonly string[]) => (asked.push(argv), { stdout: OUTPUT }),
    } as unknown as HostReader
    const units = await readUnits(host, ['nginx', '-weird'])
    expect(asked).toHaveLength(1)
    expect(asked[0]?.slice(-3)).toEqual(['--', 'nginx', '-weird'])
    expect(units).toMatchObject([
      { unit: 'nginx', activeState: 'active', type: 'notify', restarts: 2, activeSinceMonotonicMs: 5000 },
      { unit: '-weird', loadState: 'not-found' },
    ])
  })

  it.each<[string, Partial<UnitFacts>, string, string]>([
    ['running', {}, 'ok', 'x runs'],
    ['a mount or target', { subState: 'mounted' }, 'ok', 'x runs'],
    [
      'failed',
      { activeState: 'failed', subState: 'failed', result: 'exit-code', exitStatus: 3 },
      'critical',
      'x has failed',
    ],
    ['stopped', { activeState: 'inactive', subState: 'dead' }, 'critical', 'x is not running'],
    ['a job that is done', { activeState: 'inactive', subState: 'dead', type: 'oneshot' }, 'ok', 'x has done its work'],
    [
      'a job that failed',
      { activeState: 'failed', subState: 'failed', type: 'oneshot', result: 'exit-code' },
      'critical',
      'x has failed',
    ],
    [
      'crash-looping',
      { activeState: 'activating', subState: 'auto-restart', result: 'signal' },
      'critical',
      'x fails and is restarted again and again',
    ],
    ['starting', { activeState: 'activating', subState: 'start-pre' }, 'warning', 'x is still starting'],
    [
      'restarted often, lately',
      { restarts: 4, activeSinceMonotonicMs: 9_900_000 },
      'warning',
      'x keeps being restarted',
    ],
    ['restarted often, long ago', { restarts: 40, activeSinceMonotonicMs: 0 }, 'ok', 'x runs'],
    ['not installed', { loadState: 'not-found' }, 'critical', 'x cannot be started'],
    ['masked', { loadState: 'masked' }, 'critical', 'x cannot be started'],
    ['not answered', { loadState: '' }, 'unknown', 'x: systemd gave no answer'],
  ])('%s', (_, facts, severity, title) => {
    const limits = { uptimeMs: 10_000_000, restarts: { warning: 3, critical: 10 } }
    expect(decideUnit({ ...RUNNING, ...facts }, limits)).toMatchObject({
      check: 'service.unit',
      subject: 'x',
      severity,
      title,
    })
  })

  it('tells why it failed', () => {
    const facts = { ...RUNNING, activeState: 'failed', subState: 'failed', result: 'oom-kill', exitStatus: 9 }
    expect(decideUnit(facts, { uptimeMs: 1, restarts: { warning: 3, critical: 10 } })).toMatchObject({
      evidence: 'failed (failed), exit status 9',
      cause: 'the kernel killed it for memory',
      next: 'journalctl -u x -n 50 --no-pager',
    })
  })

  it.each([
    ['ssh', 'a process of that name runs (pid 5)'],
    ['nginx.service', 'a process of that name runs (pid 6)'],
    ['a-service-with-a-long-name', 'a process of that name runs (pid 7)'],
    ['redis', 'no process of that name runs either'],
    ['contained', 'no process of that name runs either'],
  ])('without systemd are skipped, with what could be seen: %s', (unit, evidence) => {
    const process = (pid: number, name: string, contained = false) => ({
      pid,
      parentPid: 1,
      name,
      command: '',
      startedAtMs: 0,
      contained,
    })
    const processes = [
      process(5, 'sshd'),
      process(6, 'nginx'),
      process(7, 'a-service-with-'),
      process(8, 'contained', true),
    ]
    expect(decideWithoutSystemd(unit, processes)).toMatchObject({ severity: 'skipped', evidence })
  })
})
