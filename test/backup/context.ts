/** An action's context with everything real in it: config as the schema reads it, hosts, a journal on disk. */
import { onTestFinished } from 'vitest'
import { runAction } from '../../scripts/lib/action/run.ts'
import type { ActionContext } from '../../scripts/lib/action/types.ts'
import { resolveSecret } from '../../scripts/lib/config/index.ts'
import { configSchema } from '../../scripts/lib/config/schema/index.ts'
import { findAction } from '../../scripts/lib/catalog.ts'
import { systemClock } from '../../scripts/lib/core/clock.ts'
import { silentLog } from '../../scripts/lib/core/log.ts'
import { createHosts } from '../../scripts/lib/host/index.ts'
import { openJournal } from '../../scripts/lib/journal/index.ts'
import type { PlanResult } from '../../scripts/lib/plan/types.ts'
import { tempDir } from '../support/temp.ts'

export interface ContextOptions {
  /** As in opskit.yaml. */
  readonly config: Record<string, unknown>
  readonly stateDir?: string
  readonly change?: Partial<ActionContext>
}

export async function makeContext({ config, stateDir, change = {} }: ContextOptions): Promise<ActionContext> {
  const parsed = configSchema.parse(config)
  const clock = change.clock ?? systemClock
  const journal = openJournal({ dir: stateDir ?? (await tempDir('state')), clock, redact: (value) => value })
  const resolve: ActionContext['resolveSecret'] = (ref) => resolveSecret(ref, { env: process.env })
  const hosts = createHosts({ config: parsed, resolveSecret: resolve, sshConfigPath: '/dev/null' })
  onTestFinished(async () => {
    await hosts.close()
    journal.close()
  })
  return {
    ...{ config: parsed, localName: 'this-host', hosts, journal, clock, log: silentLog },
    ...{ signal: new AbortController().signal, resolveSecret: resolve, redact: (text: string) => text },
    ...change,
  }
}

export async function act(context: ActionContext, action: string, params: object): Promise<PlanResult> {
  const result = await runAction(await findAction(action), params, context)
  if (result.kind !== 'applied') throw new Error(`${action} was not applied`)
  return result.result
}

interface Failure {
  readonly code: string
  readonly message: string
  readonly hint: string | undefined
}

/** What a run is refused or fails with: the cause, when everything was undone. */
export async function failureOf(work: Promise<unknown>): Promise<Failure> {
  try {
    await work
  } catch (error) {
    return describeFailure(error)
  }
  throw new Error('it did not fail')
}

function describeFailure(error: unknown): Failure {
  const failure = error as { code: string; message: string; cause?: unknown; details?: { hint?: string } }
  if (failure.code === 'ROLLED_BACK' && failure.cause) return describeFailure(failure.cause)
  return { code: failure.code, message: failure.message, hint: failure.details?.hint }
}
