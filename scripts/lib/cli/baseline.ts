/**
 * `--baseline`: what changed since the last run of the same look, or since a saved JSON report.
 * Every look is remembered under the hosts and checks it covered, so `last` always compares like with like.
 */
import { readFile } from 'node:fs/promises'
import { createHash } from 'node:crypto'
import { OpsError, systemCode } from '../core/errors.ts'
import { buildReport } from '../report/build.ts'
import { diffReports } from '../report/diff.ts'
import { parseReport, renderJson } from '../report/json.ts'
import type { Report } from '../report/types.ts'
import type { OpenedContext } from './context.ts'
import type { DiagnoseFlags } from './diagnose.ts'

/** @returns the report, with its changes when a baseline was asked for; remembers it for the next time */
export async function applyBaseline(report: Report, flags: DiagnoseFlags, context: OpenedContext): Promise<Report> {
  const key = keyOf(flags)
  const built = buildReport(report, { redact: context.redact })
  const before = flags.baseline === undefined ? undefined : await readBaseline(flags.baseline, key, context)
  context.journal.setState(key, renderJson(built))
  if (!before) return report
  const since = new Date(before.startedAt).toISOString()
  return { ...report, changes: { since, list: diffReports(before, built) } }
}

async function readBaseline(
  baseline: string,
  key: string,
  { journal, log }: OpenedContext,
): Promise<Report | undefined> {
  if (baseline === 'last') {
    const saved = journal.getState(key)
    if (typeof saved === 'string') return parseReport(saved, 'the last run')
    log.warn('there is no earlier run to compare with; this one is remembered for the next time')
    return undefined
  }
  return parseReport(await readText(baseline), baseline)
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    const refused = ['EACCES', 'EPERM'].includes(systemCode(error) ?? '')
    throw new OpsError(
      refused ? 'NOT_PERMITTED' : 'USAGE',
      `cannot read the baseline ${path}: ${systemCode(error) ?? 'failed'}`,
      {
        hint: 'Save one with: npx zx scripts/diagnose.ts --json > baseline.json',
        cause: error,
      },
    )
  }
}

function keyOf({ host = [], all, only = [], skip = [] }: DiagnoseFlags): string {
  const covered = JSON.stringify([[...host].sort(), all ?? false, [...only].sort(), [...skip].sort()])
  return `diagnose.last.${createHash('sha256').update(covered).digest('hex').slice(0, 16)}`
}
