/** What `backup verify` and `backup drill` share: a look that records, its report, and 74 for what is not as it was written. */
import { EXIT_CODE_OF } from '../core/exit.ts'
import { openBackupSession, type BackupFlags } from './backup-context.ts'
import { print, terminalWidth, wantsColor } from './output.ts'

/** @returns 0, or 74 when a backup is damaged or does not restore */
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
  const result = await runAction(await findAction(action), params, session.context)
  session.clear()
  if (result.kind !== 'report') return EXIT_CODE_OF.FAILED
  const { redact } = session.context
  const width = terminalWidth()
  const options = { verbose: true, color: wantsColor(), ...(width && { width }) }
  await print(await render(buildReport(result.report, { redact }), flags.json ? 'json' : 'text', options))
  return result.report.findings.some(({ severity }) => severity === 'critical') ? EXIT_CODE_OF.DATA_MISMATCH : 0
}
