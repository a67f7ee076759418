/** Contenders side by side: each round runs every one of them once, so that a busy minute is one for all. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { median, type BenchRow } from './types.ts'

const execute = promisify(execFile)
const ROUNDS = 3
/** Whatever the size. */
const MOST_MIB = 150

export interface Contender {
  readonly name: string
  readonly run: () => Promise<unknown>
  /** Before each run, not measured. */
  readonly prepare?: () => Promise<unknown>
  /** In the first round only: for what is slow and far from the target. */
  readonly once?: boolean
}

/** Seconds of each run, by name. */
export type Times = ReadonlyMap<string, readonly number[]>

export async function race(contenders: readonly Contender[]): Promise<Times> {
  const times = new Map<string, number[]>()
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const { name, run, prepare, once } of contenders) {
      if (once && round > 0) continue
      await prepare?.()
      times.set(name, [...(times.get(name) ?? []), await timed(run)])
    }
  }
  return times
}

/** Wall clock seconds. */
export async function timed(run: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now()
  await run()
  return (performance.now() - startedAt) / 1_000
}

export interface Pair {
  /** Default: `ours`. */
  readonly ours?: string
  readonly peer: string
  readonly peerName: string
  /** Most that the ratio may be. */
  readonly target: number
}

/** The ratio is the median of the rounds' ratios; of a peer that ran once, of the ratios to that run. */
export function ratioRow(name: string, times: Times, { ours: own = 'ours', peer, peerName, target }: Pair): BenchRow {
  const [ours, theirs] = [times.get(own) ?? [], times.get(peer) ?? []]
  const ratio = median(ours.map((time, round) => time / (theirs[round] ?? theirs[0] ?? Number.NaN)))
  return {
    ...{ name, ours: median(ours), peer: median(theirs), peerName, unit: 's' },
    ...{ ratio, target, isRatio: true, met: ratio <= target },
  }
}

/**
 * Of a process that does nothing else.
 * @param module a URL @param call a call of one of its exports: `backUp("/x")`
 */
export async function memoryRow(name: string, module: string, call: string): Promise<BenchRow> {
  const script = `import * as bench from ${JSON.stringify(module)}
await bench.${call}
console.log(process.resourceUsage().maxRSS / 1024)`
  const { stdout } = await execute(process.execPath, ['--input-type=module', '-e', script])
  const mib = Number(stdout)
  return { name: `${name}, memory at most`, ours: mib, unit: 'MiB', target: MOST_MIB, met: mib <= MOST_MIB }
}

export async function shell(line: string, env: NodeJS.ProcessEnv = {}): Promise<void> {
  await execute('bash', ['-o', 'pipefail', '-c', line], { env: { ...process.env, ...env }, maxBuffer: 64 * 1024 ** 2 })
}
