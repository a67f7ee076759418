import { describe, expect, it } from 'vitest'
import { validateConfig } from '../../scripts/lib/config/validate.ts'
import { setUp } from './setup.ts'

function problemOf(yaml: string): string {
  try {
    setUp(yaml)
    return 'none'
  } catch (error) {
    return (error as Error).message
  }
}

describe('the section notify', () => {
  it('is not needed', () => {
    const { notify } = validateConfig('{}', 'opskit.yaml')
    expect(notify).toMatchObject({ enabled: true, min_severity: 'warning', window: 300_000, channels: {} })
  })

  it.each([
    ['type: emial', 'notify.channels.c.type: "emial" is not one of log, email'],
    ['type: log, url: "https://example.com"', 'notify.channels.c.url: not a setting of a log channel, which has: file'],
    ['type: email, from: a@example.com, servers: [{ host: mail }]', 'missing key "recipients" of a email channel'],
    [
      'type: email, from: "a@example.com, b@example.com", recipients: [c@example.com], servers: [{ host: m }]',
      'a mail address is written ops@example.com',
    ],
    [
      'type: email, from: a@example.com, recipients: ["x@example.com\\nBcc: y@example.com"], servers: [{ host: m }]',
      'a mail address is written',
    ],
    [
      'type: email, from: a@example.com, recipients: [b@example.com], servers: [{ host: mail.example.com, security: none, username: u, password: { env: P } }]',
      'none would send the password in clear',
    ],
    [
      'type: email, from: a@example.com, recipients: [b@example.com], servers: [{ host: m, username: u }]',
      'username and password belong together',
    ],
    ['type: slack, url: "https://hooks.example.com/T000/B000/token"', 'it holds a token, so it is a secret'],
    ['type: webhook, url: "ftp://example.com"', 'notify.channels.c.url: must be an address that begins with http'],
    ['type: webhook, url: "https://example.com", headers: { "X-A": "a\\nb" }', 'notify.channels.c.headers.X-A'],
    ['type: webhook, url: "https://example.com", headers: { "X A": a }', 'not the name of a header'],
    [
      'type: webhook, url: "https://example.com", body: "{{titel}}"',
      'there is no field "titel"; did you mean "title"?',
    ],
    ['type: webhook, url: "https://example.com", body: "{\\"a\\": {{title}} x}"', 'it is no JSON'],
    ['type: webhook, url: "https://example.com", method: GET, body: "x"', 'a GET request has no body'],
    ['type: ntfy, url: "https://ntfy.example.com"', 'missing key "topic"'],
    ['type: log, quiet_hours: { from: "22:00", to: "7:00" }', 'a time of day is written 22:00'],
    ['type: log, quiet_hours: { from: "22:00", to: "22:00" }', 'the same time'],
    ['type: log, quiet_hours: { from: "22:00", to: "07:00", timezone: Europe/Wien }', 'unknown time zone'],
    ['type: log, rate_limit: { messages: 0 }', 'must be at least 1'],
  ])('refuses %s', (channel, message) => {
    expect(problemOf(`channels: { c: { ${channel} } }`)).toContain(message)
  })

  it('names a channel that a route does not find, with the nearest', () => {
    expect(problemOf('channels: { mail: { type: log } }\nroutes: [{ tags: [db], channels: [mial] }]')).toContain(
      'there is no channel "mial"; did you mean "mail"?',
    )
    expect(problemOf('channels: { mail: { type: log } }\ndefault: [post]')).toContain('there is no channel "post"')
  })

  it('never shows a secret that was written where a reference belongs', () => {
    const problem = problemOf('channels: { c: { type: webhook, url: "https://example.com", secret: hunter2hunter2 } }')
    expect(problem).toContain('a reference to a secret')
    expect(problem).not.toContain('hunter2')
  })

  it('accepts a template that is JSON with values in it', () => {
    expect(
      problemOf(
        'channels: { c: { type: webhook, url: "https://example.com", body: \'{"n": {{count}}, "t": "{{title}}"{{#next}}, "x": "{{next}}"{{/next}}}\' } }',
      ),
    ).toBe('none')
  })
})
