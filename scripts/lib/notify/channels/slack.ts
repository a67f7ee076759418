/**
 * Slack's incoming webhooks (api.slack.com/messaging/webhooks): 200 `ok`, or 4xx with a word that says what is wrong. Services that
 * imitate them (Mattermost, Rocket.Chat) take the same.
 */
import { cutChars } from '../bounds.ts'
import { factsOf, formatSummary } from '../render/fields.ts'
import { escapeSlack } from '../render/markup.ts'
import type { Message } from '../types.ts'
import { parseObject, type BodyVerdict } from './judge.ts'
import type { Service } from './web.ts'

/** api.slack.com/reference/block-kit: 3,000 characters in a section, 40,000 in a message. */
const MAX_SECTION_CHARS = 2_900
const COLOR_OF = { info: '#2f81f7', warning: '#d29922', critical: '#cf222e' } as const

export function openSlack(): Service {
  return {
    concurrency: 1,
    compose: (message) => ({
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(payloadOf(message)),
    }),
    judge,
  }
}

/** A log-in page of a proxy is a 200, too. */
function judge(body: string): BodyVerdict {
  const { ok, success } = parseObject(body) ?? {}
  if (body.trim() === 'ok' || ok === true || success === true) return { ok: true }
  if (ok === false || success === false) return { ok: false, why: 'message' }
  return { ok: false, why: 'channel', hint: 'That is no answer of Slack: check the address.' }
}

function payloadOf(message: Message) {
  const facts = factsOf(message).map(([name, value]) => `${name}: ${value}`)
  const section = (text: string) => ({
    type: 'section',
    text: { type: 'plain_text', text: cutChars(text, MAX_SECTION_CHARS), emoji: false },
  })
  return {
    text: escapeSlack(formatSummary(message)),
    attachments: [
      {
        color: message.kind === 'recovery' ? '#1a7f37' : COLOR_OF[message.severity],
        blocks: [
          ...(message.text ? [section(message.text)] : []),
          section(facts.join('\n')),
          { type: 'context', elements: [{ type: 'plain_text', text: message.id, emoji: false }] },
        ],
      },
    ],
  }
}
