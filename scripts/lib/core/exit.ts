/**
 * The exit codes of every command: one table, printed by `--help` and by docs/reference/errors.md.
 * Source of 64–78: sysexits.h. 1–3 of checks: the monitoring-plugin guidelines. 128 + signal: POSIX shells.
 */
import { OpsError, type ErrorCode } from './errors.ts'

export const EXIT_CODE_OF: Readonly<Record<ErrorCode, number>> = {
  FAILED: 1,
  NEEDS_HUMAN: 10,
  ROLLED_BACK: 11,
  STUCK: 12,
  USAGE: 64,
  UNREACHABLE: 69,
  TIMEOUT: 69,
  MISSING_TOOL: 69,
  CANNOT_WRITE: 73,
  DATA_MISMATCH: 74,
  LOCKED: 75,
  NOT_PERMITTED: 77,
  HOST_KEY: 77,
  CONFIG_INVALID: 78,
  INTERRUPTED: 130,
  TERMINATED: 143,
}

/** Rows for people, in ascending order: the code, and what it tells whoever reads `$?`. */
export const EXIT_TABLE: readonly (readonly [code: string, meaning: string])[] = [
  ['0', 'done, or healthy'],
  ['1', 'failed; for diagnose and checks: warning'],
  ['2', 'diagnose and checks: critical'],
  ['3', 'diagnose and checks: unknown (a check could not finish)'],
  ['10', 'waiting for a human'],
  ['11', 'failed, and rolled back'],
  ['12', 'failed, and a human must look: the undo did not complete'],
  ['64', 'wrong usage'],
  ['69', 'unreachable, no answer in time, or a tool is missing'],
  ['73', 'cannot write'],
  ['74', 'data does not match its checksum'],
  ['75', 'locked by someone else: try later'],
  ['77', 'not permitted'],
  ['78', 'wrong config'],
  ['130', 'interrupted (SIGINT)'],
  ['143', 'terminated (SIGTERM)'],
]

/** The exit code of a thrown value: the table's for an OpsError, 1 for anything else. */
export function exitCodeOf(error: unknown): number {
  return error instanceof OpsError ? EXIT_CODE_OF[error.code] : EXIT_CODE_OF.FAILED
}
