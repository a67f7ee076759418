import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { renderConfig } from '../../scripts/lib/config/render.ts'
import { configSchema } from '../../scripts/lib/config/schema/index.ts'
import { validateConfig } from '../../scripts/lib/config/validate.ts'

const EXAMPLE = readFileSync(new URL('../../templates/opskit.example.yaml', import.meta.url), 'utf8')

describe('renderConfig', () => {
  it.each([
    ['the defaults', configSchema.parse({})],
    ['the example', validateConfig(EXAMPLE, 'example', { directory: '/etc/opskit', home: '/root' })],
  ])('writes %s so that it reads back the same', (_what, config) => {
    expect(validateConfig(renderConfig(config), 'shown')).toEqual(config)
  })

  it('writes durations with a unit and secrets as references', () => {
    const config = validateConfig(
      'hosts: { a: { ssh: { host: h, password: { env: PW }, connect_timeout: 90s } } }\n',
      'opskit.yaml',
    )
    const text = renderConfig(config)
    expect(text).toContain('connect_timeout: 90s')
    expect(text).toContain('window: 250ms')
    expect(text).toMatch(/password:\n\s+env: PW/)
  })

  it('masks what somebody wrote in plain into a header or an address', () => {
    const http =
      '{ name: a, url: "https://joe:hunter2@example.com/?token=hunter2", headers: { Authorization: Bearer hunter2 } }'
    const text = renderConfig(validateConfig(`diagnose: { http: [${http}] }\n`, 'opskit.yaml'))
    expect(text).not.toContain('hunter2')
  })
})
