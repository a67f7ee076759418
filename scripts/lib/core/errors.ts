/**
 * What can go wrong, in the words an operator reads.
 *
 * Facts are fields; text is made at the edge. Code decides by `code`, never by matching a message.
 */

/** Every kind of failure opskit knows. `EXIT_CODE_OF` in exit.ts maps each to a process exit code. */
export type ErrorCode =
  | 'FAILED'
  | 'USAGE'
  | 'CONFIG_INVALID'
  | 'UNREACHABLE'
  | 'TIMEOUT'
  | 'MISSING_TOOL'
  | 'LOCKED'
  | 'NOT_PERMITTED'
  | 'HOST_KEY'
  | 'CANNOT_WRITE'
  | 'DATA_MISMATCH'
  | 'NEEDS_HUMAN'
  | 'ROLLED_BACK'
  | 'STUCK'
  | 'INTERRUPTED'
  | 'TERMINATED'

export interface ErrorDetails {
  /** The next thing to try, as an imperative sentence or a command. */
  readonly hint?: string
  /** The host on which it happened, by its opskit name. */
  readonly host?: string
  /** True when the same call may succeed later without anyone changing anything. */
  readonly transient?: boolean
  /** Where in a file: `opskit.yaml:12:5`. */
  readonly place?: string
  /** When several things are wrong: each with its place, the first one first. The message holds them all. */
  readonly problems?: readonly { readonly place: string; readonly message: string }[]
  /** The error that caused this one; kept for debugging, never printed to operators whole. */
  readonly cause?: unknown
}

/** A failure an operator will read. The message says what happened; `details.hint` says what to do next. */
export class OpsError extends Error {
  override readonly name = 'OpsError'
  readonly code: ErrorCode
  readonly details: ErrorDetails

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.code = code
    this.details = details
  }
}

/** True when `error` is an OpsError, of the given code if one is named. */
export function isOpsError(error: unknown, code?: ErrorCode): error is OpsError {
  return error instanceof OpsError && (code === undefined || error.code === code)
}

/** The `code` of a Node system error (`ENOENT`, `ECONNREFUSED`), or undefined for anything else. */
export function systemCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}

/** One line that says what an unknown thrown value was. Never empty. */
export function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') {
    return error.errors.map(messageOf).join('; ') || 'several attempts failed'
  }
  if (error instanceof Error) return error.message || error.name
  return typeof error === 'string' && error !== '' ? error : 'unknown error'
}
