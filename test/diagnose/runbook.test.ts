import { beforeAll, describe, expect, it } from 'vitest'
import { CATALOG } from '../../scripts/lib/catalog.ts'
import { validateConfig } from '../../scripts/lib/config/validate.ts'
import { decideRunbook, withRunbook, type JudgedFinding } from '../../scripts/lib/diagnose/runbook.ts'
import { parseRunbookParams } from '../../scripts/lib/runbook/params.ts'
import { listRunbooks, SHIPPED_DIR } from '../../scripts/lib/runbook/read/find.ts'
import type { Runbook } from '../../scripts/lib/runbook/types.ts'

const config = validateConfig(
  `
hosts:
  web-1: { ssh: { host: 192.0.2.10, port: 2222 } }
  db-1: { ssh: { host: db-alias } }
  api: { container: { name: shop-api-1, on: web-1 } }
diagnose:
  network: { targets: [{ host: 192.0.2.20, port: 8090 }, { name: peer, host: standby.example.com }] }
  http:
    - { name: site, url: https://www.example.com/health }
    - { name: gateway, url: http://127.0.0.1:8090/health }
    - { name: edge, url: https://192.0.2.10:8443/ }
  databases:
    - { name: orders, type: mariadb }
    - { name: users, type: postgresql, host: 192.0.2.10, port: 5433 }
    - { name: far, type: mysql, host: 198.51.100.9 }
`,
  'opskit.yaml',
)
const around = { config, localName: 'here' }

type Facts = Partial<JudgedFinding> & { readonly check: string }
/** What a check says, the runbook it leads to, and what that one is told. */
const ROWS: readonly (readonly [facts: Facts, id: string, params: Record<string, string>])[] = [
  [{ check: 'host.disk', subject: '/var', host: 'web-1' }, 'disk-full', { host: 'web-1', mount: '/var' }],
  [{ check: 'host.disk', subject: '/' }, 'disk-full', { host: 'local', mount: '/' }],
  [{ check: 'host.inodes', subject: '/srv' }, 'disk-full', { host: 'local', mount: '/srv' }],
  [{ check: 'host.load' }, 'host-overloaded', { host: 'local' }],
  [{ check: 'host.oom', host: 'web-1' }, 'host-overloaded', { host: 'web-1' }],
  [
    { check: 'host.reachable', host: 'web-1' },
    'host-unreachable',
    { host: 'web-1', address: '192.0.2.10', port: '2222' },
  ],
  [{ check: 'host.reachable', host: 'db-1' }, 'host-unreachable', { host: 'db-1' }],
  [{ check: 'host.reachable', host: 'api' }, 'backend-down', { host: 'web-1', container: 'shop-api-1' }],
  [{ check: 'network.host', subject: 'db-1' }, 'host-unreachable', { host: 'db-1' }],
  [
    { check: 'network.target', subject: '192.0.2.20 port 8090' },
    'link-down',
    { host: 'local', peer: '192.0.2.20', port: '8090' },
  ],
  [{ check: 'network.target', subject: 'peer' }, 'link-down', { host: 'local', peer: 'standby.example.com' }],
  [{ check: 'network.target', subject: 'gateway 192.0.2.1' }, 'link-down', { host: 'local', peer: '192.0.2.1' }],
  [
    { check: 'network.target', subject: 'resolver 192.0.2.53' },
    'link-down',
    { host: 'local', peer: '192.0.2.53', port: '53' },
  ],
  [{ check: 'service.unit', subject: 'nginx.service' }, 'nginx-down', { host: 'local' }],
  [
    { check: 'service.unit', subject: 'postgresql@15-main.service', host: 'web-1' },
    'database-down',
    {
      host: 'web-1',
      database: 'postgresql',
      port: '5432',
      data: '/var/lib/postgresql',
      service: 'postgresql@15-main',
    },
  ],
  [{ check: 'service.port', subject: '443/tcp' }, 'nginx-down', { host: 'local' }],
  [
    { check: 'service.port', subject: '3306/tcp' },
    'database-down',
    { host: 'local', database: 'mariadb', port: '3306', data: '/var/lib/mysql', service: 'mariadb' },
  ],
  [
    { check: 'service.certificate', subject: 'example.com:8443' },
    'certificate-expired',
    { host: 'local', domain: 'example.com', port: '8443' },
  ],
  [
    { check: 'nginx.certificate', subject: '/etc/ssl/app.pem', host: 'web-1', about: { domain: 'app.example.com' } },
    'certificate-expired',
    { host: 'web-1', domain: 'app.example.com', certificate: '/etc/ssl/app.pem' },
  ],
  [{ check: 'nginx.process', host: 'web-1' }, 'nginx-down', { host: 'web-1' }],
  [{ check: 'nginx.config' }, 'nginx-down', { host: 'local' }],
  [
    { check: 'container.health', subject: 'shop-orders-1', host: 'web-1', about: { service: 'orders' } },
    'backend-down',
    { host: 'web-1', container: 'shop-orders-1' },
  ],
  [
    {
      check: 'container.state',
      subject: 'shop-gateway-1',
      about: { service: 'gateway', compose: '/srv/shop/compose.yaml' },
    },
    'gateway-down',
    { host: 'local', container: 'shop-gateway-1', service: 'gateway', compose: '/srv/shop/compose.yaml' },
  ],
  [{ check: 'container.restarts', subject: 'edge-proxy' }, 'gateway-down', { host: 'local', container: 'edge-proxy' }],
  [
    { check: 'container.project', subject: 'shop', about: { service: 'orders', container: 'shop-orders-1' } },
    'backend-down',
    { host: 'local', container: 'shop-orders-1' },
  ],
  [{ check: 'http.check', subject: 'site' }, 'nginx-down', { host: 'local', url: 'https://www.example.com/health' }],
  [
    { check: 'http.check', subject: 'edge', about: { domain: '192.0.2.10' } },
    'certificate-expired',
    { host: 'web-1', domain: '192.0.2.10', port: '8443' },
  ],
  [
    { check: 'database.reachable', subject: 'orders' },
    'database-down',
    { host: 'local', database: 'mariadb', port: '3306', data: '/var/lib/mysql', service: 'mariadb' },
  ],
  [
    { check: 'database.slots', subject: 'users standby_1' },
    'database-down',
    { host: 'web-1', database: 'postgresql', port: '5433', data: '/var/lib/postgresql', service: 'postgresql' },
  ],
  [{ check: 'database.reachable', subject: 'far' }, 'link-down', { host: 'local', peer: '198.51.100.9', port: '3306' }],
  [{ check: 'backup.age', subject: 'database/app' }, 'backup-failed', { name: 'database/app' }],
  [{ check: 'backup.drill', subject: 'static/site' }, 'backup-failed', { name: 'static/site' }],
  [{ check: 'backup.repository' }, 'prevention', {}],
  [{ check: 'host.reboot' }, 'prevention', {}],
  [{ check: 'host.clock' }, 'incident-during', { what: 'here: it is so', host: 'local' }],
  [
    { check: 'endpoint.api', subject: 'https://api.example.com' },
    'incident-during',
    { what: 'here: it is so', host: 'local' },
  ],
  [{ check: 'container' }, 'incident-during', { what: 'here: it is so', host: 'local' }],
  [{ check: 'of.a.later.day' }, 'incident-during', { what: 'here: it is so', host: 'local' }],
]

let shipped: readonly Runbook[]

beforeAll(async () => {
  const reads = await listRunbooks({ dirs: [SHIPPED_DIR], actions: CATALOG })
  shipped = reads.flatMap(({ runbook, language }) => (runbook && language === 'en' ? [runbook] : []))
})

describe('a finding in trouble leads to a runbook that ships', () => {
  for (const [facts, id, params] of ROWS) {
    const where = [facts.check, facts.subject, facts.host].filter(Boolean).join(' ')
    it(`${where}: ${id}`, () => {
      const finding: JudgedFinding = { host: 'here', severity: 'critical', title: 'it is so', ...facts }
      expect(decideRunbook(finding, around)).toEqual({ id, params })

      const runbook = shipped.find((one) => one.id === id)
      expect(runbook, `runbooks/${id}.md`).toBeDefined()
      const given = parseRunbookParams(runbook ?? { id, params: [] }, params, { hosts: Object.keys(config.hosts) })
      expect(Object.keys(given)).toEqual(expect.arrayContaining(Object.keys(params)))
    })
  }

  it('and no other does; what it was told beside the finding is not shown', () => {
    const finding: JudgedFinding = { check: 'host.disk', subject: '/', host: 'here', severity: 'ok', title: 'has room' }
    expect(withRunbook({ ...finding, about: { service: 'x' } }, around)).toEqual(finding)
    expect(withRunbook({ ...finding, severity: 'skipped' }, around)).not.toHaveProperty('runbook')
    expect(withRunbook({ ...finding, severity: 'warning', about: { service: 'x' } }, around)).toEqual({
      ...finding,
      severity: 'warning',
      runbook: { id: 'disk-full', params: { host: 'local', mount: '/' } },
    })
  })
})
