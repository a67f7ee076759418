/** Which service a channel talks to. */
import type { HttpChannel } from '../../config/types.ts'
import { openDingTalk } from './dingtalk.ts'
import { openFeishu } from './feishu.ts'
import { openNtfy } from './ntfy.ts'
import { openSlack } from './slack.ts'
import { openTeams } from './teams.ts'
import type { Secrets, Service } from './web.ts'
import { openWebhook } from './webhook.ts'
import { openWeCom } from './wecom.ts'

export function openService(channel: HttpChannel, secrets: Secrets): Service {
  switch (channel.type) {
    case 'webhook':
      return openWebhook(channel, secrets)
    case 'slack':
      return openSlack()
    case 'teams':
      return openTeams()
    case 'dingtalk':
      return openDingTalk(channel, secrets)
    case 'feishu':
      return openFeishu(secrets)
    case 'wecom':
      return openWeCom(channel)
    case 'ntfy':
      return openNtfy(channel, secrets)
  }
}
