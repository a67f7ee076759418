/**
 * The signatures that services ask for.
 * DingTalk: open.dingtalk.com, "custom robot security settings". Feishu: open.feishu.cn, "custom bot". Webhooks: Standard
 * Webhooks 1.0 (standardwebhooks.com): `webhook-signature: v1,<base64>` over `id.timestamp.body`.
 */
import { createHmac } from 'node:crypto'

/** @param timestampMs milliseconds since the epoch @returns base64, not yet encoded for a URL */
export function signDingTalk(secret: string, timestampMs: number): string {
  return createHmac('sha256', secret).update(`${timestampMs}\n${secret}`).digest('base64')
}

/** Key and data are the other way round than one would think: the data is empty. @param timestamp seconds since the epoch */
export function signFeishu(secret: string, timestamp: number): string {
  return createHmac('sha256', `${timestamp}\n${secret}`).digest('base64')
}

/** @param secret `whsec_` and base64, or any text @param timestamp seconds since the epoch */
export function signWebhook(secret: string, message: { id: string; timestamp: number; body: string }): string {
  const key = secret.startsWith('whsec_') ? Buffer.from(secret.slice('whsec_'.length), 'base64') : secret
  const { id, timestamp, body } = message
  return `v1,${createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')}`
}
