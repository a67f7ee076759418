/**
 * A report as one JSON document, and back.
 *
 * The schema `opskit.report/1` is a promise to programs: fields may be added to it, none is renamed, removed or given
 * another meaning without a new number. test/report/json.test.ts holds its keys.
 */
import { messageOf, OpsError } from '../core/errors.ts'
import { buildReport, type BuiltReport, type BuildOptions } from './build.ts'
import type { SeverityCounts } from './severity.ts'
import type { Change, Finding, Table } from './types.ts'
import type { VerdictSeverity } from './verdict.ts'

export const REPORT_SCHEMA = 'opskit.report/1'

/** The document. Every text in it is redacted and inert; numbers are in the unit that their name carries. */
export interface JsonReport {
  readonly schema: typeof REPORT_SCHEMA
  readonly title: string
  /** ISO 8601, UTC. */
  readonly startedAt: string
  readonly durationMs: number
  readonly verdict: {
    readonly severity: VerdictSeverity
    readonly exitCode: number
    readonly sentence: string
    readonly counts: SeverityCounts
  }
  /** Worst first. */
  readonly hosts: readonly {
    readonly name: string
    readonly severity: VerdictSeverity
    readonly counts: SeverityCounts
    readonly facts: readonly { readonly name: string; readonly value: string }[]
  }[]
  /** Worst first, passing and skipped ones included. */
  readonly findings: readonly Finding[]
  readonly tables: readonly Table[]
  /** Null without a baseline. */
  readonly changes: { readonly since: string; readonly list: readonly Change[] } | null
  /** How many of the least bad findings were left out. */
  readonly omitted: number
}

/** The value of the document, for whoever embeds it in another. */
export function toJsonReport(report: BuiltReport): JsonReport {
  const { severity, exitCode, sentence, counts } = report.verdict
  return {
    schema: REPORT_SCHEMA,
    title: report.title,
    startedAt: new Date(report.startedAt).toISOString(),
    durationMs: Math.round(report.durationMs),
    verdict: { severity, exitCode, sentence, counts },
    hosts: report.hosts.map((host) => ({
      ...host,
      facts: (report.facts[host.name] ?? []).map(([name, value]) => ({ name, value })),
    })),
    findings: report.findings,
    tables: report.tables,
    changes: report.changes ?? null,
    omitted: report.omitted,
  }
}

/** One document, indented, ending in a newline. */
export function renderJson(report: BuiltReport): string {
  return `${JSON.stringify(toJsonReport(report), undefined, 2)}\n`
}

/**
 * Reads back what `renderJson` wrote, for `--baseline FILE`. Its text passes the gate again: a file can be edited.
 * @param place where the text is from, for messages: a path
 * @throws OpsError CONFIG_INVALID: not JSON, not a report, or a report of another schema
 */
export async function parseReport(json: string, place: string, options: BuildOptions = {}): Promise<BuiltReport> {
  const document = parseJson(json, place)
  checkSchema(document, place)
  const { jsonReportSchema } = await import('./json-schema.ts')
  const checked = jsonReportSchema().safeParse(document)
  if (!checked.success) {
    const [issue] = checked.error.issues
    const where = issue?.path.join('.')
    throw invalid(`${place} is not a whole report: ${where ? `${where}: ` : ''}${issue?.message}`, place)
  }
  const { hosts, changes, startedAt, ...rest } = checked.data
  return buildReport(
    {
      ...rest,
      startedAt: Date.parse(startedAt),
      facts: Object.fromEntries(
        hosts.map((host) => [host.name, host.facts.map(({ name, value }) => [name, value] as const)]),
      ),
      ...(changes && { changes }),
    },
    options,
  )
}

function parseJson(json: string, place: string): unknown {
  try {
    return JSON.parse(json.replace(/^\ufeff/, ''))
  } catch (error) {
    throw invalid(`${place} is not JSON: ${messageOf(error)}`, place)
  }
}

function checkSchema(document: unknown, place: string): void {
  const schema = typeof document === 'object' && document !== null && 'schema' in document ? document.schema : undefined
  if (schema === REPORT_SCHEMA) return
  const version = typeof schema === 'string' ? /^opskit\.report\/(\d{1,9})$/.exec(schema)?.[1] : undefined
  if (version === undefined) throw invalid(`${place} is JSON, but not a report of opskit`, place)
  throw new OpsError('CONFIG_INVALID', `${place} is a report of schema ${version}; this opskit reads schema 1`, {
    place,
    hint: 'Use the opskit that wrote it, or take a new baseline with --json --output FILE.',
  })
}

function invalid(message: string, place: string): OpsError {
  return new OpsError('CONFIG_INVALID', message, { place, hint: 'Take a new baseline with --json --output FILE.' })
}
