/**
 * Feishu's and Lark's custom bots (open.feishu.cn, "custom bot guide"): text, signed in the body. The status is 200 also on
 * failure: `code` tells (older bots: `StatusCode`).
 */
import { cutBytes } from '../bounds.ts'
import { formatPlain } from '../render/fields.ts'
import { escapeFeishu } from '../render/markup.ts'
import { judgeByCode } from './judge.ts'
import { signFeishu } from './sign.ts'
import type { Secrets, Service } from './web.ts'

/** The whole request may have 20 KB; JSON can double what is in it. */
const MAX_TEXT_BYTES = 8_000

export function openFeishu({ secret }: Secrets): Service {
  return {
    concurrency: 1,
    compose(message, now) {
      const timestamp = Math.floor(now / 1_000)
      const signed = secret ? { timestamp: String(timestamp), sign: signFeishu(secret, timestamp) } : {}
      const text = cutBytes(escapeFeishu(formatPlain(message)), MAX_TEXT_BYTES)
      return {
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ ...signed, msg_type: 'text', content: { text } }),
      }
    },
    judge: judgeByCode({
      fields: ['code', 'StatusCode'],
      busy: [9499, 11232],
      hints: {
        19001: 'The token in the address is wrong.',
        19021:
          'The signature is refused: check the secret and the clock of this machine (it may be off by an hour at most).',
        19022: 'The address of this machine is not on the list of the bot.',
        19024: 'The bot wants a keyword that the message does not hold.',
      },
    }),
  }
}
