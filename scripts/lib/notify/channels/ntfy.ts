/** ntfy (docs.ntfy.sh/publish, "Publish as JSON"): to the root of the server, so that nothing of a message is a header. */
import type { NtfyChannel } from '../../config/types.ts'
import { cutBytes } from '../bounds.ts'
import { factsOf, formatSummary } from '../render/fields.ts'
import type { Message } from '../types.ts'
import { parseObject } from './judge.ts'
import type { Secrets, Service } from './web.ts'

/** A longer message becomes a file that has to be opened. */
const MAX_MESSAGE_BYTES = 4_000
const MAX_TITLE_BYTES = 250
const PRIORITY_OF = { info: 3, warning: 4, critical: 5 } as const

export function openNtfy({ topic }: NtfyChannel, { token }: Secrets): Service {
  return {
    concurrency: 1,
    compose: (message) => ({
      headers: { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) },
      body: JSON.stringify({
        topic,
        title: cutBytes(formatSummary(message), MAX_TITLE_BYTES),
        message: cutBytes(textOf(message), MAX_MESSAGE_BYTES),
        priority: message.kind === 'recovery' ? 3 : PRIORITY_OF[message.severity],
        tags: [message.kind === 'recovery' ? 'white_check_mark' : 'warning', ...message.tags],
      }),
    }),
    // The published message comes back; a page of a proxy does not hold an id.
    judge: (body) =>
      typeof parseObject(body)?.['id'] === 'string'
        ? { ok: true }
        : { ok: false, why: 'channel', hint: 'That is no answer of ntfy: check the address.' },
  }
}

function textOf(message: Message): string {
  const facts = factsOf(message).map(([name, value]) => `${name}: ${value}`)
  return [...(message.text ? [message.text, ''] : []), ...facts].join('\n')
}
