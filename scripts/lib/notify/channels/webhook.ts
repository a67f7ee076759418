/**
 * Any address. Without a template the body is the message as JSON. Each request carries the id of the message, so that a receiver
 * can tell a repeat, and with a secret a signature over id, time and body (Standard Webhooks).
 */
import { contentTypeOf } from '../../config/schema/notify.ts'
import type { WebhookChannel } from '../../config/types.ts'
import { documentOf } from '../render/document.ts'
import { fieldsOf } from '../render/fields.ts'
import { compileTemplate, escapeFor } from '../render/template.ts'
import type { Message } from '../types.ts'
import { parseObject, type BodyVerdict } from './judge.ts'
import { signWebhook } from './sign.ts'
import type { Secrets, Service } from './web.ts'

export function openWebhook(channel: WebhookChannel, { headers, secret }: Secrets): Service {
  const { method = 'POST', expect } = channel
  const compose = bodyOf(channel)
  const hasType = Object.keys(headers).some((name) => name.toLowerCase() === 'content-type')
  return {
    concurrency: 4,
    compose(message, now) {
      const body = method === 'GET' ? undefined : compose(message)
      const timestamp = Math.floor(now / 1_000)
      return {
        method,
        body,
        headers: {
          ...(hasType || body === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
          'webhook-id': message.id,
          'webhook-timestamp': String(timestamp),
          ...(secret && { 'webhook-signature': signWebhook(secret, { id: message.id, timestamp, body: body ?? '' }) }),
        },
      }
    },
    judge: (body) => judgeBody(body, expect),
  }
}

function bodyOf({ body, headers }: WebhookChannel): (message: Message) => string {
  if (body === undefined) return (message) => JSON.stringify(documentOf(message))
  const render = compileTemplate(body, escapeFor(contentTypeOf(headers)))
  return (message) => render(fieldsOf(message))
}

/** Without `expect`: only what says plainly that it failed, as DingTalk, WeCom and Slack's API do with a status of 200. */
function judgeBody(body: string, expect: string | undefined): BodyVerdict {
  if (expect !== undefined) {
    return body.includes(expect)
      ? { ok: true }
      : { ok: false, why: 'message', hint: `The answer does not hold "${expect}".` }
  }
  const { errcode, ok, success } = parseObject(body) ?? {}
  const failed = (typeof errcode === 'number' && errcode !== 0) || ok === false || success === false
  return failed ? { ok: false, why: 'message' } : { ok: true }
}
