import { describe, expect, it } from 'vitest'
import { growth, parseHeadedNumbers } from '../../../scripts/lib/diagnose/host/counters.ts'
import {
  countCpus,
  decideCpu,
  decideLoad,
  parseCpuQuota,
  parseCpuUse,
  parseLoad,
} from '../../../scripts/lib/diagnose/host/cpu.ts'
import { processFacts, thresholds } from './thresholds.ts'

const NONE = { ownMs: 0, windowMs: 250 }
/** user nice system idle iowait irq softirq steal guest guest_nice, of 2 CPUs. */
const stat = (ticks: string, cpus = 2) =>
  `cpu  ${ticks}\n${Array.from({ length: cpus }, (_, index) => `cpu${index} 1 0 0 0 0 0 0 0 0 0\n`).join('')}intr 1 2 3\n`

describe('growth of counters', () => {
  it.each([
    ['grows', 5, 9, 4],
    ['wraps at 32 bits', 2 ** 32 - 10, 5, 15],
    ['starts again', 1_000_000, 3, 0],
    ['starts again from a large 64-bit value', 2 ** 40, 3, 0],
    ['was not there before', undefined, 7, 0],
    ['is gone', 7, undefined, 0],
  ])('is right when a counter %s', (_, before, after, expected) => {
    expect(growth(before, after)).toBe(expected)
  })

  it('reads tables of a line of names and a line of values, and skips what does not match', () => {
    const text = 'Tcp: OutSegs RetransSegs MaxConn\nTcp: 12 3 -1\nUdp: A\nIcmp: 1\nIp: X\n'
    expect([...parseHeadedNumbers(text)]).toEqual([
      ['Tcp.OutSegs', 12],
      ['Tcp.RetransSegs', 3],
      ['Tcp.MaxConn', -1],
    ])
  })
})

describe('CPU use', () => {
  it('splits the time of the window', () => {
    const use = parseCpuUse(stat('100 0 50 1000 10 0 0 0 0 0'), stat('120 10 60 1040 20 2 3 5 0 0'), NONE)
    expect(use).toEqual({ busy: 0.5, user: 0.3, system: 0.15, iowait: 0.1, steal: 0.05, own: 0 })
  })

  it('is 100 % when nothing was idle', () => {
    expect(parseCpuUse(stat('0 0 0 500 0 0 0 0 0 0'), stat('50 0 0 500 0 0 0 0 0 0'), NONE)?.busy).toBe(1)
  })

  it('leaves opskit itself out', () => {
    const use = parseCpuUse(stat('0 0 0 0 0 0 0 0 0 0', 1), stat('10 0 0 15 0 0 0 0 0 0', 1), {
      ownMs: 75,
      windowMs: 250,
    })
    expect(use?.own).toBeCloseTo(0.3)
    expect(use?.busy).toBeCloseTo(0.1 / 0.7)
  })

  it('sees that nothing was left for others but what they used', () => {
    const use = parseCpuUse(stat('0 0 0 0 0 0 0 0 0 0'), stat('100 0 0 0 0 0 0 0 0 0'), { ownMs: 250, windowMs: 500 })
    expect(use).toMatchObject({ busy: 1, user: 1, own: 0.25 })
  })

  it('is unknown when opskit itself used it all', () => {
    const own = { ownMs: 500, windowMs: 500 }
    expect(parseCpuUse(stat('0 0 0 0 0 0 0 0 0 0', 1), stat('50 0 0 0 0 0 0 0 0 0', 1), own)).toBeUndefined()
  })

  it.each([
    ['a window of no length', stat('1 0 1 5 0 0 0 0 0 0'), stat('1 0 1 5 0 0 0 0 0 0')],
    ['no text', '', ''],
  ])('is unknown with %s', (_, before, after) => {
    const use = parseCpuUse(before, after, NONE)
    expect(use).toBeUndefined()
    expect(decideCpu(use, [], thresholds).severity).toBe('unknown')
  })

  it('bears iowait that steps back, and old kernels without steal', () => {
    expect(parseCpuUse(stat('0 0 0 0 50 0 0 0'), stat('50 0 0 50 40 0 0 0'), NONE)).toMatchObject({
      busy: 0.5,
      iowait: 0,
    })
    expect(parseCpuUse('cpu  0 0 0 0\ncpu0 0 0 0 0\n', 'cpu  10 0 0 10\ncpu0 10 0 0 10\n', NONE)?.busy).toBe(0.5)
  })

  it('counts very many CPUs', () => {
    expect(countCpus(stat('0 0 0 0 0 0 0 0', 512))).toBe(512)
    expect(countCpus('')).toBe(1)
  })

  it.each([
    ['ok', 'the CPU has room', { busy: 0.5 }],
    ['warning', 'the CPU is saturated', { busy: 0.9 }],
    ['critical', 'the CPU is saturated', { busy: 1 }],
    ['critical', 'the CPU waits for disks', { busy: 0.1, iowait: 0.6 }],
    ['warning', 'the hypervisor gives this machine too little CPU', { busy: 0.3, steal: 0.15 }],
  ])('judges %s: %s', (severity, title, use) => {
    const facts = { user: 0, system: 0, iowait: 0, steal: 0, own: 0, ...use }
    expect(decideCpu(facts, [], thresholds)).toMatchObject({ severity, title })
  })

  it('names the processes that use the CPU, inert', () => {
    const hungry = processFacts({ name: 'a\u001b[31m)\nb', pid: 7, cores: 0.98 })
    const facts = { busy: 1, user: 1, system: 0, iowait: 0, steal: 0, own: 0 }
    const finding = decideCpu(facts, [hungry, processFacts()], thresholds)
    expect(finding.cause).toBe('most CPU: a\\x1b[31m) b (7) 98 % of a core')
    expect(finding.evidence).toBe('busy 100 %, critical from 98 % (user 100 %, system 0 %, iowait 0 %, steal 0 %)')
    expect(finding.measures?.[0]).toEqual({
      label: 'cpu_busy',
      value: 100,
      unit: '%',
      warn: '@90:',
      crit: '@98:',
      min: 0,
      max: 100,
    })
  })
})

describe('load', () => {
  it.each([
    ['ok', 2, 2.9],
    ['warning', 2, 3],
    ['critical', 2, 8],
    ['ok', 512, 700],
  ])('is %s on %i CPUs at %f', (severity, cpuCount, load) => {
    expect(decideLoad({ load: [load, 0, 0], cpuCount }, [], thresholds).severity).toBe(severity)
  })

  it('tells of a CPU quota', () => {
    const finding = decideLoad({ load: [1, 2, 3], cpuCount: 4, quotaCores: 0.5 }, [], thresholds)
    expect(finding.evidence).toBe(
      '0.25 per CPU, warning from 1.5: 1 2 3 in 1, 5, 15 min on 4 CPUs; this cgroup may use 0.5 of them',
    )
  })

  it.each([
    ['50000 100000\n', 0.5],
    ['max 100000\n', undefined],
    ['-1 100000', undefined],
    ['undefined undefined', undefined],
    ['', undefined],
  ])('reads the quota %j as %s cores', (text, cores) => {
    expect(parseCpuQuota(text)).toBe(cores)
  })

  it('is not read from something else', () => {
    expect(parseLoad('0.10 0.20 0.30 1/200 4711\n')).toEqual([0.1, 0.2, 0.3])
    expect(parseLoad('nothing here')).toBeUndefined()
  })
})
