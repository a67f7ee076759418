/** What a check is handed, for tests that run one check on this machine against real servers. */
import { configSchema, type Config } from '../../scripts/lib/config/schema/index.ts'
import type { SecretRef } from '../../scripts/lib/config/types.ts'
import { systemClock } from '../../scripts/lib/core/clock.ts'
import { Secret } from '../../scripts/lib/core/secret.ts'
import type { Check, CheckContext, CheckFinding } from '../../scripts/lib/diagnose/types.ts'
import { openLocalHost } from '../../scripts/lib/host/local.ts'

/** A config as opskit.yaml would give it. */
export function configOf(yaml: { diagnose?: unknown; hosts?: unknown } = {}): Config {
  return configSchema.parse(yaml)
}

export interface ContextOptions {
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
  /** Values of `{ env: NAME }` references. */
  readonly secrets?: Readonly<Record<string, string>>
}

export function contextOf(config: Config, options: ContextOptions = {}): CheckContext {
  const { timeoutMs = config.diagnose.check_timeout, signal = AbortSignal.timeout(30_000), secrets = {} } = options
  return {
    host: openLocalHost(),
    name: 'localhost',
    config,
    settings: config.diagnose,
    clock: systemClock,
    signal,
    timeoutMs,
    resolveSecret: async (ref: SecretRef) => new Secret('env' in ref ? (secrets[ref.env] ?? '') : '', 'test'),
  }
}

/** Runs checks side by side as the engine does, each with its own deadline. */
export async function runChecks(
  checks: readonly Check[],
  config: Config,
  options: ContextOptions = {},
): Promise<CheckFinding[]> {
  const results = await Promise.all(
    checks.map((check) => {
      const timeoutMs = check.timeoutMs ?? config.diagnose.check_timeout
      return check.run(contextOf(config, { timeoutMs, ...options }))
    }),
  )
  return results.flatMap(({ findings }) => findings)
}
