/** What `backup verify` and `backup drill` share: a look that records, its report, and 74 for what is not as it was written. */
import { ALERT } from '../backup/told.ts'
import { OpsError } from '../core/errors.ts'
import { EXIT_CODE_OF } from '../core/exit.ts'
import type { Report } from '../report/types.ts'
import { openBackupSession, type BackupFlags } from './backup-context.ts'
import { tellFailures, telling, type Failure } from './backup-tell.ts'
import { print, terminalWidth, wantsColor } from './output.ts'

/** @returns 0; 74 when a backup is damaged or does not restore; 1 when one of several could not be looked at */
export async function lookAtBackups(
  action: string,
  params: unknown,
  flags: BackupFlags,
  signal: AbortSignal,
): Promise<number> {
  await using session = await openBackupSession(flags, { looksOnly: true, signal })
  const [{ findAction }, { runAction }, { buildReport }, { render }] = await Promise.all([
    import('../catalog.ts'),
    import('../action/run.ts'),
    import('../report/build.ts'),
    import('../report/render.ts'),
  ])
  const what = `${action.split('.')[1] ?? action} of backups`
  const result = await telling(session.context, { subject: what, action }, async () =>
    runAction(await findAction(action), params, session.context),
  )
  session.clear()
  if (result.kind !== 'report') return EXIT_CODE_OF.FAILED
  await tellFailures(session.context, failuresOf(action, result.report))
  const { redact } = session.context
  const width = terminalWidth()
  const options = { verbose: true, color: wantsColor(), ...(width && { width }) }
  await print(await render(buildReport(result.report, { redact }), flags.json ? 'json' : 'text', options))
  const has = (wanted: string) => result.report.findings.some(({ severity }) => severity === wanted)
  return has('critical') ? EXIT_CODE_OF.DATA_MISMATCH : has('unknown') ? EXIT_CODE_OF.FAILED : 0
}

/** Each of them by itself: it is over when this one is well again. */
function failuresOf(action: string, { findings }: Report): Failure[] {
  return findings.flatMap(({ severity, check, subject = '', title, evidence = '', next }) => {
    if (severity !== 'critical' && severity !== 'unknown') return []
    const about =
      check === 'backup.drill' ? ALERT.drill(subject.split('/').slice(0, 2).join('/')) : ALERT.verify(subject)
    const code = severity === 'critical' ? 'DATA_MISMATCH' : 'FAILED'
    const error = new OpsError(code, `${title}: ${evidence}`)
    return [{ subject: about, action, error, ...(next !== undefined && { next }) }]
  })
}
