/**
 * One request of a webhook, with a deadline for all of it, a bounded answer, and redirects that cannot be used to reach what is
 * not meant to be reached.
 *
 * A redirect is followed only where the method and the body stay (307, 308; RFC 9110 15.4), never from https to http, at most
 * three times, without the headers of the config when it leads to another origin, and to a private address only when the
 * config allows it: the address that was checked is the one that is connected to.
 */
import { lookup } from 'node:dns/promises'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { isIP, type LookupFunction } from 'node:net'
import { messageOf, OpsError, systemCode } from '../../core/errors.ts'
import { formatDuration } from '../../core/duration.ts'
import { DeliveryError } from '../delivery-error.ts'
import { isPrivateAddress } from './address.ts'

export interface HttpMessage {
  readonly url: URL
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
  /** Undefined: none. */
  readonly body: string | undefined
  readonly timeoutMs: number
  /** PEM authorities in place of the public ones. */
  readonly ca?: string | undefined
  readonly allowPrivateRedirects: boolean
  readonly signal: AbortSignal
}

export interface HttpAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | undefined>>
  /** The first 64 KiB. */
  readonly body: string
}

const MAX_REDIRECTS = 3
const MAX_ANSWER_BYTES = 64 * 1024
const PASSED_ON = new Set(['content-type', 'user-agent', 'accept'])

/** @throws DeliveryError when there is no answer in time, or only a redirect that must not be followed */
export async function sendHttp(message: HttpMessage): Promise<HttpAnswer> {
  const { timeoutMs } = message
  const timeout = AbortSignal.timeout(timeoutMs)
  const signal = AbortSignal.any([message.signal, timeout])
  try {
    return await followed({ ...message, signal })
  } catch (error) {
    if (error instanceof OpsError) throw error
    const late = timeout.aborted && !message.signal.aborted
    throw late ? noAnswer(`no answer within ${formatDuration(timeoutMs)}`, error) : connectionError(error)
  }
}

async function followed(first: HttpMessage): Promise<HttpAnswer> {
  let message = first
  for (let redirects = 0; ; redirects += 1) {
    const answer = await exchange(message, redirects > 0)
    if (answer.status < 300 || answer.status > 399 || answer.status === 304) return answer
    if (redirects === MAX_REDIRECTS) throw refused(`more than ${MAX_REDIRECTS} redirects`)
    message = { ...message, ...targetOf(message, answer) }
  }
}

function targetOf({ url, headers }: HttpMessage, { status, headers: { location } }: HttpAnswer) {
  const target = location !== undefined && URL.canParse(location, url.href) ? new URL(location, url) : undefined
  if (!target || !/^https?:$/.test(target.protocol)) throw refused(`status ${status} with no address to go to`)
  if (status !== 307 && status !== 308) {
    throw refused(`status ${status}: a redirect to ${target.origin} that would lose the message`)
  }
  if (url.protocol === 'https:' && target.protocol === 'http:') throw refused('a redirect from https to http')
  const isElsewhere = target.origin !== url.origin
  const kept = Object.entries(headers).filter(([name]) => !isElsewhere || PASSED_ON.has(name.toLowerCase()))
  return { url: target, headers: Object.fromEntries(kept) }
}

async function exchange(message: HttpMessage, isRedirected: boolean): Promise<HttpAnswer> {
  const { url, signal } = message
  const host = url.hostname.replace(/^\[|\]$/g, '')
  // A name that is asked for once cannot have another address when it is connected to.
  const addresses =
    isIP(host) === 0 ? await raced(lookup(host, { all: true }), signal) : [{ address: host, family: isIP(host) }]
  const blocked = addresses.find(({ address }) => isPrivateAddress(address))
  if (isRedirected && blocked && !message.allowPrivateRedirects) {
    throw refused(
      `a redirect to the private address ${blocked.address}`,
      'If it is meant, set allow_private_redirects: true.',
    )
  }
  const incoming = await open(message, addresses)
  try {
    const body = await readBody(incoming)
    return { status: incoming.statusCode ?? 0, headers: headersOf(incoming), body }
  } finally {
    incoming.destroy()
  }
}

function open(
  message: HttpMessage,
  addresses: readonly { address: string; family: number }[],
): Promise<IncomingMessage> {
  const { url, method, headers, body, ca, signal } = message
  return new Promise((resolve, reject) => {
    const send = url.protocol === 'https:' ? httpsRequest : httpRequest
    const size = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }
    const request = send(
      url,
      {
        method,
        headers: { 'user-agent': 'opskit', accept: '*/*', ...lowerCased(headers), ...size },
        agent: false,
        lookup: lookupOf(addresses),
        signal,
        ...(ca !== undefined && { ca }),
      },
      resolve,
    )
    request.on('error', reject)
    request.end(body)
  })
}

async function readBody(incoming: IncomingMessage): Promise<string> {
  let body = Buffer.alloc(0)
  for await (const chunk of incoming) {
    body = Buffer.concat([body, chunk as Buffer])
    if (body.length >= MAX_ANSWER_BYTES) break
  }
  return new TextDecoder().decode(body.subarray(0, MAX_ANSWER_BYTES))
}

function headersOf({ headers }: IncomingMessage): HttpAnswer['headers'] {
  const single = (value: string | string[] | undefined) => (Array.isArray(value) ? value[0] : value)
  return { location: single(headers.location), 'retry-after': single(headers['retry-after']) }
}

function lookupOf(addresses: readonly { address: string; family: number }[]): LookupFunction {
  return (_name, options, callback) => {
    const [first] = addresses
    if (!first) return callback(new Error('no address'), '', 0)
    if (options.all) return callback(null, [...addresses])
    return callback(null, first.address, first.family)
  }
}

function raced<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- the caller's own reason
    const stop = () => reject(signal.reason)
    if (signal.aborted) return stop()
    signal.addEventListener('abort', stop, { once: true })
    void work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop))
  })
}

/** Connections and certificates: others will meet the same, and it may be mended without us. */
function connectionError(error: unknown): DeliveryError {
  const code = systemCode(error) ?? messageOf(error)
  if (code === 'ERR_INVALID_CHAR' || code === 'ERR_UNESCAPED_CHARACTERS') {
    return new DeliveryError('a header or the address holds a character that cannot be sent', {
      transient: false,
      scope: 'channel',
      hint: 'Look for line breaks in the secret it comes from.',
      cause: error,
    })
  }
  return noAnswer(`no connection: ${code}`, error)
}

function noAnswer(message: string, cause: unknown): DeliveryError {
  return new DeliveryError(message, { transient: true, scope: 'channel', cause })
}

function refused(what: string, hint = 'Put the right address into the config.'): DeliveryError {
  return new DeliveryError(`not followed: ${what}`, { transient: false, scope: 'channel', hint })
}

function lowerCased(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
}
