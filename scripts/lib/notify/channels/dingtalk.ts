/**
 * DingTalk's group robots (open.dingtalk.com, "custom robots"): Markdown, signed in the query. The status is 200 also on failure:
 * `errcode` tells.
 */
import type { DingTalkChannel } from '../../config/types.ts'
import { cutBytes } from '../bounds.ts'
import { factsOf, formatSummary } from '../render/fields.ts'
import { escapeMarkdown } from '../render/markup.ts'
import type { Message } from '../types.ts'
import { judgeByCode } from './judge.ts'
import { signDingTalk } from './sign.ts'
import type { Secrets, Service } from './web.ts'

/** The whole request may have 20,000 bytes; escaping and JSON can double what is in it. */
const MAX_TEXT_BYTES = 8_000
const MAX_TITLE_BYTES = 200

export function openDingTalk({ mention = [] }: DingTalkChannel, { secret }: Secrets): Service {
  return {
    concurrency: 1,
    compose(message, now) {
      const timestamp = Math.floor(now)
      return {
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(payloadOf(message, message.severity === 'critical' ? mention : [])),
        ...(secret && { query: { timestamp: String(timestamp), sign: signDingTalk(secret, timestamp) } }),
      }
    },
    judge: judgeByCode({
      fields: ['errcode'],
      busy: [-1, 130101, 410100],
      hints: {
        310000: 'The robot’s security settings refuse it: check the secret, the keywords and the allowed addresses.',
        300001: 'The token in the address is wrong.',
        400101: 'The token in the address is missing or wrong.',
      },
    }),
  }
}

function payloadOf(message: Message, mention: readonly string[]) {
  const mobiles = mention.filter((number) => number !== 'all')
  const lines = [
    `### ${escapeMarkdown(formatSummary(message))}`,
    ...(message.text ? [escapeMarkdown(message.text).replaceAll('\n', '  \n')] : []),
    factsOf(message)
      .map(([name, value]) => `- ${escapeMarkdown(name)}: ${escapeMarkdown(value)}`)
      .join('\n'),
    ...(mobiles.length > 0 ? [mobiles.map((number) => `@${number}`).join(' ')] : []),
  ]
  return {
    msgtype: 'markdown',
    markdown: {
      title: cutBytes(formatSummary(message), MAX_TITLE_BYTES),
      text: cutBytes(lines.join('\n\n'), MAX_TEXT_BYTES),
    },
    at: { atMobiles: mobiles, isAtAll: mention.includes('all') },
  }
}
