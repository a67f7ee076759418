/** How far long work has come, as one line on the terminal that is written over: bytes, share, rate and time left. */
import type { Clock } from '../core/clock.ts'
import { systemClock } from '../core/clock.ts'
import { formatDuration, formatSize } from '../core/duration.ts'
import { printableLine } from '../core/printable.ts'
import { silentProgress, type Progress } from '../core/progress.ts'

export interface ProgressLine {
  readonly progress: Progress
  /** Takes the line away, so that what follows has the terminal to itself. Safe to call at any time. */
  readonly clear: () => void
}

export interface ProgressOptions {
  readonly stream?: { readonly isTTY?: boolean; readonly columns?: number; write(text: string): unknown }
  readonly clock?: Clock
}

/** Faster than that nobody reads. */
const REDRAW_MS = 100
/** A rate over less than this says nothing. */
const RATE_AFTER_MS = 500
/** To the beginning of the line, and erase it (ECMA-48 EL). */
const CLEAR_LINE = '\r\u001b[2K'

/** Silent where nobody looks: a pipe, a file, cron. */
export function createProgressLine({
  stream = process.stderr,
  clock = systemClock,
}: ProgressOptions = {}): ProgressLine {
  if (!stream.isTTY) return { progress: silentProgress, clear: () => undefined }
  let what = ''
  let startedAt = 0
  let startedBytes = 0
  let drawnAt = Number.NEGATIVE_INFINITY
  let drawn = false
  return {
    progress: {
      update(doneBytes, totalBytes, doing) {
        const now = clock.monotonic()
        if (doing !== what) [what, startedAt, startedBytes] = [doing, now, doneBytes]
        else if (now - drawnAt < REDRAW_MS) return
        drawnAt = now
        drawn = true
        const rate = { elapsedMs: now - startedAt, movedBytes: doneBytes - startedBytes }
        const line = formatProgress({ what, doneBytes, totalBytes, ...rate })
        stream.write(CLEAR_LINE + printableLine(line, (stream.columns ?? 80) - 1))
      },
    },
    clear() {
      if (drawn) stream.write(CLEAR_LINE)
      drawn = false
    },
  }
}

export interface ProgressFacts {
  readonly what: string
  readonly doneBytes: number
  /** 0 when it is not known. By experience, so what is done may be more. */
  readonly totalBytes: number
  readonly elapsedMs: number
  readonly movedBytes: number
}

/** `saving static/web: 120 MiB of 480 MiB, 25 %, 60 MiB/s, 6 s left` */
export function formatProgress({ what, doneBytes, totalBytes, elapsedMs, movedBytes }: ProgressFacts): string {
  const known = totalBytes > 0 && doneBytes <= totalBytes
  const bytesPerMs = elapsedMs >= RATE_AFTER_MS ? movedBytes / elapsedMs : 0
  const parts = [
    known ? `${formatSize(doneBytes)} of ${formatSize(totalBytes)}` : formatSize(doneBytes),
    ...(known ? [`${Math.floor((doneBytes / totalBytes) * 100)} %`] : []),
    ...(bytesPerMs > 0 ? [`${formatSize(bytesPerMs * 1000)}/s`] : []),
    ...(bytesPerMs > 0 && known ? [`${formatDuration((totalBytes - doneBytes) / bytesPerMs)} left`] : []),
  ]
  return `${what}: ${parts.join(', ')}`
}
