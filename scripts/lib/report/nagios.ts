/**
 * A report as a monitoring plugin prints it (Nagios, Icinga, Naemon, Centreon, Checkmk).
 * Source: monitoring-plugins.org/doc/guidelines.html: one line of status, `|` and performance data, then long output.
 * The exit code is the verdict's; this is only the text.
 */
import type { BuiltReport } from './build.ts'
import { nameOf, problemsOf } from './fold.ts'
import type { Finding, Measure } from './types.ts'

/** Nagios 4 and NRPE 3 keep 8 KiB of a plugin's output; a little is left for the transport. */
const MAX_OUTPUT_BYTES = 8_000
const MAX_STATUS_BYTES = 1_000
const MAX_PERFDATA_BYTES = 4_000

/** @returns the status line with its performance data, then one line per problem; at most 8,000 bytes */
export function renderNagios(report: BuiltReport): string {
  const status = cutBytes(
    `OPSKIT ${report.verdict.severity.toUpperCase()} - ${inert(report.verdict.summary)}`,
    MAX_STATUS_BYTES,
  )
  const perfdata = formatPerfdata(report)
  const first = perfdata === '' ? status : `${status} | ${perfdata}`
  const details = problemsOf(report.findings).flatMap((finding) => formatProblem(finding))
  const room = MAX_OUTPUT_BYTES - byteLength(first) - 80
  const kept = takeBytes(details, room, '\n')
  const more = details.length - kept.length
  return `${[first, ...kept, ...(more > 0 ? [`(${more} more lines left out)`] : [])].join('\n')}\n`
}

function formatProblem(finding: Finding): string[] {
  const { severity, host, title, evidence, cause, next } = finding
  const what = `[${severity.toUpperCase()}] ${host} ${nameOf(finding)}: ${title}${evidence ? ` (${evidence})` : ''}`
  return [what, ...(cause ? [`  likely cause: ${cause}`] : []), ...(next ? [`  next: ${next}`] : [])].map(inert)
}

/** Items separated by spaces; the worst findings' first, whole items only. */
function formatPerfdata(report: BuiltReport): string {
  const several = report.hosts.length > 1
  const used = new Set<string>()
  const items = report.findings.flatMap((finding) =>
    (finding.measures ?? []).map((measure) =>
      formatMeasure(uniqueLabel(labelOf(finding, measure, several), used), measure),
    ),
  )
  return takeBytes(items, MAX_PERFDATA_BYTES, ' ').join(' ')
}

/** `'label'=value[UOM];[warn];[crit];[min];[max]`, empty fields at the end left out. */
function formatMeasure(label: string, { value, unit, warn, crit, min, max }: Measure): string {
  const limits = [min, max].map((limit) => (limit === undefined ? '' : formatNumber(limit)))
  const fields = [`${formatNumber(value)}${unit ?? ''}`, warn ?? '', crit ?? '', ...limits]
  return `'${label.replaceAll("'", "''")}'=${fields.join(';').replace(/;+$/, '')}`
}

/**
 * The same for every run, whatever else was found: graphs are kept by this name.
 * With several hosts each label begins with its host. `=` is not allowed in labels.
 */
function labelOf(finding: Finding, { label }: Measure, several: boolean): string {
  const subject = finding.subject !== undefined && !label.includes(finding.subject) ? [finding.subject] : []
  return inert([...(several ? [finding.host] : []), finding.check, ...subject, label].join(' ')).replaceAll('=', ':')
}

function uniqueLabel(label: string, used: Set<string>): string {
  let unique = label
  for (let times = 2; used.has(unique); times += 1) unique = `${label} ${times}`
  used.add(unique)
  return unique
}

/** Digits, a minus and a point: the guidelines know no exponent. */
function formatNumber(value: number): string {
  if (Number.isInteger(value)) return BigInt(value).toString()
  return value.toFixed(6).replace(/\.?0+$/, '')
}

/** A pipe would begin performance data; angle brackets are HTML to web front ends that do not escape. */
function inert(text: string): string {
  return text.replaceAll('|', '¦').replaceAll('<', '‹').replaceAll('>', '›')
}

function takeBytes(items: readonly string[], maxBytes: number, separator: string): string[] {
  let used = 0
  const end = items.findIndex((item) => (used += byteLength(item) + separator.length) > maxBytes)
  return end === -1 ? [...items] : items.slice(0, end)
}

/** Cut on a character, never inside one. */
function cutBytes(text: string, maxBytes: number): string {
  if (byteLength(text) <= maxBytes) return text
  return `${takeBytes([...text], maxBytes - 3, '').join('')}…`
}

function byteLength(text: string): number {
  return Buffer.byteLength(text)
}
