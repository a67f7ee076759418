/**
 * The look of `diagnose.run`: hosts and checks from its parameters, a report from its findings. The command line calls
 * it with flags that are typed already: a schema for them would cost it 90 ms (action.ts has it, for everybody else).
 */
import type { LookAction } from '../action/types.ts'
import type { Finding, Report } from '../report/types.ts'
import { checksOf, CONFIGURED_CHECKS } from './checks.ts'
import { diagnoseFleet } from './fleet.ts'
import type { FirstSample } from './host/local-vitals.ts'
import { isSelected, selectChecks } from './select.ts'
import type { MoreChecks } from './types.ts'

export interface DiagnoseParams {
  /** Names of configured hosts; empty: this machine. */
  readonly hosts: readonly string[]
  /** This machine and every configured host reached over SSH. */
  readonly all: boolean
  readonly only: readonly string[]
  readonly skip: readonly string[]
  /** Milliseconds; default: `diagnose.deadline` and `diagnose.window` of the config. */
  readonly deadlineMs?: number | undefined
  readonly windowMs?: number | undefined
}

export interface DiagnoseOptions {
  /** The window of the first look begins here: the command line takes it before it loads the rest of the program. */
  readonly firstSample?: FirstSample | undefined
  /** Monotonic milliseconds from which the deadline counts: the start of the program. Default: of the look. */
  readonly deadlineFrom?: number | undefined
  readonly more?: readonly MoreChecks[]
}

export function createDiagnoseLook({ firstSample, deadlineFrom, more = [] }: DiagnoseOptions = {}): Pick<
  LookAction<DiagnoseParams>,
  'name' | 'look'
> {
  return {
    name: 'diagnose.run',
    async look(context, { hosts, all, only, skip, deadlineMs, windowMs }): Promise<Report> {
      const { clock, config, localName } = context
      const startedAt = clock.now()
      const began = clock.monotonic()
      const names = namesOf({ hosts, all }, localName, config.hosts)
      const others = (await Promise.all(more.map((room) => room.of(context)))).flat()
      const known = [...CONFIGURED_CHECKS, ...more.flatMap((room) => room.names)]
      const checks = selectChecks([...checksOf(config), ...others], { only, skip }, known)
      // What a reader says under its own name (not installed, not finished) belongs to each of the names it covers.
      const whole = new Set(['host.reachable', ...checks.map((check) => check.name)])
      const diagnosis = await diagnoseFleet({
        ...context,
        names,
        firstSample,
        checks,
        config: windowMs === undefined ? config : { ...config, diagnose: { ...config.diagnose, window: windowMs } },
        deadlineMs: remaining(deadlineMs ?? config.diagnose.deadline, clock.monotonic() - (deadlineFrom ?? began)),
      })
      return {
        title: `Diagnosis of ${names.length === 1 ? names[0] : `${names.length} hosts`}`,
        findings: [
          ...diagnosis.findings.filter(({ check }) => whole.has(check) || isSelected(check, { only, skip })),
          ...(checks.length === 0 ? [nothingToLookAt(only, localName)] : []),
        ],
        facts: diagnosis.facts,
        startedAt,
        durationMs: clock.monotonic() - began,
      }
    },
  }
}

/** However long loading took, the checks get half of what was asked. */
function remaining(deadlineMs: number, spentMs: number): number {
  return Math.round(Math.max(deadlineMs / 2, deadlineMs - spentMs))
}

function nothingToLookAt(only: readonly string[], host: string): Finding {
  const check = only[0] ?? 'diagnose'
  return {
    check,
    host,
    severity: 'skipped',
    title: `nothing to look at for ${check}`,
    evidence: 'opskit.yaml names nothing for it',
    next: 'npx zx scripts/config.ts show',
  }
}

type ConfiguredHosts = Readonly<Record<string, { readonly ssh: object } | { readonly container: object }>>

/** `localhost` is another word for this machine; a name given twice counts once. */
function namesOf(
  { hosts, all }: Pick<DiagnoseParams, 'hosts' | 'all'>,
  localName: string,
  configured: ConfiguredHosts,
): string[] {
  const overSsh = Object.entries(configured).flatMap(([name, host]) => ('ssh' in host ? [name] : []))
  const asked = all ? [localName, ...overSsh] : hosts.length === 0 ? [localName] : hosts
  return [...new Set(asked.map((name) => (name === 'localhost' ? localName : name)))]
}
