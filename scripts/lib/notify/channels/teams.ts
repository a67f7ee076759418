/**
 * Microsoft Teams: a workflow that posts what a webhook receives, as an Adaptive Card 1.4 (learn.microsoft.com, "Create incoming
 * webhooks with Workflows"). It answers 202 with nothing; the older connectors answer 200 `1`, or 200 and a sentence on failure.
 */
import { cutBytes } from '../bounds.ts'
import { factsOf, formatSummary } from '../render/fields.ts'
import { escapeMarkdown } from '../render/markup.ts'
import type { Message } from '../types.ts'
import type { BodyVerdict } from './judge.ts'
import type { Service } from './web.ts'

/** A card may have 28 KB, and escaping with JSON makes three bytes of one at worst. */
const MAX_TEXT_BYTES = 4_000
const MAX_FACTS_BYTES = 3_000
const MAX_FACTS = 20
const MAX_NAME_BYTES = 40
const COLOR_OF = { info: 'accent', warning: 'warning', critical: 'attention' } as const

export function openTeams(): Service {
  return {
    concurrency: 1,
    compose: (message) => ({
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(payloadOf(message)),
    }),
    judge,
  }
}

function judge(body: string): BodyVerdict {
  if (!/^\s*Webhook message delivery failed/i.test(body)) return { ok: true }
  // The connector passes on the status of what is behind it.
  return /\b(?:429|5\d\d)\b/.test(body) ? { ok: false, why: 'busy' } : { ok: false, why: 'message' }
}

function payloadOf(message: Message) {
  const color = message.kind === 'recovery' ? 'good' : COLOR_OF[message.severity]
  const text = (value: string, more: object = {}) => ({
    type: 'TextBlock',
    wrap: true,
    text: escapeMarkdown(value),
    ...more,
  })
  return {
    type: 'message',
    attachments: [
      {
        contentType: 'application/vnd.microsoft.card.adaptive',
        contentUrl: null,
        content: {
          $schema: 'http://adaptivecards.io/schemas/adaptive-card.json',
          type: 'AdaptiveCard',
          version: '1.4',
          body: [
            text(formatSummary(message), { weight: 'bolder', size: 'medium', color }),
            ...(message.text ? [text(cutBytes(message.text, MAX_TEXT_BYTES))] : []),
            { type: 'FactSet', facts: boundedFacts(message) },
            text(message.id, { isSubtle: true, size: 'small' }),
          ],
        },
      },
    ],
  }
}

function boundedFacts(message: Message): { title: string; value: string }[] {
  const facts = factsOf(message).slice(0, MAX_FACTS)
  const share = Math.floor(MAX_FACTS_BYTES / Math.max(1, facts.length))
  return facts.map(([title, value]) => {
    return { title: escapeMarkdown(cutBytes(title, MAX_NAME_BYTES)), value: escapeMarkdown(cutBytes(value, share)) }
  })
}
