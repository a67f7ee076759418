/**
 * WeCom's group robots (developer.work.weixin.qq.com, "group robots"): the key stands in the address, a text has at most 2,048
 * bytes. The status is 200 also on failure: `errcode` tells.
 */
import type { WeComChannel } from '../../config/types.ts'
import { cutBytes } from '../bounds.ts'
import { formatPlain } from '../render/fields.ts'
import { judgeByCode } from './judge.ts'
import type { Service } from './web.ts'

const MAX_TEXT_BYTES = 2_048

export function openWeCom({ mention = [] }: WeComChannel): Service {
  const mobiles = mention.map((number) => (number === 'all' ? '@all' : number))
  return {
    concurrency: 1,
    compose(message) {
      const at = message.severity === 'critical' && mobiles.length > 0 ? { mentioned_mobile_list: mobiles } : {}
      const content = cutBytes(formatPlain(message), MAX_TEXT_BYTES)
      return {
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ msgtype: 'text', text: { content, ...at } }),
      }
    },
    judge: judgeByCode({
      fields: ['errcode'],
      busy: [-1, 45009, 45033],
      hints: { 93000: 'The key in the address is wrong.' },
    }),
  }
}
