import { mkdir, writeFile } from 'node:fs/promises'
import { homedir, userInfo } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { Secret } from '../../scripts/lib/core/secret.ts'
import { readSshConfig } from '../../scripts/lib/host/ssh/config-file.ts'
import { parseHop, resolveTarget, type SshSettings } from '../../scripts/lib/host/ssh/target.ts'
import { tempDir } from '../support/temp.ts'

const HOME = homedir()

async function targetFrom(config: string, settings: SshSettings, env: NodeJS.ProcessEnv = {}) {
  const path = join(await tempDir('ssh-config'), 'config')
  await writeFile(path, config)
  return resolveTarget('web-1', settings, { files: await readSshConfig(path), env })
}

describe('what ~/.ssh/config says', () => {
  it('has OpenSSH defaults for a host that it does not name', async () => {
    expect(await targetFrom('', { host: '192.0.2.1' })).toMatchObject({
      host: '192.0.2.1',
      port: 22,
      user: userInfo().username,
      keyName: '192.0.2.1',
      identityFiles: ['id_ed25519', 'id_ecdsa', 'id_rsa'].map((file) => `${HOME}/.ssh/${file}`),
      agentSocket: undefined,
      knownHostsFiles: [
        ...['known_hosts', 'known_hosts2'].map((file) => `${HOME}/.ssh/${file}`),
        ...['/etc/ssh/ssh_known_hosts', '/etc/ssh/ssh_known_hosts2'],
      ],
      connectTimeoutMs: 5_000,
      keepAliveMs: 15_000,
      keepAliveCount: 3,
      jumps: [],
    })
  })

  const config = `
# the fleet
ServerAliveCountMax 5
Host web
  HostName web.example.com
  Port=2222
  User deploy
  IdentityFile "~/keys/%r at %h"
  IdentityFile ~/keys/second
  UserKnownHostsFile ~/fleet %d/more
  GlobalKnownHostsFile none
  IdentitiesOnly yes
  ConnectTimeout 3
  ServerAliveInterval 1m
  ProxyJump gate, ops@198.51.100.1:2022
Host *
  User nobody
  Port 99
`
  it('fills in what the host itself does not say, the first value winning', async () => {
    expect(await targetFrom(config, { host: 'web' })).toMatchObject({
      name: 'web-1',
      host: 'web.example.com',
      port: 2222,
      user: 'deploy',
      identityFiles: [`${HOME}/keys/deploy at web.example.com`, `${HOME}/keys/second`],
      identitiesOnly: true,
      knownHostsFiles: [`${HOME}/fleet`, `${HOME}/more`],
      connectTimeoutMs: 3_000,
      keepAliveMs: 60_000,
      keepAliveCount: 5,
      jumps: ['gate', 'ops@198.51.100.1:2022'],
    })
    expect(await targetFrom(config, { host: 'other' })).toMatchObject({ host: 'other', port: 99, user: 'nobody' })
  })

  it('gives way to the settings of the host', async () => {
    const settings = {
      ...{ host: 'web', port: 22, user: 'root', identityFile: '/k/%h', proxyJump: 'none', knownHosts: '~/own' },
      ...{ connectTimeoutMs: 1, keepAliveMs: 2 },
    }
    expect(await targetFrom(config, settings)).toMatchObject({
      ...{ host: 'web.example.com', port: 22, user: 'root', identityFiles: ['/k/web.example.com'], jumps: [] },
      ...{ knownHostsFiles: [`${HOME}/own`], connectTimeoutMs: 1, keepAliveMs: 2 },
    })
  })

  it.each([
    ['a negated pattern', 'Host *.example.com !db.example.com\n Port 1', 'db.example.com', 22],
    ['a single-letter pattern', 'Host web?\n Port 1', 'web', 22],
    ['Match host, after HostName', 'Host a\n HostName b\nMatch host b\n Port 7', 'a', 7],
    ['Match originalhost', 'Match originalhost a,c\n Port 7', 'c', 7],
    ['a negated Match', 'Match !originalhost a\n Port 7', 'a', 22],
    ['Match all', 'Match all\n Port 7', 'a', 7],
    ['Match with two criteria', 'Match originalhost a user me\n Port 7', 'a', 7],
    ['Match exec, which is never run', 'Match exec "true"\n Port 7', 'a', 22],
  ])('understands %s', async (_, text, host, port) => {
    expect((await targetFrom(text, { host, user: 'me' })).port).toBe(port)
  })

  it('uses the agent unless it is told not to', async () => {
    const env = { SSH_AUTH_SOCK: '/run/agent', OTHER: '/run/other', DIR: '/run/dir' }
    const socketOf = async (text: string, settings: Partial<SshSettings> = {}) =>
      (await targetFrom(text, { host: 'a', ...settings }, env)).agentSocket
    expect(await socketOf('')).toBe('/run/agent')
    expect(await socketOf('', { agent: false })).toBeUndefined()
    expect(await socketOf('IdentityAgent none')).toBeUndefined()
    expect(await socketOf('IdentityAgent $OTHER')).toBe('/run/other')
    expect(await socketOf('IdentityAgent ${DIR}/sock')).toBe('/run/dir/sock')
    expect(await socketOf('IdentityAgent SSH_AUTH_SOCK')).toBe('/run/agent')
  })

  it('takes another name for known_hosts from HostKeyAlias', async () => {
    expect(await targetFrom('HostKeyAlias fleet', { host: '192.0.2.1' })).toMatchObject({ keyName: 'fleet' })
  })

  it('reads included files, each where it stands', async () => {
    const dir = await tempDir('ssh-config')
    await mkdir(join(dir, 'conf.d'))
    await writeFile(join(dir, 'conf.d/10-port'), 'Host web\n Port 1010\n')
    await writeFile(join(dir, 'conf.d/20-port'), 'Host web\n Port 2020\n User second\n')
    await writeFile(join(dir, 'only-db'), 'Port 5432\nHost web\n User third\n')
    await writeFile(
      join(dir, 'config'),
      `Include ${dir}/conf.d/*\nHost db\n Include ${dir}/only-db\nHost web\n Port 3\n`,
    )
    const files = await readSshConfig(join(dir, 'config'))
    const target = (host: string) => resolveTarget('x', { host }, { files, env: {} })
    expect(target('web')).toMatchObject({ port: 1010, user: 'second' })
    expect(target('db')).toMatchObject({ port: 5432 })
  })

  it.each([
    ['a ProxyCommand', 'ProxyCommand nc %h %p', /ProxyCommand, which opskit does not run/],
    ['a port that is none', 'Port ninety', /the port "ninety"/],
    ['an open quote', 'Host "a\n', /cannot understand .*config/],
  ])('refuses %s by name', async (_, text, message) => {
    await expect(targetFrom(text, { host: 'a' })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringMatching(message) as string,
    })
  })

  it('ignores a ProxyCommand when a jump is given first', async () => {
    expect((await targetFrom('ProxyCommand nc', { host: 'a', proxyJump: 'gate' })).jumps).toEqual(['gate'])
    expect((await targetFrom('ProxyCommand none', { host: 'a' })).jumps).toEqual([])
  })

  it('fails when a named file is not there, and not when the usual ones are not', async () => {
    await expect(readSshConfig('/nonexistent/config')).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
    expect(Array.isArray(await readSshConfig())).toBe(true)
  })

  it('never shows a secret', async () => {
    const target = await targetFrom('', { host: 'a', password: new Secret('hunter2', 'env:PW') })
    expect(JSON.stringify(target)).not.toContain('hunter2')
  })
})

describe('a hop', () => {
  it.each([
    ['gate', { host: 'gate' }],
    ['ops@gate', { host: 'gate', user: 'ops' }],
    ['gate:2222', { host: 'gate', port: 2222 }],
    ['ops@[2001:db8::1]:2222', { host: '2001:db8::1', user: 'ops', port: 2222 }],
    ['ssh://ops@gate:22', { host: 'gate', user: 'ops', port: 22 }],
  ])('%s', (text, expected) => {
    expect(parseHop(text)).toMatchObject(expected)
  })

  it('that is none is refused', () => {
    expect(() => parseHop('a:b:c')).toThrow(/is not a host to jump through/)
  })
})
