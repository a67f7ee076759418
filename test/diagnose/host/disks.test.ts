import { describe, expect, it } from 'vitest'
import { decideDisks, parseDisks } from '../../../scripts/lib/diagnose/host/disks.ts'
import { thresholds } from './thresholds.ts'

/** Kernel 5.5 and later, with discards and flushes. */
const BEFORE = `   7       0 loop0 100 0 100 50 0 0 0 0 0 10 50 0 0 0 0 0 0
 259       0 nvme0n1 1000 5 8000 100 500 9 4000 4294967290 0 4294967200 9 0 0 0 0 7 7
 259       1 nvme0n1p1 900 5 7000 90 400 9 3000 80 0 400 9 0 0 0 0 7 7
   8       0 sda 10 0 80 10 10 0 80 10 1 100 20
 253       0 dm-0 1500 0 12000 300 0 0 0 0 0 600 300 0 0 0 0 0 0
`
const AFTER = `   7       0 loop0 200 0 100 9050 0 0 0 0 0 210 50 0 0 0 0 0 0
 259       0 nvme0n1 1040 5 8064 100 560 9 4096 4 0 144 9 0 0 0 0 7 7
 259       1 nvme0n1p1 940 5 7064 90 460 9 3096 90 0 640 9 0 0 0 0 7 7
   8       0 sda 10 0 80 10 30 0 80 6010 2 350 20
 253       0 dm-0 1600 0 12000 9300 0 0 0 0 0 850 300 0 0 0 0 0 0
`

describe('disks', () => {
  const disks = parseDisks({ before: BEFORE, after: AFTER, windowMs: 250 }, ['nvme0n1', 'sda', 'loop0', 'sdz'])

  it('are the physical ones, with counters that may wrap', () => {
    expect(disks).toEqual([
      {
        name: 'nvme0n1',
        busy: 0.96,
        requests: 100,
        awaitMs: 0.1,
        inFlight: 0,
        readBytesPerSecond: 131_072,
        writtenBytesPerSecond: 196_608,
      },
      {
        name: 'sda',
        busy: 1,
        requests: 20,
        awaitMs: 300,
        inFlight: 2,
        readBytesPerSecond: 0,
        writtenBytesPerSecond: 0,
      },
    ])
  })

  it('are critical when slow, and at most a warning when only busy', () => {
    expect(
      decideDisks(disks, [], thresholds).map(({ subject, severity, title }) => [subject, severity, title]),
    ).toEqual([
      ['nvme0n1', 'warning', 'nvme0n1 is busy'],
      ['sda', 'critical', 'sda is slow'],
    ])
  })

  it('are not called slow for a single slow request', () => {
    const one = {
      name: 'sda',
      busy: 0.5,
      requests: 1,
      awaitMs: 900,
      inFlight: 0,
      readBytesPerSecond: 0,
      writtenBytesPerSecond: 0,
    }
    expect(decideDisks([one], [], thresholds)[0]?.severity).toBe('ok')
  })

  it.each([
    ['no window', { before: BEFORE, after: AFTER, windowMs: 0 }, ['sda']],
    ['no hardware in sight', { before: BEFORE, after: AFTER, windowMs: 250 }, []],
    ['no text', { before: '', after: '', windowMs: 250 }, ['sda']],
  ])('are skipped with %s', (_, texts, physical) => {
    expect(decideDisks(parseDisks(texts, physical), [], thresholds).map(({ severity }) => severity)).toEqual([
      'skipped',
    ])
  })
})
