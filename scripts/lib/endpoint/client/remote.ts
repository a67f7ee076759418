/** A list of endpoints from a server: the first source that gives a valid one counts. */
import type { Clock } from '../../core/clock.ts'
import { formatDuration } from '../../core/duration.ts'
import { messageOf, OpsError } from '../../core/errors.ts'
import { parseEndpointDocument, parseJson } from './document.ts'
import { fetchGuarded, readText, type Fetch } from './fetch.ts'
import type { EndpointList } from './types.ts'
import { parseEndpointUrl, type UrlRules } from './url.ts'

export interface RemoteRequest {
  /** Asked in this order; a base (`https://api.example.com/api/v1`) or the whole address of the list. */
  readonly sources: readonly string[]
  /** Sent as a bearer token. */
  readonly token?: string | undefined
  readonly fetch: Fetch
  readonly clock: Clock
  /** For each source, body included. */
  readonly timeoutMs: number
  readonly rules: UrlRules
  readonly signal?: AbortSignal | undefined
}

export interface RemoteList {
  readonly list: EndpointList
  /** The address that gave it. */
  readonly from: string
}

/** 64 endpoints with the longest addresses are 140 KB. */
const MAX_BYTES = 256 * 1024
const LIST_PATH = '/config/endpoints'

/** @throws OpsError UNREACHABLE when no source gave a list, with the reason of each; the caller's abort reason */
export async function fetchEndpointList(request: RemoteRequest): Promise<RemoteList> {
  if (request.sources.length === 0) {
    throw new OpsError('USAGE', 'there is nobody to ask for a list of endpoints', {
      hint: 'Name a server: a URL, a fallback URL, or an API endpoint.',
    })
  }
  const reasons: string[] = []
  for (const source of request.sources) {
    request.signal?.throwIfAborted()
    try {
      return await fetchFrom(source, request)
    } catch (error) {
      request.signal?.throwIfAborted()
      reasons.push(`${source}: ${reasonOf(error)}`)
    }
  }
  throw new OpsError('UNREACHABLE', `no list of endpoints: ${reasons.join('; ')}`, {
    hint: 'The list in use stays as it is.',
    transient: true,
  })
}

/** Where a server keeps its list: below its API path, or below `/api/v1` when only the host is named. */
export function listAddressOf(source: string): string {
  const url = new URL(source)
  const path = url.pathname.replace(/\/+$/, '')
  if (path.endsWith(LIST_PATH)) return url.href
  return `${url.origin}${path === '' ? '/api/v1' : path}${LIST_PATH}`
}

async function fetchFrom(source: string, request: RemoteRequest): Promise<RemoteList> {
  const { fetch, clock, timeoutMs, token, rules, signal } = request
  const address = listAddressOf(parseEndpointUrl(source, 'the address', rules))
  const limit = new AbortController()
  const stop = () => limit.abort(signal?.reason)
  signal?.addEventListener('abort', stop, { once: true })
  const done = new AbortController()
  const late = clock.sleep(timeoutMs, done.signal).then((): never => {
    limit.abort()
    throw new OpsError('TIMEOUT', `no answer within ${formatDuration(timeoutMs)}`)
  })
  // Who wins the race is all that counts; a timer that was called off is no news.
  late.catch(() => undefined)
  try {
    const headers = { accept: 'application/json', ...(token !== undefined && { authorization: `Bearer ${token}` }) }
    const answer = fetchGuarded(fetch, address, { headers, signal: limit.signal }, rules).then(readList)
    const list = await Promise.race([answer, late])
    return { list: parseEndpointDocument(list, 'the answer', rules), from: address }
  } finally {
    done.abort()
    signal?.removeEventListener('abort', stop)
  }
}

async function readList(response: Response): Promise<unknown> {
  if (response.status !== 200) {
    void response.body?.cancel().catch(() => undefined)
    const hint = response.status === 401 || response.status === 403 ? ' (is the token right?)' : ''
    throw new OpsError('FAILED', `HTTP status ${response.status}${hint}`)
  }
  return parseJson(await readText(response, MAX_BYTES), 'the answer')
}

/** fetch says "fetch failed" and keeps what happened in `cause`. */
export function reasonOf(error: unknown): string {
  return error instanceof TypeError && error.cause !== undefined ? messageOf(error.cause) : messageOf(error)
}
