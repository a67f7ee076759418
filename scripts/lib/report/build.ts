/**
 * The one gate between what checks return and what anyone sees.
 *
 * Whatever a report holds may come from outside: container names, log lines, headers, file names. Here every string is
 * redacted, made inert and bounded, findings that make no sense become `unknown`, and the worst come first. Renderers
 * take a `BuiltReport`, so the compiler refuses a report that did not pass.
 */
import { createCleaner, type Cleaner, type Redact } from './inert.ts'
import { parseRange } from './measure.ts'
import { countSeverities, rankOf, SEVERITIES, type SeverityCounts } from './severity.ts'
import type { Change, Fact, Finding, Measure, Report, RunbookLink, Severity, Table } from './types.ts'
import { decideVerdict, worstOf, type ReportVerdict, type VerdictSeverity } from './verdict.ts'

export interface HostSummary {
  readonly name: string
  readonly severity: VerdictSeverity
  readonly counts: SeverityCounts
}

/** A report that every output may show as it is. */
export interface BuiltReport extends Report {
  /** An entry for every host, empty where nothing is known. */
  readonly facts: Readonly<Record<string, readonly Fact[]>>
  readonly tables: readonly Table[]
  /** Over all findings, those that were left out included. */
  readonly verdict: ReportVerdict
  /** Worst first, then by name (`web-2` before `web-10`). */
  readonly hosts: readonly HostSummary[]
  /** How many of the least bad findings were left out to keep the report bounded; usually 0. */
  readonly omitted: number
}

export interface BuildOptions {
  /** Removes secrets from a text. Default: changes nothing. */
  readonly redact?: Redact
}

/** Ten hosts with a thousand containers each still fit; a page beyond that helps nobody. */
const MAX_FINDINGS = 10_000
const MAX_TABLES = 50
const MAX_ROWS = 2_000
const MAX_COLUMNS = 30
const MAX_FACTS = 50
const MAX_MEASURES = 50
const MAX_CHANGES = 1_000
const MAX_RUNBOOK_PARAMS = 20
const MAX_NAME_LENGTH = 120
/** RFC 1035: a host name has at most 253 characters. */
const MAX_HOST_LENGTH = 253
/** A command that is cut is worse than none, so it gets more room than prose. */
const MAX_COMMAND_LENGTH = 1_000
/** The last moment a Date can hold (ECMA-262, "Time Values"). */
const MAX_EPOCH_MS = 8.64e15
const UNITS: readonly unknown[] = ['s', 'ms', '%', 'B', 'c']

/** @returns a new report; the input is not changed. Never throws: a report of a bad moment must still be shown. */
export function buildReport(input: Report, { redact = (text) => text }: BuildOptions = {}): BuiltReport {
  const clean = createCleaner(redact)
  const all = input.findings
    .map((finding) => cleanFinding(finding, clean))
    .sort((a, b) => rankOf(a.severity) - rankOf(b.severity))
  const facts = cleanFacts(input.facts ?? {}, clean)
  const hosts = summarizeHosts(all, [...facts.keys()])
  return {
    title: clean.line(input.title),
    findings: all.slice(0, MAX_FINDINGS),
    facts: Object.fromEntries(hosts.map(({ name }) => [name, facts.get(name) ?? []])),
    tables: (input.tables ?? []).slice(0, MAX_TABLES).map((table) => cleanTable(table, clean)),
    ...(input.changes && {
      changes: {
        since: clean.line(input.changes.since, MAX_NAME_LENGTH),
        list: input.changes.list.slice(0, MAX_CHANGES).map((change) => cleanChange(change, clean)),
      },
    }),
    startedAt: Math.abs(input.startedAt) <= MAX_EPOCH_MS ? input.startedAt : 0,
    durationMs: Number.isFinite(input.durationMs) ? Math.max(0, input.durationMs) : 0,
    verdict: decideVerdict(all),
    hosts,
    omitted: Math.max(0, all.length - MAX_FINDINGS),
  }
}

function cleanFinding(finding: Finding, clean: Cleaner): Finding {
  const check = clean.line(finding.check, MAX_NAME_LENGTH) || 'unnamed'
  const known = isSeverity(finding.severity)
  const text = (value: string | undefined, maxLength?: number) =>
    value === undefined ? undefined : clean.line(value, maxLength) || undefined
  const lines = finding.lines?.length ? clean.lines(finding.lines) : undefined
  const measures = finding.measures?.slice(0, MAX_MEASURES).flatMap((measure) => cleanMeasure(measure, clean))
  return withoutUndefined({
    check,
    subject: text(finding.subject),
    host: clean.line(finding.host, MAX_HOST_LENGTH) || 'unnamed',
    severity: known ? finding.severity : 'unknown',
    title: clean.line(finding.title) || `${check} gave no result`,
    evidence: text(finding.evidence),
    cause: text(finding.cause),
    next: text(finding.next, MAX_COMMAND_LENGTH),
    runbook: finding.runbook && cleanRunbook(finding.runbook, clean),
    lines,
    measures: measures?.length ? measures : undefined,
    durationMs: Number.isFinite(finding.durationMs) ? finding.durationMs : undefined,
  })
}

function cleanRunbook({ id, params }: RunbookLink, clean: Cleaner): RunbookLink {
  const pairs = Object.entries(params).slice(0, MAX_RUNBOOK_PARAMS)
  return {
    id: clean.line(id, MAX_NAME_LENGTH),
    params: Object.fromEntries(pairs.map(([name, value]) => [clean.line(name, MAX_NAME_LENGTH), clean.line(value)])),
  }
}

/** A number that is none, or a range that says nothing, would be misread by whoever graphs it: left out. */
function cleanMeasure(measure: Measure, clean: Cleaner): Measure[] {
  if (!Number.isFinite(measure.value)) return []
  const range = (text: string | undefined) => (text !== undefined && parseRange(text) ? text : undefined)
  return [
    withoutUndefined({
      label: clean.line(measure.label, MAX_NAME_LENGTH) || 'value',
      value: measure.value,
      unit: UNITS.includes(measure.unit) ? measure.unit : undefined,
      warn: range(measure.warn),
      crit: range(measure.crit),
      min: Number.isFinite(measure.min) ? measure.min : undefined,
      max: Number.isFinite(measure.max) ? measure.max : undefined,
    }),
  ]
}

function cleanFacts(facts: Readonly<Record<string, readonly Fact[]>>, clean: Cleaner): Map<string, Fact[]> {
  return new Map(
    Object.entries(facts).map(([host, list]) => [
      clean.line(host, MAX_HOST_LENGTH) || 'unnamed',
      list.slice(0, MAX_FACTS).map(([name, value]): Fact => [clean.line(name, MAX_NAME_LENGTH), clean.line(value)]),
    ]),
  )
}

/** Every row gets as many cells as there are columns. */
function cleanTable(table: Table, clean: Cleaner): Table {
  const columns = table.columns.slice(0, MAX_COLUMNS).map((column) => clean.line(column, MAX_NAME_LENGTH))
  return {
    title: clean.line(table.title),
    columns,
    rows: table.rows.slice(0, MAX_ROWS).map((row) => columns.map((_, index) => clean.line(row[index] ?? ''))),
  }
}

function cleanChange(change: Change, clean: Cleaner): Change {
  const state = (value: Change['was']) => (value === 'absent' || isSeverity(value) ? value : 'unknown')
  return withoutUndefined({
    host: clean.line(change.host, MAX_HOST_LENGTH) || 'unnamed',
    check: clean.line(change.check, MAX_NAME_LENGTH) || 'unnamed',
    subject: change.subject === undefined ? undefined : clean.line(change.subject) || undefined,
    was: state(change.was),
    is: state(change.is),
    title: clean.line(change.title),
  })
}

function summarizeHosts(findings: readonly Finding[], factHosts: readonly string[]): HostSummary[] {
  const byHost = new Map<string, Finding[]>(factHosts.map((host) => [host, []]))
  for (const finding of findings) {
    const list = byHost.get(finding.host)
    if (list) list.push(finding)
    else byHost.set(finding.host, [finding])
  }
  return [...byHost]
    .map(([name, list]) => {
      const counts = countSeverities(list)
      return { name, severity: worstOf(counts), counts }
    })
    .sort((a, b) => rankOf(a.severity) - rankOf(b.severity) || a.name.localeCompare(b.name, 'en', { numeric: true }))
}

function isSeverity(value: string): value is Severity {
  return (SEVERITIES as readonly string[]).includes(value)
}

/** Absent in place of `undefined`, so that two equal reports are equal as JSON and in tests. */
function withoutUndefined<T extends object>(value: { [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(value).filter(([, entry]) => entry !== undefined)) as T
}
