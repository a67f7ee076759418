import { describe, expect, it } from 'vitest'
import {
  decideMemory,
  decideSwap,
  parseCgroupMemory,
  parseMemory,
  parsePageSize,
  parseSwapRate,
} from '../../../scripts/lib/diagnose/host/memory.ts'
import { decideOom, parseOomKills } from '../../../scripts/lib/diagnose/host/oom.ts'
import { decidePressure, parsePressure } from '../../../scripts/lib/diagnose/host/pressure.ts'
import { processFacts, thresholds } from './thresholds.ts'

const GIB = 1024 ** 3
const MEMINFO = `MemTotal:        8388608 kB
MemFree:          262144 kB
MemAvailable:     524288 kB
Buffers:            1024 kB
Cached:           300000 kB
Active(anon):       1572 kB
SwapTotal:       2097152 kB
SwapFree:        1048576 kB
HugePages_Total:       0
`

describe('memory', () => {
  const memory = parseMemory(MEMINFO)

  it('counts what the kernel says is available', () => {
    expect(memory).toEqual({
      totalBytes: 8 * GIB,
      availableBytes: GIB / 2,
      swapTotalBytes: 2 * GIB,
      swapFreeBytes: GIB,
    })
    const [finding] = decideMemory(memory, undefined, {
      processes: [processFacts({ name: 'mysqld', pid: 812, residentBytes: 3 * GIB }), processFacts()],
      thresholds,
    })
    expect(finding).toMatchObject({
      severity: 'warning',
      title: 'memory is running out',
      evidence: '93.8 % used, 512 MiB available of 8 GiB, warning from 90 %',
      cause: 'most memory: mysqld (812) 3 GiB',
    })
  })

  it('adds up what old kernels give', () => {
    const old = parseMemory('MemTotal: 1000 kB\nMemFree: 100 kB\nBuffers: 50 kB\nCached: 250 kB\n')
    expect(old?.availableBytes).toBe(400 * 1024)
  })

  it('is unknown without a meminfo', () => {
    expect(parseMemory('')).toBeUndefined()
    expect(decideMemory(undefined, undefined, { processes: [], thresholds })[0]?.severity).toBe('unknown')
  })

  it.each([
    ['a v2 limit', { limit: '1073741824\n', usage: '1063004406\n', stat: 'inactive_file 10737418\n' }, 1_052_266_988],
    ['a v1 limit', { limit: '1073741824', usage: '500', stat: 'inactive_file 1\ntotal_inactive_file 100\n' }, 400],
    ['no limit', { limit: 'max\n', usage: '5', stat: '' }, undefined],
    ['no limit in v1', { limit: '9223372036854771712', usage: '5', stat: '' }, undefined],
  ])('sees %s of a container', (_, texts, usedBytes) => {
    expect(parseCgroupMemory(texts, 8 * GIB)?.usedBytes).toBe(usedBytes)
  })

  it('judges the container by its own limit', () => {
    const findings = decideMemory(memory, { limitBytes: GIB, usedBytes: 0.98 * GIB }, { processes: [], thresholds })
    expect(findings.map(({ subject, severity }) => [subject, severity])).toEqual([
      [undefined, 'warning'],
      ['cgroup', 'critical'],
    ])
  })

  it.each([
    ['4 KiB', 'MemFree: 4096 kB', 'nr_free_pages 1020', 4096],
    ['64 KiB', 'MemFree: 65536 kB', 'nr_free_pages 1024', 65_536],
    ['unknown', '', '', 4096],
    ['absurd', 'MemFree: 1 kB', 'nr_free_pages 100000', 4096],
  ])('tells pages of %s', (_, meminfo, vmstat, expected) => {
    expect(parsePageSize(meminfo, vmstat)).toBe(expected)
  })
})

describe('swap', () => {
  const rate = (before: string, after: string) => parseSwapRate(before, after, 500)

  it('is judged by its rate and not by its mere use', () => {
    const still = rate('pswpin 1000\npswpout 5000\n', 'pswpin 1000\npswpout 5000\n')
    expect(decideSwap(parseMemory(MEMINFO), still, { processes: [], thresholds })).toMatchObject({
      severity: 'ok',
      evidence: '0 pages/s in and out, warning from 100 pages/s; 1 GiB of 2 GiB swap in use',
    })
    const moving = rate('pswpin 1000\npswpout 5000\n', 'pswpin 1050\npswpout 5010\n')
    expect(decideSwap(undefined, moving, { processes: [], thresholds })).toMatchObject({ severity: 'warning' })
  })

  it('is skipped when the kernel does not count it', () => {
    expect(decideSwap(undefined, rate('', 'pgfault 1\n'), { processes: [], thresholds }).severity).toBe('skipped')
  })
})

describe('pressure', () => {
  const text = 'some avg10=30.00 avg60=12.00 avg300=1.50 total=1\nfull avg10=55.10 avg60=2.00 avg300=0.10 total=1\n'

  it('judges full for memory and I/O, some for CPU', () => {
    const pressures = (['cpu', 'memory'] as const).flatMap((name) => parsePressure(name, text) ?? [])
    expect(
      decidePressure(pressures, thresholds).map(({ subject, severity, evidence }) => [subject, severity, evidence]),
    ).toEqual([
      ['cpu', 'warning', 'some 30 % of the last 10 s (60 s: 12 %, 5 min: 1.5 %), warning from 20 %'],
      ['memory', 'critical', 'full 55.1 % of the last 10 s (60 s: 2 %, 5 min: 0.1 %), critical from 50 %'],
    ])
  })

  it('is skipped, because the kernel has none', () => {
    expect(parsePressure('io', '')).toBeUndefined()
    expect(decidePressure([], thresholds)).toEqual([
      { check: 'host.pressure', severity: 'skipped', title: 'this kernel gives no pressure stall information' },
    ])
  })
})

describe('OOM kills', () => {
  const now = Date.UTC(2026, 0, 2)
  const kernel = (minutesAgo: number, message: string) => ({ at: now - minutesAgo * 60_000, source: 'kernel', message })
  const machine = 'Out of memory: Killed process 4711 (mysqld) total-vm:2000kB, anon-rss:1000kB, UID:110'
  const cgroup = 'Memory cgroup out of memory: Killed process 99 (a (b) c), UID 0, total-vm:1kB'

  it('are named, newest first, each once', () => {
    const records = [
      kernel(600, machine),
      kernel(599.9, 'Killed process 4711 (mysqld) total-vm:2000kB'),
      kernel(5, cgroup),
      { at: now, source: 'app', message: 'Killed process 1 (x), UID' },
    ]
    expect(parseOomKills(records).map(({ pid, name, inCgroup }) => [pid, name, inCgroup])).toEqual([
      [99, 'a (b) c', true],
      [4711, 'mysqld', false],
    ])
  })

  it.each([
    [
      'critical',
      'within the hour',
      { sinceBoot: 2, kills: [kernel(5, cgroup)] },
      'a (b) c (99) reached the memory limit',
    ],
    ['warning', 'within the day', { sinceBoot: 1, kills: [kernel(600, machine)] }, 'mysqld (4711) was chosen'],
    ['ok', 'long ago', { sinceBoot: 1, kills: [] }, ''],
    ['warning', 'at an unknown time', { sinceBoot: 1 }, ''],
    ['ok', 'never', { sinceBoot: 0 }, ''],
    ['skipped', 'not known', {}, ''],
  ] as const)(
    'are %s %s',
    (severity, _, { kills, ...facts }: { kills?: readonly ReturnType<typeof kernel>[]; sinceBoot?: number }, cause) => {
      const finding = decideOom(
        { uptimeMs: 90 * 86_400_000, ...facts, ...(kills && { kills: parseOomKills(kills) }) },
        now,
      )
      expect(finding.severity).toBe(severity)
      expect(finding.cause ?? '').toContain(cause)
    },
  )
})
