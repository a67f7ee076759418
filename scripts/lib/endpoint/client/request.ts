/** A request to the API that goes on to the next endpoint when one fails, is refused or answers with a server error. */
import { OpsError } from '../../core/errors.ts'
import { isFailoverError } from '../../resilience/errors.ts'
import type { Attempt, Instance } from '../../resilience/types.ts'
import { fetchGuarded } from './fetch.ts'
import type { Group } from './group.ts'
import type { EndpointSettings } from './options.ts'
import type { EndpointKind } from './types.ts'

export interface EndpointRequest extends Omit<RequestInit, 'redirect'> {
  /** Whose endpoints; default `api`. */
  readonly kind?: EndpointKind
  /**
   * Doing it twice does no harm: it may be repeated after it was sent, and asked of two endpoints at once. Default: true for
   * GET, HEAD and OPTIONS.
   */
  readonly idempotent?: boolean
  /** For one attempt; default the client's `requestTimeoutMs`. */
  readonly timeoutMs?: number
}

export interface RequestParts {
  readonly path: string
  readonly request: EndpointRequest
  readonly settings: EndpointSettings
}

const SAFE_METHODS = ['GET', 'HEAD', 'OPTIONS']

/**
 * @returns the answer; when every endpoint that was asked had a server error, the last of these answers
 * @throws what the last attempt failed with, OpsError USAGE when there are no endpoints
 */
export async function requestFrom(group: Group, { path, request, settings }: RequestParts): Promise<Response> {
  const { idempotent, timeoutMs, signal, ...init } = request
  const method = (init.method ?? 'GET').toUpperCase()
  const isSafe = SAFE_METHODS.includes(method)
  const refused = new Set<Response>()

  const send = async ({ address }: Instance, attempt: Attempt): Promise<Response> => {
    const url = `${address}/${path.replace(/^\//, '')}`
    // The caller may also stop the reading of a body, long after the attempt has ended.
    const stop = signal ? AbortSignal.any([attempt.signal, signal]) : attempt.signal
    const response = isSafe
      ? await fetchGuarded(settings.fetch, url, { ...init, signal: stop }, settings)
      : await settings.fetch(url, { ...init, signal: stop, redirect: 'manual' })
    if (response.status >= 500) refused.add(response)
    return response
  }
  const result = await group.call(send, {
    idempotent: idempotent ?? isSafe,
    ...(signal && { signal }),
    ...(timeoutMs !== undefined && { attemptTimeoutMs: timeoutMs }),
  })
  const answer = result.success ? result.value : answerOf(result.error)
  for (const response of refused) if (response !== answer) void response.body?.cancel().catch(() => undefined)
  if (answer) return answer
  if (!result.success && result.attempts.length === 0 && group.status().length === 0) {
    throw new OpsError('USAGE', 'there are no endpoints', { hint: 'Add one, scan a QR code, or update the list.' })
  }
  throw result.success ? new OpsError('FAILED', 'no answer') : result.error
}

function answerOf(error: unknown): Response | undefined {
  return isFailoverError(error, 'bad-answer') && error.cause instanceof Response ? error.cause : undefined
}
