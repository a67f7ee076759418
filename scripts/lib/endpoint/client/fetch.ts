/**
 * HTTP that does not trust the other side: redirects are followed by hand, a few, and never to another scheme; a body is
 * read up to a limit. In browsers a redirect cannot be looked at, so it is refused there.
 */
import { OpsError } from '../../core/errors.ts'
import { isHttp, isPrivateHost, type UrlRules } from './url.ts'

/** The part of the fetch API that is used; `globalThis.fetch` fits. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>

/** The addresses of a name; none when it has none. In Node: node:dns. A browser has nothing of the kind. */
export type Lookup = (hostname: string) => Promise<readonly string[]>

const MAX_REDIRECTS = 5

/**
 * A fetch that asks no name that leads to a private address. What a name leads to may change between the question and the
 * connection: it stops lists that lie, not somebody who controls the resolver.
 * @returns rejects with OpsError DATA_MISMATCH for such a name
 */
export function guardNames(fetch: Fetch, lookup: Lookup): Fetch {
  return async (url, init) => {
    const { hostname } = new URL(url)
    init.signal?.throwIfAborted()
    const addresses = isAddress(hostname) ? [] : await abortable(lookup(hostname), init.signal)
    const found = addresses.find((address) => isPrivateHost(address.includes(':') ? `[${address}]` : address))
    if (found === undefined) return fetch(url, init)
    throw new OpsError('DATA_MISMATCH', `${hostname} leads to the private address ${found}`, {
      hint: 'Allow private addresses if this is your own network.',
    })
  }
}

function isAddress(hostname: string): boolean {
  return hostname.startsWith('[') || /^\d+(?:\.\d+){3}$/.test(hostname)
}

async function abortable<T>(work: Promise<T>, signal: AbortSignal | null | undefined): Promise<T> {
  if (!signal) return work
  let stop = () => {}
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason as Error)
    signal.addEventListener('abort', stop, { once: true })
  })
  try {
    return await Promise.race([work, aborted])
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

/**
 * As `fetch`, for requests without a body.
 * @throws OpsError DATA_MISMATCH for a redirect that must not be followed; whatever `fetch` throws
 */
export async function fetchGuarded(fetch: Fetch, url: string, init: RequestInit, rules: UrlRules): Promise<Response> {
  const headers = new Headers(init.headers)
  let at = new URL(url)
  for (let followed = 0; ; followed += 1) {
    const response = await fetch(at.href, { ...init, headers, redirect: 'manual' })
    if (response.type === 'opaqueredirect')
      return refuse(response, `${at.origin} redirects, and where to cannot be checked`)
    const location = isRedirect(response.status) ? response.headers.get('location') : null
    if (location === null) return response
    if (followed === MAX_REDIRECTS) return refuse(response, `${url} redirects more than ${MAX_REDIRECTS} times`)
    const next = URL.canParse(location, at.href) ? new URL(location, at.href) : undefined
    if (!next || !isHttp(next)) return refuse(response, `${at.href} redirects to something that is not http or https`)
    if (next.protocol !== at.protocol) {
      return refuse(response, `${at.href} redirects to another scheme (${next.protocol.slice(0, -1)})`)
    }
    if (next.username !== '' || next.password !== '')
      return refuse(response, `${at.href} redirects to an address with a user name`)
    if (!rules.allowPrivate && isPrivateHost(next.hostname)) {
      return refuse(response, `${at.href} redirects to a private address`)
    }
    void response.body?.cancel().catch(() => undefined)
    // A token is meant for the server that was asked.
    if (next.origin !== at.origin) headers.delete('authorization')
    at = next
  }
}

/** @throws OpsError DATA_MISMATCH when it is longer than `maxBytes` or not UTF-8 */
export async function readText(response: Response, maxBytes: number): Promise<string> {
  const tooLong = () => new OpsError('DATA_MISMATCH', `the answer is longer than ${maxBytes} bytes`)
  const chunks: Uint8Array[] = []
  let size = 0
  const reader = (response.body as ReadableStream<Uint8Array> | null)?.getReader()
  if (!reader) return ''
  try {
    if (Number(response.headers.get('content-length') ?? 0) > maxBytes) throw tooLong()
    for (;;) {
      const { done, value } = await reader.read()
      if (done) break
      size += value.length
      if (size > maxBytes) throw tooLong()
      chunks.push(value)
    }
  } finally {
    void reader.cancel().catch(() => undefined)
  }
  return decode(chunks, size)
}

function decode(chunks: readonly Uint8Array[], size: number): string {
  const bytes = new Uint8Array(size)
  let at = 0
  for (const chunk of chunks) {
    bytes.set(chunk, at)
    at += chunk.length
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw new OpsError('DATA_MISMATCH', 'the answer is not text in UTF-8', { cause })
  }
}

function isRedirect(status: number): boolean {
  return [301, 302, 303, 307, 308].includes(status)
}

function refuse(response: Response, message: string): never {
  void response.body?.cancel().catch(() => undefined)
  throw new OpsError('DATA_MISMATCH', message, { hint: 'Put the final address into the list.' })
}
