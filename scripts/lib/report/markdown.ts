/**
 * A report as Markdown that reads well on GitHub and as plain text.
 *
 * Outside text can neither format nor link nor address anyone: HTML characters become entities, Markdown characters
 * are escaped, and what GitHub would turn into a link, a mention or a reference by itself (`https://`, `@name`, `#12`)
 * stands in a code span. Syntax: GitHub Flavored Markdown Spec 0.29.
 */
import { formatDuration } from '../core/duration.ts'
import type { BuiltReport } from './build.ts'
import { foldPassing, foldSkipped, nameOf, problemsOf } from './fold.ts'
import { formatMoment } from './moment.ts'
import { formatRunbookCommand } from './runbook.ts'
import { formatCounts } from './severity.ts'
import type { Change, Fact, Finding, Severity, Table } from './types.ts'

/** Shapes and colours that GitHub and most viewers draw; the word always stands beside them. */
const MARK_OF: Readonly<Record<Severity, string>> = {
  critical: '🔴',
  warning: '🟠',
  unknown: '🟣',
  ok: '🟢',
  skipped: '⚪',
}

export function renderMarkdown(report: BuiltReport): string {
  const { verdict } = report
  const sections = [
    `# ${escapeMarkdown(report.title)}`,
    `**${MARK_OF[verdict.severity]} ${verdict.severity.toUpperCase()}**: ${escapeMarkdown(verdict.summary)}`,
    `${formatMoment(report.startedAt)}, took ${formatDuration(report.durationMs)}`,
    ...(report.hosts.length > 1 ? [showHosts(report)] : []),
    ...report.hosts.flatMap(({ name }) => showFacts(name, report.facts[name] ?? [], report.hosts.length > 1)),
    ...showChanges(report.changes),
    ...problemsOf(report.findings).flatMap((finding) => showProblem(finding, report.hosts.length > 1)),
    ...showPassing(report.findings),
    ...showSkipped(report.findings),
    ...report.tables.flatMap((table) => [`## ${escapeMarkdown(table.title)}`, formatMarkdownTable(table)]),
    ...(report.omitted > 0 ? [`${report.omitted} of the least bad findings are left out.`] : []),
  ]
  return `${sections.join('\n\n')}\n`
}

/**
 * One line of outside text as inline Markdown. It renders as exactly the text, in code style where it could be more.
 */
export function escapeMarkdown(text: string): string {
  return text
    .split(/([ \t]+|[<>&|`\\]+)/)
    .map((part) => (AUTOLINKED.test(part) ? `\`${part}\`` : escapeCharacters(part)))
    .join('')
    .replace(/^(\s*\d+)([.)])(?=\s|$)/, '$1\\$2')
    .replace(/^(\s*)([-+=])/, '$1\\$2')
}

/** What GitHub turns into links, mentions, references, formulas or emoji outside of code. Never holds `<>&|` or backticks. */
const AUTOLINKED = /[@$]|:\/\/|www\.|#\d|GH-\d|:[+\w-]+:|^[0-9a-f]{7,40}$/i

/** Entities where even a careless Markdown reader could take the character for HTML, a code span or a table cell. */
const ENTITY_OF: Readonly<Record<string, string>> = {
  '<': '&lt;',
  '>': '&gt;',
  '&': '&amp;',
  '|': '&#124;',
  '`': '&#96;',
}

function escapeCharacters(text: string): string {
  return text.replace(/[\\*_[\]~#!]/g, '\\$&').replace(/[<>&|`]/g, (char) => ENTITY_OF[char] ?? char)
}

/** A GitHub table; every cell is escaped. */
export function formatMarkdownTable(table: Pick<Table, 'columns' | 'rows'>): string {
  if (table.columns.length === 0 || table.rows.length === 0) return '(none)'
  const row = (cells: readonly string[]) => `| ${cells.map(escapeMarkdown).join(' | ')} |`
  return [row(table.columns), `|${' --- |'.repeat(table.columns.length)}`, ...table.rows.map(row)].join('\n')
}

function showHosts({ hosts }: BuiltReport): string {
  const rows = hosts.map(({ name, severity, counts }) => [
    name,
    `${MARK_OF[severity]} ${severity.toUpperCase()}`,
    formatCounts(counts),
  ])
  return formatMarkdownTable({ columns: ['host', 'state', 'findings'], rows })
}

function showFacts(host: string, facts: readonly Fact[], several: boolean): string[] {
  if (facts.length === 0) return []
  const items = facts.map(([name, value]) => `${escapeMarkdown(name)} **${escapeMarkdown(value)}**`).join(' · ')
  return [several ? `${escapeMarkdown(host)}: ${items}` : items]
}

function showChanges(changes: BuiltReport['changes']): string[] {
  if (!changes) return []
  const since = escapeMarkdown(changes.since)
  if (changes.list.length === 0) return [`No change since ${since}.`]
  const rows = changes.list.map((change: Change) => [
    change.host,
    nameOf(change),
    `${change.was} → ${change.is}`,
    change.title,
  ])
  return [`## Changed since ${since}`, formatMarkdownTable({ columns: ['host', 'check', 'change', 'what'], rows })]
}

function showProblem(finding: Finding, several: boolean): string[] {
  const where = several ? `${escapeMarkdown(finding.host)}: ` : ''
  const evidence = finding.evidence ? `${escapeMarkdown(finding.evidence)} ` : ''
  return [
    `## ${MARK_OF[finding.severity]} ${finding.severity.toUpperCase()}: ${where}${escapeMarkdown(finding.title)}`,
    `${evidence}(${escapeMarkdown(nameOf(finding))})`,
    ...(finding.cause ? [`Likely cause: ${escapeMarkdown(finding.cause)}`] : []),
    ...(finding.lines ? [codeBlock(finding.lines, 'text')] : []),
    ...(finding.next ? ['Next:', codeBlock([finding.next], 'sh')] : []),
    ...(finding.runbook ? ['Runbook:', codeBlock([formatRunbookCommand(finding.runbook)], 'sh')] : []),
  ]
}

function showPassing(findings: readonly Finding[]): string[] {
  const groups = foldPassing(findings)
  if (groups.length === 0) return []
  const total = groups.reduce((sum, group) => sum + group.findings.length, 0)
  const rows = groups.map(({ group, findings: list, names }) => [
    group,
    String(list.length),
    names.map(([name, times]) => (times > 1 ? `${name} ×${times}` : name)).join(', '),
  ])
  return [`## ${MARK_OF.ok} ${total} ok`, formatMarkdownTable({ columns: ['group', 'ok', 'checks'], rows })]
}

function showSkipped(findings: readonly Finding[]): string[] {
  const reasons = foldSkipped(findings)
  if (reasons.length === 0) return []
  const total = reasons.reduce((sum, { times }) => sum + times, 0)
  const rows = reasons.map(({ checks, reason }) => [checks.join(', '), reason])
  return [`## ${MARK_OF.skipped} ${total} skipped`, formatMarkdownTable({ columns: ['check', 'because'], rows })]
}

/** A fence longer than any run of backticks inside it. */
function codeBlock(lines: readonly string[], language: 'text' | 'sh'): string {
  const longest = Math.max(2, ...lines.flatMap((line) => line.match(/`+/g) ?? []).map((run) => run.length))
  const fence = '`'.repeat(longest + 1)
  return [`${fence}${language}`, ...lines, fence].join('\n')
}
