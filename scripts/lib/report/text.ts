/**
 * A report for a tired operator at a terminal: the verdict first, then what is wrong, worst first, each with the next
 * command last and on a line of its own (never wrapped, so that it can be copied); good news folded at the end.
 * Lines from outside always stand behind a bar, so none of them can pass for a line of ours.
 */
import { formatDuration } from '../core/duration.ts'
import type { BuiltReport } from './build.ts'
import { foldPassing, foldSkipped, nameOf, problemsOf, reasonOf } from './fold.ts'
import { formatMoment } from './moment.ts'
import { formatRunbookCommand } from './runbook.ts'
import { formatCounts } from './severity.ts'
import { formatTable } from './table.ts'
import { createPaint, glyphsOf, withGlyphs, type Glyphs, type Paint } from './terminal.ts'
import type { Change, Finding, Table } from './types.ts'
import { displayWidth, padTo, wrapItems, wrapText } from './width.ts'

export interface TextOptions {
  readonly color?: boolean
  /** Terminal columns; absent: nothing is wrapped. Under 30 counts as 30. */
  readonly width?: number
  /** Shows every passing and skipped check. */
  readonly verbose?: boolean
  /** Default true; false draws symbols and rules in ASCII. */
  readonly unicode?: boolean
}

interface Page {
  readonly paint: Paint
  readonly glyphs: Glyphs
  readonly unicode: boolean
  readonly width: number
  readonly verbose: boolean
  /** More than one host: every finding says whose it is. */
  readonly several: boolean
}

const MIN_WIDTH = 30
/** Check groups are short words; whatever is longer gets no column of its own. */
const MAX_GROUP_WIDTH = 12

/** @returns the whole text, ending in one newline; the only control characters are newlines and SGR colours */
export async function renderText(report: BuiltReport, options: TextOptions = {}): Promise<string> {
  const { color = false, width = Number.POSITIVE_INFINITY, verbose = false, unicode = true } = options
  const page: Page = {
    paint: await createPaint(color),
    glyphs: glyphsOf(unicode),
    unicode,
    width: Math.max(width, MIN_WIDTH),
    verbose,
    several: report.hosts.length > 1,
  }
  const sections = [
    [...showVerdict(report, page), ...showMoment(report, page)],
    page.several ? showHosts(report, page) : [],
    ...showFacts(report, page),
    showChanges(report, page),
    ...problemsOf(report.findings).map((finding) => showProblem(finding, page)),
    showPassing(report, page),
    showSkipped(report, page),
    ...report.tables.map((table) => showTable(table, page)),
    showOmitted(report, page),
  ]
  const text = sections
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join('\n'))
    .join('\n\n')
  return `${text}\n`
}

function showVerdict({ verdict }: BuiltReport, page: Page): string[] {
  const text = `${page.glyphs.symbol[verdict.severity]} ${withGlyphs(verdict.sentence, page.unicode)}`
  return hanging(text, 2, page).map((line) => page.paint.severity(verdict.severity, line))
}

function showMoment({ title, startedAt, durationMs }: BuiltReport, page: Page): string[] {
  const items = [title, formatMoment(startedAt), `took ${formatDuration(durationMs)}`]
  return showItems(items, page).map((line) => page.paint.dim(line))
}

function showHosts({ hosts }: BuiltReport, page: Page): string[] {
  const rows = hosts.map(({ name, severity, counts }) => [
    name,
    `${page.glyphs.symbol[severity]} ${severity.toUpperCase()}`,
    formatCounts(counts),
  ])
  return [formatRows({ columns: ['host', 'state', 'findings'], rows }, page)]
}

/** One host: always. Several: with `verbose` only, because the table of hosts already takes a line for each. */
function showFacts({ facts, hosts }: BuiltReport, page: Page): string[][] {
  if (page.several && !page.verbose) return []
  return hosts
    .map(({ name }) => {
      const items = (facts[name] ?? []).map(([fact, value]) => `${fact} ${value}`)
      const heading = page.several ? wrapText(name, page.width).map((line) => page.paint.bold(line)) : []
      return items.length === 0 ? [] : [...heading, ...showItems(items, page)]
    })
    .filter((lines) => lines.length > 0)
}

function showChanges({ changes }: BuiltReport, page: Page): string[] {
  if (!changes) return []
  if (changes.list.length === 0) return hanging(`No change since ${changes.since}`, 2, page)
  return [
    ...hanging(`Changed since ${changes.since}`, 2, page).map((line) => page.paint.bold(line)),
    ...changes.list.flatMap((change) => showChange(change, page)),
  ]
}

function showChange(change: Change, page: Page): string[] {
  const { paint, glyphs } = page
  const now = change.is === 'absent' ? 'skipped' : change.is
  const where = page.several ? `${change.host} ` : ''
  const text = `${where}${nameOf(change)}: ${change.was} ${glyphs.arrow} ${change.is} ${glyphs.dash} ${change.title}`
  return hanging(text, 2, { ...page, width: page.width - 4 }).map((line, index) =>
    index === 0 ? `  ${paint.severity(now, glyphs.symbol[now])} ${line}` : `    ${line}`,
  )
}

function showProblem(finding: Finding, page: Page): string[] {
  const { paint } = page
  return [
    ...showHeadline(finding, page),
    ...(finding.evidence ? indented(finding.evidence, page) : []),
    ...(finding.cause ? indented(`likely cause: ${finding.cause}`, page) : []),
    ...(finding.lines ?? []).flatMap((line) => showOutsideLine(line, page)),
    ...(finding.next ? [`  next:`, `    ${paint.bold(finding.next)}`] : []),
    ...(finding.runbook ? [`  runbook:`, `    ${formatRunbookCommand(finding.runbook)}`] : []),
  ]
}

/** `✖ CRITICAL  web-1: /var is almost full  [host.disk /var]`; the name moves to a line of its own where it must. */
function showHeadline(finding: Finding, page: Page): string[] {
  const { paint, glyphs } = page
  const label = `${glyphs.symbol[finding.severity]} ${finding.severity.toUpperCase()}`
  const where = page.several ? `${finding.host}: ` : ''
  const [first = '', ...more] = hanging(`${label}  ${where}${finding.title}`, 2, page)
  const painted = paint.severity(finding.severity, first.slice(0, label.length)) + paint.bold(first.slice(label.length))
  const lines = [painted, ...more.map((line) => paint.bold(line))]
  const name = `[${nameOf(finding)}]`
  const lastWidth = displayWidth(more.at(-1) ?? first)
  if (lastWidth + 2 + displayWidth(name) > page.width) return [...lines, ...indented(name, page).map(paint.dim)]
  return [...lines.slice(0, -1), `${lines.at(-1)}  ${paint.dim(name)}`]
}

function showOutsideLine(line: string, page: Page): string[] {
  return hanging(line, 2, { ...page, width: page.width - 4 }).map((part) =>
    page.paint.dim(`  ${page.glyphs.bar} ${part}`.trimEnd()),
  )
}

function showPassing({ findings }: BuiltReport, page: Page): string[] {
  const groups = foldPassing(findings)
  const total = groups.reduce((sum, group) => sum + group.findings.length, 0)
  if (total === 0) return []
  const heading = page.paint.severity('ok', `${page.glyphs.symbol.ok} ${total} ok`)
  if (page.verbose)
    return [
      heading,
      ...showEach(
        groups.flatMap((group) => group.findings),
        page,
      ),
    ]
  const nameWidth = Math.min(MAX_GROUP_WIDTH, Math.max(...groups.map(({ group }) => displayWidth(group))))
  const countWidth = String(total).length
  const lines = groups.flatMap(({ group, findings: list, names }) => {
    const lead = `${padTo(group, nameWidth)}  ${String(list.length).padStart(countWidth)}  `
    const items = names.map(([name, times]) => (times > 1 ? `${name} ${page.glyphs.times}${times}` : name))
    if (displayWidth(group) > nameWidth) return indented(`${lead}${items.join(', ')}`, page)
    return columnOf(lead, wrapItems(items, ', ', page.width - 2 - displayWidth(lead)))
  })
  return [heading, ...lines]
}

function showSkipped({ findings }: BuiltReport, page: Page): string[] {
  const reasons = foldSkipped(findings)
  const total = reasons.reduce((sum, { times }) => sum + times, 0)
  if (total === 0) return []
  const heading = `${page.glyphs.symbol.skipped} ${total} skipped`
  const skipped = findings.filter(({ severity }) => severity === 'skipped')
  if (page.verbose) return [page.paint.dim(heading), ...showEach(skipped, page)]
  const items = reasons.map(({ checks, reason }) => `${checks.join(', ')} (${reason})`)
  const [first = '', ...rest] = wrapItems(items, '; ', page.width - 2)
  const oneLine = `${heading}: ${first}`
  const lines = displayWidth(oneLine) <= page.width ? [oneLine] : [`${heading}:`, `  ${first}`]
  return [...lines, ...rest.map((line) => `  ${line}`)].map((line) => page.paint.dim(line))
}

/** One row for each finding, for `verbose`. */
function showEach(findings: readonly Finding[], page: Page): string[] {
  const timed = findings.some(({ durationMs }) => durationMs !== undefined)
  const rows = findings.map((finding) => [
    ...(page.several ? [finding.host] : []),
    nameOf(finding),
    finding.severity === 'skipped' ? reasonOf(finding) : [finding.title, finding.evidence].filter(Boolean).join(', '),
    ...(timed ? [finding.durationMs === undefined ? '' : formatDuration(finding.durationMs)] : []),
  ])
  const columns = [...(page.several ? ['host'] : []), 'check', 'seen', ...(timed ? ['took'] : [])]
  return formatRows({ columns, rows }, { ...page, width: page.width - 2 })
    .split('\n')
    .map((line) => `  ${line}`.trimEnd())
}

function showTable(table: Table, page: Page): string[] {
  const body = table.rows.length === 0 ? page.paint.dim('  (none)') : formatRows(table, page)
  return [...hanging(table.title, 2, page).map((line) => page.paint.bold(line)), body]
}

function showOmitted({ omitted }: BuiltReport, page: Page): string[] {
  return omitted === 0 ? [] : hanging(`${omitted} of the least bad findings are left out`, 2, page)
}

function formatRows(table: Pick<Table, 'columns' | 'rows'>, page: Page): string {
  const width = Number.isFinite(page.width) ? { width: page.width } : {}
  return formatTable(table, { ...width, rule: page.glyphs.rule, heading: page.paint.dim })
}

function showItems(items: readonly string[], page: Page): string[] {
  return wrapItems(items, ` ${page.glyphs.dot} `, page.width)
}

/** Wraps with every line but the first indented. */
function hanging(text: string, indent: number, page: Page): string[] {
  const lines = wrapText(text, page.width, page.width - indent)
  return lines.map((line, index) => (index === 0 ? line : ' '.repeat(indent) + line))
}

function indented(text: string, page: Page): string[] {
  return hanging(text, 2, { ...page, width: page.width - 2 }).map((line) => `  ${line}`)
}

/** `lead` before the first line, as many spaces before the others, all two columns in. */
function columnOf(lead: string, lines: readonly string[]): string[] {
  const space = ' '.repeat(displayWidth(lead))
  return lines.map((line, index) => `  ${index === 0 ? lead : space}${line}`)
}
