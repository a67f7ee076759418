/**
 * Everything that takes messages over HTTP. What differs between services (address, headers, body, what an answer means) is a
 * `Service`; the rest (secrets, several addresses, time limits, redirects) is the same for all and stands here.
 */
import { readFile } from 'node:fs/promises'
import type { Address, HttpChannel } from '../../config/types.ts'
import { messageOf, OpsError, systemCode } from '../../core/errors.ts'
import type { Clock } from '../../core/clock.ts'
import { redactText } from '../../core/redact.ts'
import { Secret } from '../../core/secret.ts'
import { byteLength } from '../bounds.ts'
import { DeliveryError } from '../delivery-error.ts'
import type { Channel, Message } from '../types.ts'
import { openFallback } from './fallback.ts'
import { sendHttp } from './http.ts'
import { judgeAnswer, type JudgeBody } from './judge.ts'
import type { ChannelParts } from './open.ts'
import { openService } from './services.ts'

/** What is sent, before it is known where to. */
export interface WebRequest {
  readonly method?: string
  readonly headers: Readonly<Record<string, string>>
  /** Undefined: none. */
  readonly body: string | undefined
  /** Added to the query of the address. */
  readonly query?: Readonly<Record<string, string>>
}

export interface Service {
  /** How many messages it takes at the same time. */
  readonly concurrency: number
  /** @param now wall clock, milliseconds: signatures hold for an hour at most, so each attempt has its own */
  compose(message: Message, now: number): WebRequest
  readonly judge: JudgeBody
}

export interface Secrets {
  readonly secret?: string
  readonly token?: string
  readonly headers: Readonly<Record<string, string>>
}

const TIMEOUT_MS = 10_000
/** A body template may name a field a thousand times. */
const MAX_BODY_BYTES = 256 * 1024

interface Target {
  /** Shown in messages, so without path and query, which may be secret. */
  readonly id: string
  readonly address: string
  readonly url: Address
}

interface Opened {
  readonly service: Service
  readonly addresses: ReadonlyMap<string, OpenedAddress>
  readonly ca: string | undefined
}

interface OpenedAddress {
  readonly url: URL
  /** Takes the address and its parts out of what the far side says. */
  readonly mask: (text: string) => string
}

export function openWebChannel(channel: HttpChannel, parts: ChannelParts): Channel {
  const addresses = [channel.url, ...(channel.fallback_urls ?? [])]
  const timeoutMs = channel.timeout ?? TIMEOUT_MS
  const servers = addresses.map((url, index): Target => {
    const id = index === 0 ? 'url' : `fallback_urls.${index - 1}`
    return { id, address: id, url }
  })
  // The deadline of a request is its own; this one only stands behind it.
  const fallback = openFallback({ ...parts, servers, attemptTimeoutMs: timeoutMs + 1_000 })
  const attempt = async (
    opened: Opened,
    { id }: Target,
    { message, signal }: { message: Message; signal: AbortSignal },
  ) => {
    const { url: base, mask } = opened.addresses.get(id) as OpenedAddress
    const { query, headers, body, method = 'POST' } = composeBounded(opened.service, message, parts.clock)
    const url = withQuery(base, query)
    const allowPrivateRedirects = channel.allow_private_redirects ?? false
    try {
      const answer = await sendHttp({
        ...{ url, method, headers, body, timeoutMs, ca: opened.ca, signal },
        allowPrivateRedirects,
      })
      return mask(judgeAnswer(answer, opened.service.judge, parts.clock.now()))
    } catch (error) {
      throw error instanceof DeliveryError ? error.withMessage(mask(error.message)) : error
    }
  }
  let opening: Promise<Opened> | undefined
  return {
    concurrency: channel.type === 'webhook' ? 4 : 1,
    async send(message, { signal }) {
      opening ??= prepare(channel, servers, parts)
      const opened = await opening
      const answer = await fallback.send((server, stop) => attempt(opened, server, { message, signal: stop }), signal)
      return { answer }
    },
    close: () => fallback.close(),
  }
}

/** Secrets are looked up when there is something to send, and once. */
async function prepare(channel: HttpChannel, servers: readonly Target[], parts: ChannelParts): Promise<Opened> {
  const reveal = async (value: Address) =>
    typeof value === 'string' ? value : (await parts.resolveSecret(value)).reveal()
  const headers = 'headers' in channel ? (channel.headers ?? {}) : {}
  const [urls, headerValues, secret, token, ca] = await Promise.all([
    Promise.all(
      servers.map(async ({ id, url: address }) => {
        const url = parseAddress(await reveal(address), id)
        return [id, { url, mask: typeof address === 'string' ? (text: string) => text : createMask(url) }] as const
      }),
    ),
    Promise.all(Object.entries(headers).map(async ([name, value]) => [name, await reveal(value)] as const)),
    'secret' in channel && channel.secret ? reveal(channel.secret) : undefined,
    'token' in channel && channel.token ? reveal(channel.token) : undefined,
    channel.ca === undefined ? undefined : readAuthorities(channel.ca),
  ])
  const secrets = { headers: Object.fromEntries(headerValues), ...(secret && { secret }), ...(token && { token }) }
  return { service: openService(channel, secrets), addresses: new Map(urls), ca }
}

function parseAddress(text: string, id: string): URL {
  const url = URL.canParse(text.trim()) ? new URL(text.trim()) : undefined
  if (url && /^https?:$/.test(url.protocol)) return url
  throw new OpsError('CONFIG_INVALID', `the address in ${id} does not begin with http:// or https://`, {
    hint: 'Put the whole address into the secret.',
  })
}

/** Shorter parts are ordinary words: `send`, `robot`, `v2`. */
const MIN_SECRET_CHARS = 8

/** The whole address is a known secret; a far side may send back the key alone. */
function createMask(url: URL): OpenedAddress['mask'] {
  const parts = [...url.pathname.split('/'), ...url.searchParams.values(), url.password]
  const secrets = parts.flatMap((part) =>
    part.length >= MIN_SECRET_CHARS ? [new Secret(part, 'a part of the address')] : [],
  )
  return (text) => redactText(text, secrets)
}

async function readAuthorities(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    throw new OpsError(
      'CONFIG_INVALID',
      `the authorities in ${path} cannot be read: ${systemCode(error) ?? messageOf(error)}`,
      {
        hint: 'Correct ca of the channel.',
        cause: error,
      },
    )
  }
}

function withQuery(url: URL, query: Readonly<Record<string, string>> = {}): URL {
  const target = new URL(url)
  for (const [name, value] of Object.entries(query)) target.searchParams.set(name, value)
  return target
}

function composeBounded(service: Service, message: Message, clock: Clock): WebRequest {
  const request = service.compose(message, clock.now())
  if (request.body === undefined || byteLength(request.body) <= MAX_BODY_BYTES) return request
  throw new DeliveryError('the message is larger than 256 KiB with its template', {
    transient: false,
    scope: 'message',
    hint: 'Use fewer fields in body.',
  })
}
