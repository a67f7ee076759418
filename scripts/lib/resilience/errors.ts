/**
 * Errors that a call with failover makes itself, and what any error says: whose failure is it, and may it be tried again?
 * Known facts (codes, predicates) decide first; text decides only where the caller asks for it.
 */
import { OpsError, systemCode, type ErrorCode, type ErrorDetails } from '../core/errors.ts'
import type { ErrorClass } from './types.ts'

/**
 *   open          the breaker did not let the call through
 *   timeout       the attempt had no answer in time
 *   deadline      the time of the whole call was up
 *   unavailable   no instance could be tried
 *   bad-answer    the operation returned a value that `judge` calls a failure
 */
export type FailoverErrorKind = 'open' | 'timeout' | 'deadline' | 'unavailable' | 'bad-answer'

const CODE_OF: Readonly<Record<FailoverErrorKind, ErrorCode>> = {
  open: 'UNREACHABLE',
  timeout: 'TIMEOUT',
  deadline: 'TIMEOUT',
  unavailable: 'UNREACHABLE',
  'bad-answer': 'FAILED',
}

/** An OpsError that says which part of the machinery made it. All of them may go away by themselves. */
export class FailoverError extends OpsError {
  readonly kind: FailoverErrorKind

  constructor(kind: FailoverErrorKind, message: string, details: Pick<ErrorDetails, 'hint' | 'cause'> = {}) {
    super(CODE_OF[kind], message, { transient: true, ...details })
    this.kind = kind
  }
}

export function isFailoverError(error: unknown, kind?: FailoverErrorKind): error is FailoverError {
  return error instanceof FailoverError && (kind === undefined || error.kind === kind)
}

/** Text is looked for in message, name and code, whatever its case; a pattern is matched to them; a predicate decides. */
export type ErrorMatcher = string | RegExp | ((error: unknown) => boolean)

// Wrapped errors are rarely nested deeper, and a ring of causes must end.
const MAX_CAUSES = 5

/** True when the error, or one that caused it, matches. A predicate sees the outermost error only. */
export function matchesError(error: unknown, matcher: ErrorMatcher): boolean {
  if (typeof matcher === 'function') return matcher(error)
  const wanted = typeof matcher === 'string' ? matcher.toLowerCase() : matcher
  return causesOf(error).some((cause) =>
    textsOf(cause).some((text) => {
      if (typeof wanted === 'string') return text.toLowerCase().includes(wanted)
      wanted.lastIndex = 0
      return wanted.test(text)
    }),
  )
}

/** Connection errors after which the server cannot have seen the request (connect(2), getaddrinfo(3), undici). */
const NEVER_SENT = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EAI_NODATA',
  'EAI_NONAME',
  'UND_ERR_CONNECT_TIMEOUT',
])

/** True when the error shows that the request never reached the server: by its code, or by `notSent: true` on it. */
export function wasNeverSent(error: unknown): boolean {
  return causesOf(error).some((cause) => {
    if (typeof cause !== 'object' || cause === null) return false
    if ('notSent' in cause && cause.notSent === true) return true
    if (cause instanceof AggregateError) return cause.errors.length > 0 && cause.errors.every(wasNeverSent)
    const code = systemCode(cause)
    return (code !== undefined && NEVER_SENT.has(code)) || isFailoverError(cause, 'open')
  })
}

/** Errors of the program itself: calling them on another instance would only repeat them. */
const MISTAKES = [ReferenceError, SyntaxError, RangeError]

export interface ClassifyOptions {
  /** Asked first; undefined leaves the decision to the rules below. */
  readonly classify?: ((error: unknown) => ErrorClass | undefined) | undefined
  /** When given, only what matches one of these is transient. */
  readonly retryableErrors?: readonly ErrorMatcher[] | undefined
}

/** Whose failure it is. Without rules of the caller, anything that is not a mistake of the program is transient. */
export function classifyError(error: unknown, { classify, retryableErrors }: ClassifyOptions): ErrorClass {
  const decided = classify?.(error)
  if (decided !== undefined) return decided
  if (retryableErrors)
    return retryableErrors.some((matcher) => matchesError(error, matcher)) ? 'transient' : 'permanent'
  if (error instanceof OpsError && error.details.transient === false) return 'permanent'
  return MISTAKES.some((kind) => error instanceof kind) ? 'answer' : 'transient'
}

function causesOf(error: unknown): unknown[] {
  const causes: unknown[] = []
  for (let cause = error; causes.length < MAX_CAUSES && cause !== undefined;) {
    causes.push(cause)
    cause = cause instanceof Error ? cause.cause : undefined
  }
  return causes
}

function textsOf(error: unknown): string[] {
  if (typeof error === 'string') return [error]
  if (!(error instanceof Error)) return []
  const code = systemCode(error)
  return code === undefined ? [error.message, error.name] : [error.message, error.name, code]
}
