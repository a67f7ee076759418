import { describe, expect, it } from 'vitest'
import { decideProcesses, parseProcesses, parseStatRecords } from '../../../scripts/lib/diagnose/host/processes.ts'
import { processFacts, thresholds } from './thresholds.ts'

interface Stat {
  readonly pid: number
  readonly name: string
  readonly state?: string
  readonly parent?: number
  readonly user?: number
  readonly system?: number
  readonly started?: number
  readonly pages?: number
}

function stat({ pid, name, state = 'S', parent = 1, user = 0, system = 0, started = 50, pages = 10 }: Stat): string {
  return `${pid} (${name}) ${state} ${parent} ${pid} ${pid} 0 -1 4194560 99 0 0 0 ${user} ${system} 0 0 20 0 1 0 ${started} 9000 ${pages} 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0\n`
}

const parse = (before: string, after: string, own?: number) =>
  parseProcesses({ before, after, windowMs: 500, pageBytes: 4096, waitsIn: new Map([[7, 'nfs_wait']]) }, own)

describe('the process list', () => {
  it.each([
    ['parentheses', ') S 1 (x'],
    ['a newline and a forged record', 'a) R 1\n9 (b'],
    ['an escape sequence', '\u001b[2J'],
    ['nothing', ''],
    ['the long name of a kernel thread', 'kworker/u257:12-events_freezable_power_efficient'],
  ])('is read right though a name holds %s', (_, name) => {
    const records = parseStatRecords(
      stat({ pid: 1, name: 'init', parent: 0 }) + stat({ pid: 2, name, state: 'Z' }) + stat({ pid: 3, name: 'z' }),
    )
    expect(records.map((record) => [record.pid, record.name, record.state])).toEqual([
      [1, 'init', 'S'],
      [2, name, 'Z'],
      [3, 'z', 'S'],
    ])
  })

  it('skips a record that was cut off at the end', () => {
    expect(parseStatRecords(`${stat({ pid: 6, name: 'whole' })}7 (half) S 1 2 3`).map(({ pid }) => pid)).toEqual([6])
  })

  it('gives CPU use over the window in cores, and memory in bytes', () => {
    const [process] = parse(
      stat({ pid: 5, name: 'busy', user: 100, system: 10 }),
      stat({ pid: 5, name: 'busy', user: 140, system: 20 }),
    )
    expect(process).toMatchObject({ cores: 1, residentBytes: 40_960 })
  })

  it('does not take a reused pid for the same process', () => {
    const [process] = parse(
      stat({ pid: 5, name: 'old', state: 'D', started: 50 }),
      stat({ pid: 5, name: 'new', state: 'D', user: 999, started: 60 }),
    )
    expect(process).toMatchObject({ cores: 0, blocked: false })
  })

  it('leaves opskit itself out', () => {
    expect(parse('', stat({ pid: 5, name: 'node' }), 5)).toEqual([])
  })

  it('counts as blocked only what waits at both ends of the window', () => {
    const before = stat({ pid: 6, name: 'moves', state: 'R' }) + stat({ pid: 7, name: 'waits', state: 'D' })
    const after = stat({ pid: 6, name: 'moves', state: 'D' }) + stat({ pid: 7, name: 'waits', state: 'D' })
    expect(parse(before, after).map(({ blocked, waitsIn }) => [blocked, waitsIn])).toEqual([
      [false, undefined],
      [true, 'nfs_wait'],
    ])
  })
})

describe('stuck and dead processes', () => {
  it('are named with what they wait in', () => {
    const blocked = [1, 2, 3].map((pid) =>
      processFacts({ pid, name: 'cp', state: 'D', blocked: true, waitsIn: 'nfs_wait' }),
    )
    expect(decideProcesses(blocked, thresholds)[0]).toMatchObject({
      severity: 'warning',
      evidence: '3 processes of 3 in state D, warning from 3',
      cause: 'they wait in nfs_wait',
      lines: ['cp (1) waits in nfs_wait', 'cp (2) waits in nfs_wait', 'cp (3) waits in nfs_wait'],
    })
  })

  it('are laid at the parent that does not collect them', () => {
    const zombies = Array.from({ length: 12 }, (_, index) =>
      processFacts({ pid: 200 + index, state: 'Z', parentPid: 9 }),
    )
    const findings = decideProcesses([processFacts({ pid: 9, name: 'cron' }), ...zombies], thresholds)
    expect(findings[1]).toMatchObject({
      severity: 'warning',
      cause: 'cron (9) does not collect its children',
      next: 'ps -o pid,ppid,stat,etime,args --ppid 9',
      lines: ['12 zombies of cron (9)'],
    })
  })

  it('are unknown when the list cannot be read', () => {
    expect(decideProcesses([], thresholds)[0]?.severity).toBe('unknown')
  })
})
