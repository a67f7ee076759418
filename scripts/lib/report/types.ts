/**
 * What a look at machines found, in a form that every output (text, JSON, Markdown, HTML, monitoring plugin) can show.
 */

/** `skipped`: what the check needs is not here. `unknown`: the check could not finish. Neither is ever `ok`. */
export type Severity = 'ok' | 'warning' | 'critical' | 'unknown' | 'skipped'

/** A number behind a finding, for monitoring plugins and charts. */
export interface Measure {
  readonly label: string
  readonly value: number
  /** A unit of the monitoring-plugin guidelines: `s`, `ms`, `%`, `B`, `c` (counter) or none. */
  readonly unit?: 's' | 'ms' | '%' | 'B' | 'c'
  /** Monitoring-plugin range that gives a warning or a critical when the value is outside of it, e.g. `~:80`. */
  readonly warn?: string
  readonly crit?: string
  readonly min?: number
  readonly max?: number
}

/** The runbook that a finding leads to, with what it must be told: `runbook.ts start ID --param NAME=VALUE`. */
export interface RunbookLink {
  readonly id: string
  readonly params: Readonly<Record<string, string>>
}

export interface Finding {
  /** Dotted name of the check, fixed: `host.disk`, `nginx.config`, `container.health`. */
  readonly check: string
  /** What of several: a mount, a container, a target. */
  readonly subject?: string
  readonly host: string
  readonly severity: Severity
  /** What, in one short sentence without a full stop: `/var is almost full`. */
  readonly title: string
  /** The observation against its threshold: `97 % used, critical from 95 %`. */
  readonly evidence?: string
  /** The likely cause, when one can be named. */
  readonly cause?: string
  /** The next command, as it would be typed. */
  readonly next?: string
  readonly runbook?: RunbookLink
  /** Lines that belong to it (log lines), already bounded. */
  readonly lines?: readonly string[]
  readonly measures?: readonly Measure[]
  readonly durationMs?: number
}

export interface Table {
  readonly title: string
  readonly columns: readonly string[]
  /** Cells as text; the renderer aligns columns that hold only numbers to the right. */
  readonly rows: readonly (readonly string[])[]
}

/** A named value at the head of a report: `["uptime", "12 d 4 h"]`. */
export type Fact = readonly [name: string, value: string]

/** What changed since a baseline. */
export interface Change {
  readonly host: string
  readonly check: string
  readonly subject?: string
  readonly was: Severity | 'absent'
  readonly is: Severity | 'absent'
  readonly title: string
}

export interface Report {
  /** `Diagnosis of web-1`. */
  readonly title: string
  /** Worst first within the renderer; order here is free. */
  readonly findings: readonly Finding[]
  /** Facts per host, in display order. */
  readonly facts?: Readonly<Record<string, readonly Fact[]>>
  readonly tables?: readonly Table[]
  readonly changes?: { readonly since: string; readonly list: readonly Change[] }
  /** Wall clock, milliseconds since the epoch. */
  readonly startedAt: number
  readonly durationMs: number
}
