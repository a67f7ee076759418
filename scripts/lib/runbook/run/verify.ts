/** Asks whether an effect is there, again and again until it is or its time is over. */
import type { Evidence } from '../incident/types.ts'
import type { Verify } from '../types.ts'
import { runTask, type TaskTools } from './task.ts'

export interface VerifyResult {
  readonly result: 'ok' | 'failed' | 'interrupted'
  readonly because: string
  readonly evidence: Evidence
}

/** Between two questions. */
const PAUSE_MS = 1_000

export async function runVerify(verify: Verify, tools: TaskTools): Promise<VerifyResult> {
  const { context, signal } = tools
  const { clock } = context
  const endsAt = clock.monotonic() + verify.withinMs
  for (;;) {
    const asked = await askOnce(verify, tools)
    const leftMs = endsAt - clock.monotonic()
    if (asked.result !== 'failed' || leftMs <= 0) return asked
    await clock.sleep(Math.min(PAUSE_MS, leftMs), signal).catch(() => undefined)
    if (signal.aborted) return { ...asked, result: 'interrupted', because: 'interrupted while it was verified' }
  }
}

async function askOnce(verify: Verify, tools: TaskTools): Promise<VerifyResult> {
  const { result, because, evidence, output } = await runTask(verify, 'verify', tools)
  if (result !== 'ok') return { result, because: `verify: ${because}`, evidence }
  const expected = verify.expect === undefined ? undefined : tools.words.text(verify.expect)
  if (expected === undefined || output.includes(expected)) return { result, because: 'verified', evidence }
  return {
    result: 'failed',
    because: `verify: the answer does not hold ${JSON.stringify(tools.context.redact(expected))}`,
    evidence,
  }
}
