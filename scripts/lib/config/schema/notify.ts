/**
 * `notify:` — who is told, how, from which severity on, and what happens when it does not get through. The keys of each type
 * of channel stand in one table below, so that a key in the wrong place is named as such.
 */
import { z } from 'zod'
import { nearestName } from '../../core/nearest.ts'
import { MESSAGE_FIELDS, NOTIFY_SEVERITIES } from '../notify-words.ts'
import { duration, name, path, port, secretRef } from './values.ts'

const CHANNEL_TYPES = [
  'log',
  'email',
  'webhook',
  'slack',
  'teams',
  'dingtalk',
  'feishu',
  'wecom',
  'ntfy',
  'system',
] as const

type ChannelType = (typeof CHANNEL_TYPES)[number]

/** What goes over HTTP has these. */
const HTTP = ['url', 'fallback_urls', 'timeout', 'ca', 'allow_private_redirects'] as const

/** The keys of each type beside those that all have. */
const KEYS_OF: Readonly<Record<ChannelType, { readonly needs: readonly string[]; readonly may: readonly string[] }>> = {
  log: { needs: [], may: ['file'] },
  email: { needs: ['from', 'recipients', 'servers'], may: [] },
  webhook: { needs: ['url'], may: [...HTTP, 'method', 'headers', 'body', 'secret', 'expect'] },
  slack: { needs: ['url'], may: HTTP },
  teams: { needs: ['url'], may: HTTP },
  dingtalk: { needs: ['url'], may: [...HTTP, 'secret', 'mention'] },
  feishu: { needs: ['url'], may: [...HTTP, 'secret'] },
  wecom: { needs: ['url'], may: [...HTTP, 'mention'] },
  ntfy: { needs: ['url', 'topic'], may: [...HTTP, 'token'] },
  system: { needs: [], may: ['via', 'facility', 'socket'] },
}

const COMMON = ['type', 'enabled', 'min_severity', 'quiet_hours', 'rate_limit']

/** Their addresses hold a token: whoever reads it can write to the room. */
const SECRET_URLS: readonly ChannelType[] = ['slack', 'teams', 'dingtalk', 'feishu', 'wecom']

const severity = z.enum(NOTIFY_SEVERITIES)

const timeOfDay = z
  .string()
  .regex(/^(?:[01]\d|2[0-3]):[0-5]\d$/, 'a time of day is written 22:00')
  .meta({ description: 'A time of day: 22:00' })

const timeZone = z
  .string()
  .refine(isTimeZone, { message: 'unknown time zone; known are names such as Europe/Vienna, Asia/Shanghai, UTC' })

/** RFC 5321 in its usual form, and an optional name before it. No line breaks, no second address. */
const mailbox = z
  .string()
  .max(320)
  .regex(
    /^(?:[^<>@\u0000-\u001f\u007f,;"]{1,100}<[^\s<>@,;"]+@[^\s<>@,;"]+>|[^\s<>@,;"]+@[^\s<>@,;"]+)$/,
    'a mail address is written ops@example.com or Ops <ops@example.com>',
  )

const webAddress = z
  .string()
  .refine(isWebAddress, { message: 'must be an address that begins with http:// or https://' })

const address = z.union([webAddress, secretRef])

const header = z.union([z.string().regex(/^[^\r\n\0]*$/, 'a header is one line'), secretRef])

const mailServer = z
  .strictObject({
    host: z
      .string()
      .regex(/^[^\s/@]+$/, 'a host name or an address')
      .meta({ description: 'Name or address' }),
    port: port.optional().meta({ description: 'Default 587; 465 with tls, 25 with none' }),
    security: z.enum(['starttls', 'tls', 'none']).optional().meta({
      description: 'starttls (required, never left out), tls from the start (default for port 465), or none',
    }),
    username: z.string().min(1).optional().meta({ description: 'For a server that wants a log-in' }),
    password: secretRef.optional(),
    ca: path.optional().meta({ description: 'Authorities to trust in place of the public ones' }),
  })
  .superRefine((server, ctx) => {
    if ((server.username === undefined) !== (server.password === undefined)) {
      ctx.addIssue({ code: 'custom', path: ['username'], message: 'username and password belong together' })
    }
    if (server.security === 'none' && server.username !== undefined && !isLoopback(server.host)) {
      ctx.addIssue({
        code: 'custom',
        path: ['security'],
        message: 'none would send the password in clear over the network; use starttls or tls',
      })
    }
  })

const channelShape = z
  .strictObject({
    type: z.enum(CHANNEL_TYPES).meta({ description: CHANNEL_TYPES.join(', ') }),
    enabled: z.boolean().default(true).meta({ description: 'false: nothing goes there' }),
    min_severity: severity.optional().meta({ description: 'From which severity on (default: notify.min_severity)' }),
    quiet_hours: z
      .strictObject({
        from: timeOfDay,
        to: timeOfDay.meta({ description: 'A time of day; earlier than from: over midnight' }),
        timezone: timeZone.default('UTC').meta({ description: 'Europe/Vienna, Asia/Shanghai, UTC (default)' }),
        except: severity
          .default('critical')
          .meta({ description: 'From this severity on it is sent all the same (default critical)' }),
      })
      .optional()
      .meta({ description: 'What comes in this time is kept until it is over' }),
    rate_limit: z
      .strictObject({
        messages: z.int().min(1).meta({ description: 'At most so many …' }),
        per: duration.prefault('1m').meta({ description: '… in this time (default 1m); the rest waits' }),
      })
      .optional()
      .meta({ description: 'Default: what the service allows (dingtalk and wecom 20 a minute, feishu and mail 100)' }),
    file: path.optional().meta({ description: 'log: where JSON lines are added (default: standard output)' }),
    from: mailbox.optional().meta({ description: 'email: the sender' }),
    recipients: z.array(mailbox).min(1).max(100).optional().meta({ description: 'email: who gets it' }),
    servers: z
      .array(mailServer)
      .min(1)
      .optional()
      .meta({ description: 'email: SMTP servers; the next is used when one fails' }),
    url: address
      .optional()
      .meta({ description: 'Where it is sent; { env: NAME } or { file: path } when it holds a token' }),
    fallback_urls: z.array(address).optional().meta({ description: 'Used in this order when url fails' }),
    method: z.enum(['POST', 'PUT', 'PATCH', 'GET']).optional().meta({ description: 'webhook: default POST' }),
    headers: z
      .record(z.string().regex(/^[\w!#$%&'*+.^`|~-]+$/, 'not the name of a header'), header)
      .optional()
      .meta({ description: 'webhook: a value may be a reference to a secret' }),
    body: z.string().max(65_536).optional().meta({
      description: 'webhook: a template with {{title}}, {{text}} and so on (default: everything, as JSON)',
    }),
    secret: secretRef
      .optional()
      .meta({ description: 'dingtalk, feishu: of the robot; webhook: signs each message (Standard Webhooks)' }),
    expect: z.string().min(1).optional().meta({ description: 'webhook: a text that must be in the answer' }),
    mention: z
      .array(z.string().regex(/^(?:all|\+?[\d-]+)$/, 'a mobile number, or all'))
      .optional()
      .meta({ description: 'dingtalk, wecom: mobile numbers, or all; for critical alerts' }),
    topic: z
      .string()
      .regex(/^[-\w]{1,64}$/, 'letters, digits, "-" and "_", at most 64')
      .optional()
      .meta({ description: 'ntfy: what people subscribe to' }),
    token: secretRef.optional().meta({ description: 'ntfy: an access token' }),
    timeout: duration.optional().meta({ description: 'HTTP: for a whole request (default 10s)' }),
    ca: path.optional().meta({ description: 'HTTP: authorities to trust in place of the public ones' }),
    allow_private_redirects: z
      .boolean()
      .optional()
      .meta({ description: 'HTTP: follow a redirect to a private address too (default false)' }),
    via: z
      .array(z.enum(['logger', 'wall']))
      .min(1)
      .optional()
      .meta({ description: 'system: the system log, the terminals of everybody (default logger)' }),
    facility: z
      .enum(['daemon', 'user', 'auth', 'local0', 'local1', 'local2', 'local3', 'local4', 'local5', 'local6', 'local7'])
      .optional()
      .meta({ description: 'system: of the system log (default daemon)' }),
    socket: path.optional().meta({ description: 'system: of the system log (default /dev/log)' }),
  })
  .superRefine((channel, ctx) => {
    const { needs, may } = KEYS_OF[channel.type]
    const refuse = (key: string, message: string) => ctx.addIssue({ code: 'custom', path: [key], message })
    for (const key of Object.keys(channel)) {
      if (COMMON.includes(key) || needs.includes(key) || may.includes(key)) continue
      refuse(
        key,
        `not a setting of a ${channel.type} channel, which has: ${[...new Set([...needs, ...may])].join(', ')}`,
      )
    }
    for (const key of needs) {
      if (!(key in channel))
        ctx.addIssue({ code: 'custom', path: [], message: `missing key "${key}" of a ${channel.type} channel` })
    }
    const urls = [channel.url, ...(channel.fallback_urls ?? [])]
    if (SECRET_URLS.includes(channel.type) && urls.some((url) => typeof url === 'string')) {
      refuse('url', 'it holds a token, so it is a secret: write { env: NAME } or { file: path }')
    }
    if (channel.type === 'webhook' && channel.body !== undefined) {
      if (channel.method === 'GET') refuse('body', 'a GET request has no body')
      const problem = bodyProblem(channel.body, contentTypeOf(channel.headers))
      if (problem !== undefined) refuse('body', problem)
    }
    const { quiet_hours: quiet } = channel
    if (quiet && quiet.from === quiet.to) refuse('quiet_hours', 'from and to are the same time')
  })

const channel = channelShape.transform((value) => value as ChannelConfig)

const route = z
  .strictObject({
    tags: z.array(name).min(1).meta({ description: 'An alert with one of these tags' }),
    min_severity: severity.optional().meta({ description: 'Only from this severity on' }),
    channels: z.array(name).min(1).meta({ description: 'Goes to these' }),
  })
  .meta({ description: 'Which alerts go where' })

export const notifySection = z
  .strictObject({
    enabled: z.boolean().default(true).meta({ description: 'false: nobody is told anything' }),
    min_severity: severity.default('warning').meta({ description: 'From which severity on (default warning)' }),
    window: duration
      .prefault('5m')
      .meta({ description: 'The same alert within this time becomes one message with a count (default 5m)' }),
    retry: z
      .strictObject({
        first: duration.prefault('30s').meta({ description: 'Until the first repeat (default 30s); then doubled' }),
        max: duration.prefault('10m').meta({ description: 'No longer than this (default 10m)' }),
        give_up: duration.prefault('24h').meta({ description: 'After this it is given up, loudly (default 24h)' }),
      })
      .prefault({})
      .refine(({ first, max }) => first <= max, { message: 'first is longer than max', path: ['first'] })
      .meta({ description: 'What did not get through but may later' }),
    channels: z.record(name, channel).default({}).meta({ description: 'Ways to people, by a name of your choice' }),
    routes: z.array(route).default([]).meta({ description: 'An alert goes to the channels of every route that fits' }),
    default: z.array(name).optional().meta({ description: 'Channels of an alert that no route fits (default: all)' }),
  })
  .prefault({})
  .superRefine(({ channels, routes, default: others = [] }, ctx) => {
    const known = Object.keys(channels)
    const check = (names: readonly string[], at: PropertyKey[]) =>
      names.forEach((wanted, index) => {
        if (known.includes(wanted)) return
        const near = nearestName(wanted, known)
        const message = `there is no channel "${wanted}"${near === undefined ? '' : `; did you mean "${near}"?`}`
        ctx.addIssue({ code: 'custom', path: [...at, index], message })
      })
    routes.forEach((one, index) => check(one.channels, ['routes', index, 'channels']))
    check(others, ['default'])
  })
  .meta({ description: 'Who is told, how, and from which severity on' })

type Shape = z.output<typeof channelShape>
type Common = Pick<Shape, 'enabled' | 'min_severity' | 'quiet_hours' | 'rate_limit'>
type HttpKeys = Pick<Shape, 'fallback_urls' | 'timeout' | 'ca' | 'allow_private_redirects'> & { readonly url: Address }

export type NotifySeverity = z.output<typeof severity>
export type Address = z.output<typeof address>
export type MessageField = (typeof MESSAGE_FIELDS)[number]
export type QuietHours = NonNullable<Shape['quiet_hours']>
export type MailServerConfig = z.output<typeof mailServer>
export type LogChannel = Common & Pick<Shape, 'file'> & { readonly type: 'log' }
export type EmailChannel = Common & {
  readonly type: 'email'
  readonly from: string
  readonly recipients: readonly string[]
  readonly servers: readonly MailServerConfig[]
}
export type WebhookChannel = Common &
  HttpKeys &
  Pick<Shape, 'method' | 'headers' | 'body' | 'secret' | 'expect'> & { readonly type: 'webhook' }
export type SlackChannel = Common & HttpKeys & { readonly type: 'slack' }
export type TeamsChannel = Common & HttpKeys & { readonly type: 'teams' }
export type DingTalkChannel = Common & HttpKeys & Pick<Shape, 'secret' | 'mention'> & { readonly type: 'dingtalk' }
export type FeishuChannel = Common & HttpKeys & Pick<Shape, 'secret'> & { readonly type: 'feishu' }
export type WeComChannel = Common & HttpKeys & Pick<Shape, 'mention'> & { readonly type: 'wecom' }
export type NtfyChannel = Common & HttpKeys & Pick<Shape, 'token'> & { readonly type: 'ntfy'; readonly topic: string }
export type SystemChannel = Common & Pick<Shape, 'via' | 'facility' | 'socket'> & { readonly type: 'system' }
export type HttpChannel =
  WebhookChannel | SlackChannel | TeamsChannel | DingTalkChannel | FeishuChannel | WeComChannel | NtfyChannel
export type ChannelConfig = LogChannel | EmailChannel | SystemChannel | HttpChannel
export type NotifyConfig = z.output<typeof notifySection>

/** The content type of a webhook, without parameters, in small letters. Default: JSON. */
export function contentTypeOf(headers: Readonly<Record<string, unknown>> = {}): string {
  const own = Object.entries(headers).find(([key]) => key.toLowerCase() === 'content-type')?.[1]
  const text = typeof own === 'string' ? own : 'application/json'
  return (text.split(';')[0] ?? '').trim().toLowerCase()
}

function bodyProblem(body: string, contentType: string): string | undefined {
  const known: readonly string[] = MESSAGE_FIELDS
  const fields = [...body.matchAll(/\{\{[#/]?([^{}]*)\}\}/g)].map(([, field = '']) => field.trim())
  const stranger = fields.find((field) => !known.includes(field))
  if (stranger !== undefined) {
    const near = nearestName(stranger, known)
    return `there is no field "${stranger}"${near === undefined ? `; known: ${known.join(', ')}` : `; did you mean "${near}"?`}`
  }
  if (!/[/+]json$/.test(contentType)) return undefined
  try {
    JSON.parse(body.replace(/\{\{[#/][^{}]*\}\}/g, '').replace(/\{\{[^{}]*\}\}/g, '0'))
    return undefined
  } catch {
    return 'with values in it, it is no JSON; quote them ("{{title}}"), or set the header Content-Type'
  }
}

function isTimeZone(text: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: text })
    return true
  } catch {
    return false
  }
}

function isWebAddress(text: string): boolean {
  return /^https?:\/\/[^\s/]/i.test(text) && URL.canParse(text)
}

function isLoopback(host: string): boolean {
  return /^(?:localhost|127(?:\.\d{1,3}){3}|::1)$/i.test(host)
}
