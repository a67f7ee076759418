/** How many messages a channel may send now: a bucket that fills evenly, kept in the journal, so that all processes share it. */
import type { ChannelConfig } from '../config/types.ts'

export interface Rate {
  readonly messages: number
  readonly perMs: number
}

export interface Bucket {
  readonly tokens: number
  /** Wall clock, milliseconds. */
  readonly refilledAt: number
}

const MINUTE_MS = 60_000

/**
 * What a channel may do when the config is silent. Sources: DingTalk and WeCom 20 a minute and robot, Feishu 100 a minute, Slack
 * one a second, Teams four a second, ntfy 60 at once and one each 5 s.
 */
const DEFAULTS: Readonly<Record<ChannelConfig['type'], Rate | undefined>> = {
  log: undefined,
  system: undefined,
  webhook: { messages: 600, perMs: MINUTE_MS },
  email: { messages: 100, perMs: MINUTE_MS },
  slack: { messages: 60, perMs: MINUTE_MS },
  teams: { messages: 100, perMs: MINUTE_MS },
  dingtalk: { messages: 20, perMs: MINUTE_MS },
  feishu: { messages: 100, perMs: MINUTE_MS },
  wecom: { messages: 20, perMs: MINUTE_MS },
  ntfy: { messages: 60, perMs: 5 * MINUTE_MS },
}

/** @returns undefined for no limit */
export function rateOf({ type, rate_limit: own }: ChannelConfig): Rate | undefined {
  return own ? { messages: own.messages, perMs: own.per } : DEFAULTS[type]
}

/** The bucket as it is now. A clock that was put back fills nothing; a new bucket is full. */
export function refill(bucket: Bucket | undefined, { messages, perMs }: Rate, now: number): Bucket {
  if (!bucket) return { tokens: messages, refilledAt: now }
  const elapsedMs = Math.max(0, now - bucket.refilledAt)
  return { tokens: Math.min(messages, bucket.tokens + (elapsedMs * messages) / perMs), refilledAt: now }
}

/** When the next message may go. */
export function nextTokenAt({ tokens, refilledAt }: Bucket, { messages, perMs }: Rate): number {
  return tokens >= 1 ? refilledAt : Math.ceil(refilledAt + ((1 - tokens) * perMs) / messages)
}
