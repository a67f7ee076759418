import { describe, expect, it } from 'vitest'
import type { HttpChannel } from '../../scripts/lib/config/types.ts'
import { isPrivateAddress } from '../../scripts/lib/notify/channels/address.ts'
import { judgeAnswer, parseRetryAfter } from '../../scripts/lib/notify/channels/judge.ts'
import { openService } from '../../scripts/lib/notify/channels/services.ts'
import { signDingTalk, signFeishu, signWebhook } from '../../scripts/lib/notify/channels/sign.ts'
import type { Secrets } from '../../scripts/lib/notify/channels/web.ts'
import type { DeliveryError } from '../../scripts/lib/notify/delivery-error.ts'
import type { Message } from '../../scripts/lib/notify/index.ts'
import { compileTemplate, escapeFor, type Fields } from '../../scripts/lib/notify/render/template.ts'
import { setUp } from './setup.ts'

const NOW = 1_700_000_000_000

function messageOf(alert: Parameters<ReturnType<typeof setUp>['raise']>[0] = {}): Message {
  const bench = setUp('channels: { console: { type: log } }')
  bench.raise(alert)
  return { ...(bench.outbox()[0] as Message), attempt: 1 }
}

function serviceOf(type: HttpChannel['type'], more: object = {}, secrets: Partial<Secrets> = {}) {
  const channel = { type, url: 'https://example.com/', enabled: true, topic: 'ops', ...more } as HttpChannel
  const service = openService(channel, { headers: {}, ...secrets })
  return {
    ...service,
    request: (message: Message) => service.compose(message, NOW),
    body: (message: Message) => JSON.parse(service.compose(message, NOW).body ?? 'null') as Record<string, unknown>,
  }
}

describe('signatures', () => {
  it('are those of the services', () => {
    expect(encodeURIComponent(signDingTalk('SECtest', 1_700_000_000_000))).toBe(
      'aZLLrriXgn05YbwaGR7knYsLeJADjr9NwLaNNKpxh4g%3D',
    )
    expect(signFeishu('test', 1_700_000_000)).toBe('eSJQnOl8XqPTMPHWz9e5IzeHS/tqoc68g2967ekIPmg=')
    // The example of the Standard Webhooks specification.
    const message = { id: 'msg_p5jXN8AQM9LWM0D4loKWxJek', timestamp: 1_614_265_330, body: '{"test": 2432232314}' }
    expect(signWebhook('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', message)).toBe(
      'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    )
  })

  it('stand where the services look for them', () => {
    const dingtalk = serviceOf('dingtalk', {}, { secret: 'SECtest' }).request(messageOf())
    expect(dingtalk.query).toEqual({
      timestamp: '1700000000000',
      sign: decodeURIComponent('aZLLrriXgn05YbwaGR7knYsLeJADjr9NwLaNNKpxh4g%3D'),
    })
    expect(serviceOf('feishu', {}, { secret: 'test' }).body(messageOf())).toMatchObject({
      timestamp: '1700000000',
      sign: 'eSJQnOl8XqPTMPHWz9e5IzeHS/tqoc68g2967ekIPmg=',
      msg_type: 'text',
    })
    const message = messageOf()
    const webhook = serviceOf('webhook', {}, { secret: 'key' }).request(message)
    expect(webhook.headers).toMatchObject({
      'webhook-id': message.id,
      'webhook-timestamp': '1700000000',
      'webhook-signature': signWebhook('key', { id: message.id, timestamp: 1_700_000_000, body: webhook.body ?? '' }),
    })
    expect(serviceOf('webhook').request(message).headers).not.toHaveProperty('webhook-signature')
  })
})

describe('what services get', () => {
  const evil = messageOf({
    title: '<!channel> [click](http://evil.example.com) <at user_id="all"></at>',
    text: '**bold** `code` <https://evil.example.com|x>',
  })

  it('Slack: nothing that mentions or links', () => {
    const body = serviceOf('slack').body(evil)
    expect(body['text']).toContain('&lt;!channel&gt;')
    expect(JSON.stringify(body)).not.toContain('mrkdwn')
  })

  it('Teams: a card without links of others', () => {
    expect(serviceOf('teams').body(evil)).toMatchObject({
      type: 'message',
      attachments: [
        { contentType: 'application/vnd.microsoft.card.adaptive', content: { type: 'AdaptiveCard', version: '1.4' } },
      ],
    })
    expect(JSON.stringify(serviceOf('teams').body(evil))).not.toMatch(/[^\\]\[click\]\(/)
  })

  it('DingTalk: Markdown, escaped, and mentions for critical alerts only', () => {
    const service = serviceOf('dingtalk', { mention: ['13800000000', 'all'] })
    const body = service.body(evil) as { markdown: { text: string } }
    expect(body).toMatchObject({ msgtype: 'markdown', at: { atMobiles: ['13800000000'], isAtAll: true } })
    expect(body.markdown.text).toContain('\\[click\\]\\(')
    expect(service.body(messageOf({ severity: 'warning' }))).toMatchObject({ at: { atMobiles: [], isAtAll: false } })
  })

  it('Feishu: no mention in the text', () => {
    expect(JSON.stringify(serviceOf('feishu').body(evil))).not.toContain('<at')
  })

  it('WeCom: 2,048 bytes at most, cut between characters', () => {
    for (const filler of ['备', 'é', '😀', 'x']) {
      for (let shift = 0; shift < 4; shift += 1) {
        const { text } = serviceOf('wecom').body(messageOf({ text: 'x'.repeat(shift) + filler.repeat(3_000) })) as {
          text: { content: string }
        }
        const bytes = Buffer.byteLength(text.content)
        expect(bytes).toBeLessThanOrEqual(2_048)
        expect(bytes).toBeGreaterThan(2_040)
        expect(text.content.isWellFormed()).toBe(true)
        expect(text.content).toMatch(new RegExp(`${filler}…$`, 'u'))
      }
    }
  })

  it('ntfy: JSON, so that nothing is a header', () => {
    const request = serviceOf('ntfy', {}, { token: 'tk_1' }).request(evil)
    expect(request.headers).toEqual({ 'content-type': 'application/json', authorization: 'Bearer tk_1' })
    expect(JSON.parse(request.body ?? '')).toMatchObject({ topic: 'ops', priority: 5 })
  })

  it.each([
    ['application/json', '{"a":"{{title}}","n":{{count}}}', '{"a":"say \\"hi\\" & {{text}}","n":1}'],
    ['application/x-www-form-urlencoded', 'm={{title}}&n={{count}}', 'm=say%20%22hi%22%20%26%20%7B%7Btext%7D%7D&n=1'],
    ['text/html', '<b>{{title}}</b>', '<b>say &quot;hi&quot; &amp; {{text}}</b>'],
    ['text/plain', '{{title}}{{#next}} -> {{next}}{{/next}}{{#tags}} {{tags}}{{/tags}}', 'say "hi" & {{text}} -> look'],
  ])('a webhook with a template: values are escaped for %s and never read as a template', (type, template, body) => {
    const message = messageOf({ title: 'say "hi" & {{text}}', next: 'look', tags: [] })
    const service = serviceOf(
      'webhook',
      { body: template, headers: { 'Content-Type': type } },
      { headers: { 'Content-Type': type } },
    )
    expect(service.request(message).body).toBe(body)
  })

  it('a template with an unknown field keeps it, and does not reach into objects', () => {
    expect(compileTemplate('{{constructor}} {{title}}', escapeFor('text/plain'))({ title: 'x' } as Fields)).toBe(
      '{{constructor}} x',
    )
  })

  it('a service that bounds its size gets the largest alert within it', () => {
    const message = messageOf({
      title: '<'.repeat(5_000),
      text: '*\n'.repeat(50_000),
      next: '`'.repeat(5_000),
      details: Array.from({ length: 100 }, (_, index) => [`*${index}`, '_'.repeat(5_000)] as const),
    })
    const sizes = {
      slack: 40_000,
      teams: 28_000,
      dingtalk: 20_000,
      feishu: 20_000,
      wecom: 5_000,
      ntfy: 10_000,
    } as const
    for (const [type, size] of Object.entries(sizes)) {
      const { body = '' } = serviceOf(type as HttpChannel['type']).request(message)
      expect(Buffer.byteLength(body), type).toBeLessThanOrEqual(size)
    }
  })
})

describe('an answer', () => {
  type Row = [type: HttpChannel['type'], status: number, body: string, verdict: string, retryAfter?: string]
  it.each<Row>([
    ['webhook', 200, '', 'taken'],
    ['webhook', 204, '', 'taken'],
    ['webhook', 200, '{"errcode":93000,"errmsg":"invalid webhook"}', 'never, this message'],
    ['webhook', 200, '{"ok":false}', 'never, this message'],
    ['webhook', 200, '{"success":false}', 'never, this message'],
    ['webhook', 400, 'bad', 'never, this message'],
    ['webhook', 404, '', 'never, the channel'],
    ['webhook', 401, '', 'never, the channel'],
    ['webhook', 500, '', 'later, the channel'],
    ['webhook', 503, '', 'later, the channel, after 120 s', '120'],
    ['webhook', 501, '', 'never, this message'],
    ['webhook', 429, '', 'later, the channel, after 60 s'],
    ['webhook', 429, '', 'later, the channel, after 7 s', '7'],
    ['slack', 200, 'ok', 'taken'],
    ['slack', 200, '<html>log in</html>', 'never, the channel'],
    ['slack', 404, 'no_service', 'never, the channel'],
    ['teams', 202, '', 'taken'],
    ['teams', 200, '1', 'taken'],
    [
      'teams',
      200,
      'Webhook message delivery failed with error: … returned HTTP error 429',
      'later, the channel, after 60 s',
    ],
    ['teams', 200, 'Webhook message delivery failed with error: … returned HTTP error 413', 'never, this message'],
    ['dingtalk', 200, '{"errcode":0,"errmsg":"ok"}', 'taken'],
    ['dingtalk', 200, '{"errcode":310000,"errmsg":"sign not match"}', 'never, the channel'],
    ['dingtalk', 200, '{"errcode":130101,"errmsg":"send too fast"}', 'later, the channel, after 60 s'],
    ['dingtalk', 200, '{"errcode":40035,"errmsg":"invalid parameter"}', 'never, this message'],
    ['dingtalk', 200, '<html>log in</html>', 'never, the channel'],
    ['feishu', 200, '{"code":0,"msg":"success"}', 'taken'],
    ['feishu', 200, '{"StatusCode":0,"StatusMessage":"success"}', 'taken'],
    ['feishu', 200, '{"code":19021,"msg":"sign match fail"}', 'never, the channel'],
    ['feishu', 200, '{"code":11232,"msg":"frequency limited"}', 'later, the channel, after 60 s'],
    ['wecom', 200, '{"errcode":0,"errmsg":"ok"}', 'taken'],
    ['wecom', 200, '{"errcode":93000,"errmsg":"invalid webhook url"}', 'never, the channel'],
    ['wecom', 200, '{"errcode":45009,"errmsg":"api freq out of limit"}', 'later, the channel, after 60 s'],
    ['ntfy', 200, '{"id":"x","event":"message"}', 'taken'],
    ['ntfy', 200, '<html>', 'never, the channel'],
  ])('of %s: %s %s is %s', (...[type, status, body, verdict, retryAfter]) => {
    expect(verdictOf(type, { status, body, headers: { 'retry-after': retryAfter } })).toBe(verdict)
  })

  it('of a webhook with expect must hold it', () => {
    const { judge } = serviceOf('webhook', { expect: 'queued' })
    expect([judge('{"queued":1}').ok, judge('{}').ok]).toEqual([true, false])
  })

  it.each([
    ['120', 120_000],
    ['Tue, 14 Nov 2023 22:14:20 GMT', 60_000],
    ['Tue, 14 Nov 2023 22:00:00 GMT', 0],
    ['soon', undefined],
    [undefined, undefined],
  ])('Retry-After: %s', (text, ms) => expect(parseRetryAfter(text, NOW)).toBe(ms))
})

function verdictOf(type: HttpChannel['type'], answer: Parameters<typeof judgeAnswer>[0]): string {
  try {
    judgeAnswer(answer, serviceOf(type).judge, NOW)
    return 'taken'
  } catch (error) {
    const { transient, scope, retryAfterMs } = error as DeliveryError
    const hold = retryAfterMs === undefined ? '' : `, after ${retryAfterMs / 1_000} s`
    return `${transient ? 'later' : 'never'}, ${scope === 'channel' ? 'the channel' : 'this message'}${hold}`
  }
}

describe('a private address', () => {
  it.each([
    ...['127.0.0.1', '10.1.2.3', '172.31.255.255', '192.168.0.1', '169.254.169.254', '100.64.0.1', '0.0.0.0'],
    ...[
      '::1',
      '::',
      'fe80::1',
      'fe80::1%eth0',
      'fd00::1',
      '::ffff:10.0.0.1',
      '::ffff:a00:1',
      '64:ff9b::a00:1',
      '2002:a00:1::',
    ],
    ...['255.255.255.255', '224.0.0.1', 'ff02::1', 'not an address'],
  ])('%s', (address) => expect(isPrivateAddress(address)).toBe(true))

  it.each(['8.8.8.8', '1.1.1.1', '172.32.0.1', '2606:4700::1111', '::ffff:8.8.8.8'])('%s is not', (address) =>
    expect(isPrivateAddress(address)).toBe(false),
  )
})
