/** One measured line of `npm run bench`. */
export interface BenchRow {
  readonly name: string
  readonly ours: number
  /** What the other program took in the same run. */
  readonly peer?: number
  /** What it is: `cockatiel`, `restic`. */
  readonly peerName?: string
  readonly unit: string
  /** ours / peer: under 1 is better than the peer. */
  readonly ratio?: number
  /** Most that ours may be. */
  readonly target?: number
  /** The target is for the ratio. */
  readonly isRatio?: true
  readonly met: boolean
}

/** The middle of the figures; of an even number, the mean of the two in the middle. */
export function median(figures: readonly number[]): number {
  const sorted = [...figures].sort((a, b) => a - b)
  const middle = sorted.length / 2
  return ((sorted[Math.ceil(middle) - 1] ?? Number.NaN) + (sorted[Math.floor(middle)] ?? Number.NaN)) / 2
}

/** Adds the ratio, and whether the target was met. */
export function rowOf(row: Omit<BenchRow, 'met' | 'ratio'>): BenchRow {
  return {
    ...row,
    ...(row.peer === undefined ? {} : { ratio: row.ours / row.peer }),
    met: row.target === undefined || row.ours <= row.target,
  }
}
