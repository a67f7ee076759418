/**
 * A program for tests: runs the outward checks of a config (JSON, first argument) and prints their findings, how long they
 * took, and the age of the process when they were there. It does not call process.exit, so it ends only when no socket, child or timer is left.
 */
import { databaseChecks } from '../../scripts/lib/diagnose/database/check.ts'
import { httpChecks } from '../../scripts/lib/diagnose/http/check.ts'
import { networkChecks } from '../../scripts/lib/diagnose/network/index.ts'
import { certificateChecks } from '../../scripts/lib/diagnose/service/certificates.ts'
import { configOf, runChecks } from './check-context.ts'

const config = configOf(JSON.parse(process.argv[2] ?? '{}') as object)
const checks = [
  ...networkChecks(config),
  ...httpChecks(config),
  ...databaseChecks(config),
  ...certificateChecks(config),
]
const interrupt = new AbortController()
if (process.argv[3] !== undefined) setTimeout(() => interrupt.abort(new Error('interrupted')), Number(process.argv[3]))
const startedAt = performance.now()
const findings = await runChecks(checks, config, { signal: interrupt.signal }).catch((error: unknown) => String(error))
const answeredAt = performance.now()
process.stdout.write(JSON.stringify({ findings, answeredMs: answeredAt - startedAt, aliveMs: answeredAt }))
