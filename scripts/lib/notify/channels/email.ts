/**
 * Mail over SMTP, by nodemailer. What it leaves to us: time limits (its own are minutes), repeats (it gives a 451 back as an error),
 * other servers, and never sending one message to somebody who already has it.
 */
import { readFile } from 'node:fs/promises'
import type { EmailChannel, MailServerConfig } from '../../config/types.ts'
import { messageOf, OpsError, systemCode } from '../../core/errors.ts'
import { DeliveryError } from '../delivery-error.ts'
import { openMailTemplates, type RenderMail } from '../render/mail.ts'
import type { Channel, Delivered, Message } from '../types.ts'
import { openFallback } from './fallback.ts'
import type { ChannelParts } from './open.ts'

/** Time limits of one connection: to connect (with the look-up), to the greeting, between two answers. */
const CONNECT_MS = 5_000
const GREETING_MS = 5_000
const SOCKET_MS = 15_000
/** For one message as a whole: a server that answers one byte at a time never meets the limits above. */
const MESSAGE_MS = 30_000
const CONNECTIONS = 5
/** Messages that are made ready while others are on the wire: without them connections wait for us. */
const READY_PER_CONNECTION = 4

interface MailServer {
  readonly id: string
  readonly address: string
  readonly config: MailServerConfig
}

type Pool = Awaited<ReturnType<typeof openPool>>

export function openEmailChannel(channel: EmailChannel, parts: ChannelParts): Channel {
  const render = openMailTemplates()
  const servers = channel.servers.map((config): MailServer => {
    const address = `${config.host}:${portOf(config)}`
    return { id: address, address, config }
  })
  const fallback = openFallback({ ...parts, servers, attemptTimeoutMs: MESSAGE_MS })
  const pools = new Map<string, Promise<Pool>>()
  const poolOf = (server: MailServer): Promise<Pool> => {
    const known = pools.get(server.id)
    if (known) return known
    const pool = openPool(server.config, parts)
    pools.set(server.id, pool)
    return pool
  }
  return {
    concurrency: CONNECTIONS * READY_PER_CONNECTION,
    send: (message, { signal }) =>
      fallback.send(async (server, stop) => {
        const mail = { ...composeMail(channel, message, render), signal: stop }
        const pool = await poolOf(server)
        try {
          return deliveredOf(await pool.sendMail(mail))
        } catch (error) {
          stop.throwIfAborted()
          throw smtpError(error)
        }
      }, signal),
    async close() {
      for (const opening of pools.values())
        await opening.then(
          (pool) => pool.close({ force: true }),
          () => undefined,
        )
      await fallback.close()
    },
  }
}

function portOf({ port, security }: MailServerConfig): number {
  return port ?? (security === 'tls' ? 465 : security === 'none' ? 25 : 587)
}

async function openPool(server: MailServerConfig, { resolveSecret }: ChannelParts) {
  const { host, username, password, ca } = server
  const port = portOf(server)
  const security = server.security ?? (port === 465 ? 'tls' : 'starttls')
  const [{ createTransport }, secret, authorities] = await Promise.all([
    import('nodemailer'),
    password && resolveSecret(password),
    ca === undefined
      ? undefined
      : readFile(ca, 'utf8').catch((error: unknown) => Promise.reject(unreadable(ca, error))),
  ])
  return createTransport({
    pool: true,
    host,
    port,
    secure: security === 'tls',
    requireTLS: security === 'starttls',
    ignoreTLS: security === 'none',
    ...(username !== undefined && { auth: { user: username, pass: secret?.reveal() ?? '' } }),
    tls: { minVersion: 'TLSv1.2', ...(authorities !== undefined && { ca: authorities }) },
    maxConnections: CONNECTIONS,
    maxMessages: Number.POSITIVE_INFINITY,
    maxRequeues: 0,
    connectionTimeout: CONNECT_MS,
    dnsTimeout: CONNECT_MS,
    greetingTimeout: GREETING_MS,
    socketTimeout: SOCKET_MS,
    disableFileAccess: true,
    disableUrlAccess: true,
  })
}

function unreadable(path: string, error: unknown): OpsError {
  return new OpsError(
    'CONFIG_INVALID',
    `the authorities in ${path} cannot be read: ${systemCode(error) ?? messageOf(error)}`,
    {
      hint: 'Correct ca of the mail server.',
      cause: error,
    },
  )
}

/** What goes into nodemailer. Every text in it is one line or a body; addresses were checked by the config. */
function composeMail({ from, recipients }: EmailChannel, message: Message, render: RenderMail) {
  const domain = /@([^\s>]+)>?$/.exec(from)?.[1] ?? 'opskit.invalid'
  const thread = `<${message.thread}.${threadMark(message)}@${domain}>`
  return {
    from,
    to: [...(message.recipients ?? recipients)],
    ...render(message),
    messageId: `<${message.id}@${domain}>`,
    references: [thread],
    headers: {
      // RFC 3834: no vacation replies.
      'Auto-Submitted': 'auto-generated',
      'X-Opskit-Severity': message.severity,
      ...(message.severity === 'critical' && { Importance: 'high' }),
      ...(message.attempt > 1 && { 'X-Opskit-Attempt': String(message.attempt) }),
    },
  }
}

/** Alerts of two machines have the same numbers; the time at which they were opened tells them apart. */
function threadMark({ openedAt }: Message): string {
  return openedAt.toString(36)
}

interface Rejection {
  readonly recipient?: string
  readonly responseCode?: number
  readonly response?: string
}

interface SmtpSent {
  readonly response?: string
  readonly rejectedErrors?: readonly unknown[]
}

/** Some recipients may have been refused while others have it. */
function deliveredOf({ response = 'accepted', rejectedErrors = [] }: SmtpSent): Delivered {
  const rejections = rejectedErrors as readonly Rejection[]
  if (rejections.length === 0) return { answer: response }
  const later = rejections.flatMap(({ recipient, responseCode }) =>
    recipient !== undefined && responseCode !== undefined && responseCode < 500 ? [recipient] : [],
  )
  const said = rejections.map(({ recipient, response: reason }) => `${recipient}: ${reason ?? 'refused'}`)
  return { answer: `${response}; refused for ${said.join('; ')}`, later }
}

interface SmtpError {
  readonly code?: string
  readonly originalCode?: string
  readonly responseCode?: number
  readonly response?: string
}

const PERMANENT_CODES = new Set(['ENOAUTH', 'ECONFIG', 'ERR_ACCESS_DENIED'])

/** RFC 5321 4.2.1: 4yz may work later, 5yz will not; 503 is about the session. Without an answer it is the connection. */
function smtpError(error: unknown): unknown {
  if (error instanceof OpsError || !(error instanceof Error)) return error
  const { code = '', originalCode, responseCode, response } = error as SmtpError
  const isMessage = ['EENVELOPE', 'EMESSAGE'].includes(code) && responseCode !== 421
  const isPermanent = responseCode !== undefined && responseCode >= 500 && responseCode !== 503
  const text = response ?? [originalCode ?? code, error.message].filter((part) => part !== '').join(': ')
  return new DeliveryError(text, {
    transient: !isPermanent && !PERMANENT_CODES.has(code),
    scope: isMessage ? 'message' : 'channel',
    ...(code === 'EAUTH' && { hint: 'Check username and password of the mail server.' }),
    ...(code === 'ETLS' && { hint: 'Check security and ca of the mail server.' }),
    cause: error,
  })
}
