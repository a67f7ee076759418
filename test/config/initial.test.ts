import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { renderInitialConfig, type SeenMachine } from '../../scripts/lib/config/initial.ts'
import { validateConfig } from '../../scripts/lib/config/validate.ts'

const NOTHING: SeenMachine = { hostname: 'web-1', units: [], ports: [], projects: [], databases: [], notes: [] }

const FULL: SeenMachine = {
  hostname: 'web-1',
  units: ['nginx.service', 'ssh.service'],
  ports: [
    { port: 22, loopback: false, process: 'sshd' },
    { port: 5432, loopback: true, process: 'postgres' },
    { port: 8080, loopback: false },
  ],
  nginx: {
    config: '/etc/nginx/nginx.conf',
    sites: [
      { name: 'www.example.com', tls: true },
      { name: 'old.example.com', tls: false },
    ],
    certificates: ['/etc/ssl/www.pem'],
  },
  projects: [{ name: 'shop', files: ['/opt/shop/compose.yaml'] }],
  databases: [
    { type: 'mariadb', at: { socket: '/run/mysqld/mysqld.sock' } },
    { type: 'postgresql', at: { port: 5433 } },
  ],
  notes: ['containers: not permitted'],
}

describe('a first opskit.yaml', () => {
  it('holds what was seen', () => {
    const { name, diagnose } = validateConfig(renderInitialConfig(FULL), 'opskit.yaml')
    expect(name).toBe('web-1')
    expect(diagnose.units).toEqual(['nginx.service', 'ssh.service'])
    expect(diagnose.ports).toMatchObject([
      { port: 22, name: 'sshd', loopback: false },
      { port: 5432, name: 'postgres', loopback: true },
      { port: 8080, loopback: false },
    ])
    expect(diagnose.nginx).toMatchObject({ expected: true, config: '/etc/nginx/nginx.conf' })
    expect(diagnose.containers).toMatchObject({ projects: ['shop'], compose_files: ['/opt/shop/compose.yaml'] })
  })

  it('leaves to the operator what it could not prove: sites and databases are comments', () => {
    const text = renderInitialConfig(FULL)
    const { diagnose } = validateConfig(text, 'opskit.yaml')
    expect([diagnose.http, diagnose.databases]).toEqual([[], []])
    expect(text).toContain('#   - { name: www.example.com, url: "https://www.example.com/" }')
    expect(text).toContain('#   - { name: old.example.com, url: "http://old.example.com/" }')
    expect(text).toContain('# Not looked at: containers: not permitted')
  })

  it('is right too when its comments are taken in', () => {
    const text = renderInitialConfig(FULL).replace(/^ {2}# {3}(?:mariadb|postgresql|certificate)\b.*\n/gm, '')
    const taken = text.replace(/^ {2}# (http:|databases:| {2}- )/gm, '  $1')
    const { diagnose } = validateConfig(taken, 'opskit.yaml')
    expect(diagnose.http.map(({ url }) => url)).toEqual(['https://www.example.com/', 'http://old.example.com/'])
    expect(diagnose.databases).toMatchObject([
      { type: 'mariadb', socket: '/run/mysqld/mysqld.sock', password: { env: 'MARIADB_PASSWORD' } },
      { type: 'postgresql', host: '127.0.0.1', port: 5433 },
    ])
  })

  it('proposes nothing on a machine where nothing was seen', () => {
    const text = renderInitialConfig(NOTHING)
    expect(text.split('\n').filter((line) => !/^(?:#|\s*$)/.test(line))).toEqual(['version: 1', 'name: web-1'])
    expect(validateConfig(text, 'opskit.yaml').diagnose.ports).toEqual([])
  })

  it('counts what is too much to write out', () => {
    const ports = Array.from({ length: 100 }, (_, index) => ({ port: index + 1, loopback: false }))
    const text = renderInitialConfig({ ...NOTHING, ports })
    expect(text).toContain('… and 60 more')
    expect(validateConfig(text, 'opskit.yaml').diagnose.ports).toHaveLength(40)
  })

  it('is a valid file whatever the machine is called and runs', () => {
    const text = fc.string({ unit: 'binary', maxLength: 20 })
    const hostile = fc.record({
      hostname: text,
      units: fc.array(text),
      ports: fc.array(fc.record({ port: fc.integer({ min: 1, max: 65535 }), loopback: fc.boolean(), process: text })),
      nginx: fc.record({
        config: text.filter((path) => path !== ''),
        sites: fc.array(fc.record({ name: text, tls: fc.boolean() })),
        certificates: fc.array(text),
      }),
      projects: fc.array(fc.record({ name: text, files: fc.array(text.map((path) => `/${path}`)) })),
      databases: fc.array(
        fc.record({
          type: fc.constantFrom('mariadb' as const, 'postgresql' as const),
          at: fc.record({ socket: text }),
        }),
      ),
      notes: fc.array(text),
    })
    fc.assert(
      fc.property(hostile, (seen) => {
        const config = validateConfig(renderInitialConfig(seen), 'opskit.yaml')
        expect(config.diagnose.units).toEqual(seen.units.slice(0, 40))
        expect(config.diagnose.containers.projects).toEqual(seen.projects.map(({ name }) => name).slice(0, 40))
      }),
      { numRuns: 50 },
    )
  }, 60_000)
})
