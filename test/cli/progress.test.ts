import { describe, expect, it } from 'vitest'
import { createProgressLine, formatProgress } from '../../scripts/lib/cli/progress.ts'
import { createManualClock } from '../../scripts/lib/core/clock.ts'

const MIB = 1024 ** 2

describe('a progress line', () => {
  it.each([
    [{ doneBytes: 0, totalBytes: 0, elapsedMs: 0, movedBytes: 0 }, 'saving app: 0 B'],
    [
      { doneBytes: 120 * MIB, totalBytes: 480 * MIB, elapsedMs: 2_000, movedBytes: 120 * MIB },
      'saving app: 120 MiB of 480 MiB, 25 %, 60 MiB/s, 6 s left',
    ],
    [
      { doneBytes: 10 * MIB, totalBytes: 20 * MIB, elapsedMs: 100, movedBytes: 10 * MIB },
      'saving app: 10 MiB of 20 MiB, 50 %',
    ],
    [
      { doneBytes: 30 * MIB, totalBytes: 20 * MIB, elapsedMs: 1_000, movedBytes: 30 * MIB },
      'saving app: 30 MiB, 30 MiB/s',
    ],
  ])('%j', (facts, text) => expect(formatProgress({ what: 'saving app', ...facts })).toBe(text))

  it('is written over on a terminal, not too often, and taken away', async () => {
    const clock = createManualClock()
    const written: string[] = []
    const stream = { isTTY: true, columns: 40, write: (text: string) => written.push(text) }
    const { progress, clear } = createProgressLine({ stream, clock })
    progress.update(1, 10, 'saving app')
    progress.update(2, 10, 'saving app')
    await clock.advance(150)
    progress.update(3, 10, 'saving app with a name that is much longer than the terminal')
    clear()
    clear()
    expect(written).toHaveLength(3)
    expect(written.every((text) => text.startsWith('\r\u001b[2K') && text.length <= 39 + 5)).toBe(true)
    expect(written.at(-1)).toBe('\r\u001b[2K')
  })

  it('is silent where nobody looks', () => {
    const written: string[] = []
    const { progress, clear } = createProgressLine({ stream: { write: (text: string) => written.push(text) } })
    progress.update(1, 10, 'saving app')
    clear()
    expect(written).toEqual([])
  })
})
