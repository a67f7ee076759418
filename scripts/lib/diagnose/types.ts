/**
 * What a check is. Each check looks at one thing, knows what it needs, and answers within its own deadline.
 *
 * Looking and deciding are two functions in each check's file: `read…` returns facts, `decide…` is pure and returns
 * findings. The engine (run.ts) runs all checks at once, gives each its deadline, and turns a late or failed one into
 * an `unknown` finding, so a check may simply throw.
 */
import type { Config, DiagnoseConfig, SecretRef } from '../config/types.ts'
import type { ActionContext } from '../action/types.ts'
import type { Clock } from '../core/clock.ts'
import type { Secret } from '../core/secret.ts'
import type { Host } from '../host/types.ts'
import type { FirstSample } from './host/local-vitals.ts'
import type { Fact, Finding, Measure, Severity } from '../report/types.ts'

export type CheckGroup = 'host' | 'network' | 'service' | 'container' | 'http' | 'database' | 'backup' | 'endpoint'

/** Turns a reference of the config into its secret, when it is needed and not before. */
export type SecretResolver = (ref: SecretRef) => Promise<Secret>

export interface CheckContext {
  /** The machine that is looked at. Checks use its reading half (`read`, `get`, `stream`). */
  readonly host: Host
  /** The name to put into findings. */
  readonly name: string
  readonly config: Config
  readonly settings: DiagnoseConfig
  readonly clock: Clock
  readonly resolveSecret: SecretResolver
  /** Aborted at this check's deadline, or when the operator interrupts. */
  readonly signal: AbortSignal
  /** Milliseconds this check has. */
  readonly timeoutMs: number
  /** Of this machine, when it was taken early. */
  readonly firstSample?: FirstSample | undefined
}

/** What the runbook of a finding must be told beyond its host and subject. Not shown. */
export interface About {
  /** By its name, where the subject is something else. */
  readonly container?: string
  /** Of a compose file, and the file. */
  readonly service?: string
  readonly compose?: string
  /** The name a certificate is for. */
  readonly domain?: string
}

/** A finding before the engine adds host, check and duration. */
export interface CheckFinding {
  readonly subject?: string
  readonly severity: Severity
  readonly title: string
  readonly evidence?: string
  readonly cause?: string
  readonly next?: string
  readonly lines?: readonly string[]
  readonly measures?: readonly Measure[]
  /** When one reader serves several checks (host), the name of the check this finding belongs to. */
  readonly check?: string
  readonly about?: About
}

export interface CheckResult {
  readonly findings: readonly CheckFinding[]
  /** Shown at the head of the report, in order: `["uptime", "12 d 4 h"]`. */
  readonly facts?: readonly Fact[]
}

export interface Check {
  /** Dotted; `--only` and `--skip` match the whole name or a leading part (`host`, `host.disk`). */
  readonly name: string
  /** The names its findings carry when one reader serves several: `--only` and `--skip` match these, finding by finding. */
  readonly covers?: readonly string[]
  readonly group: CheckGroup
  /**
   * `machine`: looks at the machine itself, so it runs on every diagnosed host, over SSH too.
   * `vantage`: looks outward from where opskit runs (targets, URLs, databases), so it runs once.
   */
  readonly scope: 'machine' | 'vantage'
  /** Own deadline in ms when it differs from `diagnose.check_timeout`. */
  readonly timeoutMs?: number
  run(context: CheckContext): Promise<CheckResult>
}

/** Checks of another room, handed in from the entry floor: rooms of this floor do not know each other. */
export interface MoreChecks {
  /** Known to `--only` and `--skip` though the config may ask for none of them. */
  readonly names: readonly string[]
  /** Those that this config asks for. */
  of(context: ActionContext): Promise<readonly Check[]>
}

export type { Fact, Finding, Measure, Severity }
