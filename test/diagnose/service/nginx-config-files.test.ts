/** Which logs, formats and certificates the configuration files name, read directly and through a shell. */
import { execFileSync } from 'node:child_process'
import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  certificatesOf,
  logFormatsOf,
  logsOf,
  readNginxConfig,
  settingOf,
} from '../../../scripts/lib/diagnose/service/nginx/config-files.ts'
import { createPlainHost } from '../../support/plain-host.ts'
import { tempDir } from '../../support/temp.ts'

const HOSTS = [
  ['directly', createPlainHost()],
  ['through sh', createPlainHost({ kind: 'ssh' })],
  ['through busybox sh', createPlainHost({ kind: 'ssh', shell: ['busybox', 'sh'] })],
] as const

async function writeTree(files: Readonly<Record<string, string>>): Promise<string> {
  const root = await tempDir('nginx-tree')
  for (const [name, text] of Object.entries(files)) {
    await mkdir(join(root, name, '..'), { recursive: true })
    await writeFile(join(root, name), text)
  }
  return root
}

describe.each(HOSTS)('nginx configuration files, read %s', (_, host) => {
  it('follows includes as nginx does: globs in order, relative to the main file, links, no dot files', async () => {
    const root = await writeTree({
      'nginx.conf':
        'pid logs/nginx.pid; http { access_log off; include sites/*; include missing.conf; include sites/.named; }',
      'sites/b': 'server { access_log logs/b.log; }',
      'sites/.named': 'keepalive_timeout 1;',
      'sites/.hidden': 'server { access_log logs/hidden.log; }',
      'available/a c': 'server { include snippets/log.conf; }',
      'snippets/log.conf':
        'log_format timed "$status $request_time"\n  " $host";\naccess_log logs/a.log timed buffer=8k;',
    })
    await symlink('../available/a c', join(root, 'sites/a'))
    const config = await readNginxConfig(host, join(root, 'nginx.conf'))
    expect(logsOf(config, 'access_log', root)).toEqual([
      { path: join(root, 'logs/a.log'), format: 'timed' },
      { path: join(root, 'logs/b.log') },
    ])
    expect(logFormatsOf(config).get('timed')).toBe('$status $request_time $host')
    const http = config.directives.find(({ name }) => name === 'http')
    expect(http?.block?.filter(({ name }) => name === 'keepalive_timeout')).toHaveLength(1)
    expect(settingOf(config, 'pid')).toBe('logs/nginx.pid')
    expect(config.files.every((file) => Date.now() - file.modifiedAtMs < 60_000)).toBe(true)
  })

  it('pairs certificates with their keys and names the sites that use them', async () => {
    const root = await writeTree({
      'nginx.conf': `http {
        ssl_certificate tls/default.pem; ssl_certificate_key tls/default.key;
        server { server_name a.example.com b.example.com; ssl_certificate /x/rsa.pem; ssl_certificate /x/ec.pem;
          ssl_certificate_key /x/rsa.key; ssl_certificate_key /x/ec.key; }
        server { server_name c.example.com; ssl_certificate /x/rsa.pem; ssl_certificate_key /x/rsa.key; }
        server { server_name _; ssl_certificate $dynamic; ssl_certificate_key data:$key; }
      }`,
    })
    const main = join(root, 'nginx.conf')
    expect(certificatesOf(await readNginxConfig(host, main), main)).toEqual([
      { certificate: join(root, 'tls/default.pem'), key: join(root, 'tls/default.key'), sites: [], place: `${main}:2` },
      {
        certificate: '/x/rsa.pem',
        key: '/x/rsa.key',
        sites: ['a.example.com', 'b.example.com', 'c.example.com'],
        place: `${main}:3`,
      },
      { certificate: '/x/ec.pem', key: '/x/ec.key', sites: ['a.example.com', 'b.example.com'], place: `${main}:3` },
    ])
  })

  it('ends when files include each other without end', async () => {
    const root = await writeTree({
      'nginx.conf': 'include *.conf; include nginx.conf; a b;',
      'x.conf': 'include *.conf; include x.conf; include nginx.conf; c d;',
    })
    const config = await readNginxConfig(host, join(root, 'nginx.conf'))
    expect(config.files).toHaveLength(2)
    expect(config.directives.length).toBeGreaterThan(1)
  })

  it('is empty, not an error, when there is no configuration', async () => {
    const config = await readNginxConfig(host, '/nowhere/nginx.conf')
    expect(config).toEqual({ files: [], unreadable: [], directives: [] })
  })

  it('does not wait for a pipe or read a directory that a glob matches', async () => {
    const root = await writeTree({ 'nginx.conf': 'include d/*;', 'd/sub/x': 'a;', 'd/y': 'b;' })
    execFileSync('mkfifo', [join(root, 'd/pipe')])
    const config = await readNginxConfig(host, join(root, 'nginx.conf'))
    expect(config.directives.map(({ name }) => name)).toEqual(['b'])
  })
})
