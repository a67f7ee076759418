/** Whom we trust and how we log in: host keys and known_hosts, keys, agent and passwords, against a real sshd. */
import { execFileSync } from 'node:child_process'
import { appendFile, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import type { OpsError } from '../../scripts/lib/core/errors.ts'
import { Secret } from '../../scripts/lib/core/secret.ts'
import { openSshHost, type SshHostOptions } from '../../scripts/lib/host/ssh/host.ts'
import { makeKey, startAgent, startSshd, type Sshd } from '../support/sshd.ts'
import { tempDir } from '../support/temp.ts'
import { makeUser } from '../support/users.ts'

let sshd: Sshd
let noConfig: string
beforeAll(async () => {
  // RSA is offered first by nobody's wish: what known_hosts knows decides.
  sshd = await startSshd({ hostKeys: ['rsa', 'ecdsa', 'ed25519'], config: ['KbdInteractiveAuthentication no'] })
  noConfig = join(sshd.dir, 'empty_config')
  await writeFile(noConfig, '')
})
afterAll(() => sshd?.stop())

async function login(options: Partial<SshHostOptions> = {}): Promise<void> {
  const host = await openSshHost({ ...sshd.settings, name: 'web-1', sshConfigPath: noConfig, ...options })
  onTestFinished(() => host.close())
}
const refusal = (options: Partial<SshHostOptions>) =>
  login(options).then(
    () => expect.unreachable('it should have been refused'),
    (error: OpsError) => ({ code: error.code, message: error.message, ...error.details }),
  )
const fingerprint = (file: string) =>
  execFileSync('ssh-keygen', ['-lf', file], { encoding: 'utf8' }).split(' ')[1] ?? ''

async function knownHosts(lines: readonly string[]): Promise<string> {
  const file = join(await tempDir('known-hosts'), 'known_hosts')
  await writeFile(file, lines.map((line) => `${line}\n`).join(''))
  return file
}
const name = () => `[127.0.0.1]:${sshd.port}`
const keyOf = async (type: string) => (await sshd.publicKeys()).find((key) => key.startsWith(type)) ?? ''

describe('a host key', () => {
  it.each(['ssh-ed25519', 'ecdsa-sha2-nistp256', 'ssh-rsa'])(
    'is accepted when only its %s key is known',
    async (type) => {
      await login({ knownHosts: await knownHosts([`${name()} ${await keyOf(type)}`]) })
    },
  )

  it('is found in a file whose names ssh-keygen has hashed', async () => {
    const file = await knownHosts([
      `other.example.com ${await keyOf('ssh-rsa')}`,
      `${name()} ${await keyOf('ssh-ed25519')}`,
    ])
    execFileSync('ssh-keygen', ['-q', '-H', '-f', file], { stdio: 'ignore' })
    expect(await readFile(file, 'utf8')).toMatch(/^\|1\|.*\n\|1\|/)
    await login({ knownHosts: file })
  })

  it('that is unknown is refused with its fingerprint and how to add it', async () => {
    const file = await knownHosts([])
    const error = await refusal({ knownHosts: file })
    expect(error.code).toBe('HOST_KEY')
    expect(error.message).toContain(fingerprint(join(sshd.dir, 'host_ed25519.pub')))
    const command = /ssh-keyscan .*$/.exec(error.hint ?? '')?.[0] ?? ''
    execFileSync('sh', ['-c', command], { stdio: 'ignore' })
    await login({ knownHosts: file })
  })

  it('that is unknown because there is no file at all is refused too', async () => {
    expect(await refusal({ knownHosts: '/nonexistent/known_hosts' })).toMatchObject({ code: 'HOST_KEY' })
  })

  it('that has changed is refused with both fingerprints and the place of the old one', async () => {
    const other = join(await tempDir('key'), 'other')
    await makeKey(other)
    const old = (await readFile(`${other}.pub`, 'utf8')).split(' ').slice(0, 2).join(' ')
    const file = await knownHosts(['# fleet', `${name()} ${old}`])
    const error = await refusal({ knownHosts: file })
    expect(error).toMatchObject({ code: 'HOST_KEY', place: `${file}:2` })
    expect(error.message).toContain('HAS CHANGED')
    expect(error.message).toContain(fingerprint(`${other}.pub`))
    expect(error.message).toContain(fingerprint(join(sshd.dir, 'host_ed25519.pub')))
    expect(error.hint).toContain(`ssh-keygen -R '${name()}' -f ${file}`)
  })

  it('that is revoked is refused though it is known', async () => {
    const key = await keyOf('ssh-ed25519')
    const error = await refusal({ knownHosts: await knownHosts([`${name()} ${key}`, `@revoked * ${key}`]) })
    expect(error).toMatchObject({ code: 'HOST_KEY', message: expect.stringContaining('is revoked') as string })
  })

  it('is never asked for a password before it is trusted', async () => {
    const before = sshd.server.output().length
    await refusal({ knownHosts: await knownHosts([]), password: new Secret('planted', 'env:PW') })
    expect(sshd.server.output().slice(before)).not.toMatch(/password|publickey/)
  })
})

describe('a log-in', () => {
  it('works with a key of each kind', async () => {
    const dir = await tempDir('keys')
    for (const type of ['ed25519', 'ecdsa', 'rsa'] as const) {
      await makeKey(join(dir, type), type)
      await sshd.authorize(join(dir, `${type}.pub`))
      await login({ identityFile: join(dir, type) })
    }
  })

  it('opens a key with its passphrase, and says when it has none or a wrong one', async () => {
    const key = join(await tempDir('keys'), 'locked')
    await makeKey(key, 'ed25519', 'open sesame')
    await sshd.authorize(`${key}.pub`)
    await login({ identityFile: key, passphrase: new Secret('open sesame', 'env:P') })

    const without = await refusal({ identityFile: key })
    expect(without).toMatchObject({
      code: 'NOT_PERMITTED',
      message: expect.stringContaining(`${key} (needs a passphrase)`) as string,
    })
    expect(without.hint).toContain('passphrase')
    const wrong = await refusal({ identityFile: key, passphrase: new Secret('open barley', 'env:P') })
    expect(wrong.message).toContain(`${key} (the passphrase does not open it)`)
    expect(JSON.stringify(wrong)).not.toContain('open barley')
  })

  it('uses the agent, and only for the configured key when told so', async () => {
    const agent = await startAgent()
    onTestFinished(() => agent.stop())
    const dir = await tempDir('keys')
    await makeKey(join(dir, 'stranger'))
    await makeKey(join(dir, 'mine'))
    await sshd.authorize(join(dir, 'mine.pub'))
    await agent.add(join(dir, 'stranger'))
    await agent.add(join(dir, 'mine'))
    await rm(join(dir, 'mine'))
    const withAgent = { agent: true, env: { SSH_AUTH_SOCK: agent.socket } }
    await login({ ...withAgent, identityFile: '/nonexistent/key' })

    const config = join(dir, 'config')
    await writeFile(config, 'IdentitiesOnly yes\n')
    const before = sshd.server.output().length
    await login({ ...withAgent, sshConfigPath: config, identityFile: join(dir, 'mine') })
    expect(sshd.server.output().slice(before)).not.toContain(fingerprint(join(dir, 'stranger.pub')))
    const other = await refusal({ ...withAgent, sshConfigPath: config, identityFile: '/nonexistent/key' })
    expect(other.message).toContain('there was nothing to try')
  })

  it('tries the configured key first, so that a full agent does not use up the attempts', async () => {
    const agent = await startAgent()
    onTestFinished(() => agent.stop())
    const dir = await tempDir('keys')
    for (const n of [1, 2, 3, 4, 5, 6, 7]) {
      await makeKey(join(dir, `k${n}`))
      await agent.add(join(dir, `k${n}`))
    }
    const env = { SSH_AUTH_SOCK: agent.socket }
    await login({ agent: true, env })
    const error = await refusal({ agent: true, env, identityFile: '/nonexistent/key' })
    expect(error).toMatchObject({ code: 'NOT_PERMITTED', message: expect.stringContaining('agent key') as string })
  })

  it('goes on without an agent that does not answer', async () => {
    await login({ agent: true, env: { SSH_AUTH_SOCK: '/nonexistent/agent.sock' } })
    const error = await refusal({
      agent: true,
      env: { SSH_AUTH_SOCK: '/nonexistent/agent.sock' },
      identityFile: '/nonexistent/key',
    })
    expect(error.message).toContain('the agent at /nonexistent/agent.sock')
  })

  it('that is refused names user, methods and keys, and no secret', async () => {
    const key = join(await tempDir('keys'), 'unknown')
    await makeKey(key)
    const error = await refusal({ identityFile: key, password: new Secret('planted-pw', 'env:PW') })
    expect(error).toMatchObject({ code: 'NOT_PERMITTED', host: 'web-1' })
    expect(error.message).toMatch(
      /^root may not log in to web-1 \(127\.0\.0\.1:\d+\); it accepts publickey, password; tried: /,
    )
    expect(error.message).toContain(`key ${key} (${fingerprint(`${key}.pub`)}), password`)
    expect(JSON.stringify(error)).not.toContain('planted-pw')
  })

  it('works with a password, asked for directly or by questions', async () => {
    const user = await makeUser({ password: 'pass word' })
    onTestFinished(() => user.remove())
    const password = new Secret('pass word', 'env:PW')
    await login({ user: user.name, password, identityFile: '/nonexistent/key' })

    const asking = await startSshd({
      first: ['PasswordAuthentication no', 'KbdInteractiveAuthentication yes', 'UsePAM yes'],
    })
    onTestFinished(() => asking.stop())
    await login({ ...asking.settings, user: user.name, password, identityFile: '/nonexistent/key' })
  })

  it('goes through two methods where the server wants both', async () => {
    const user = await makeUser({ password: 'second step' })
    const both = await startSshd({ config: ['AuthenticationMethods publickey,password'] })
    onTestFinished(async () => {
      await both.stop()
      await user.remove()
    })
    await login({ ...both.settings, user: user.name, password: new Secret('second step', 'env:PW') })
    expect(await refusal({ ...both.settings, user: user.name })).toMatchObject({
      code: 'NOT_PERMITTED',
      message: expect.stringContaining('it accepts password') as string,
    })
  })

  it('finds address, port, user and key through an alias', async () => {
    const config = join(await tempDir('config'), 'config')
    const { port, identityFile, knownHosts: file } = sshd.settings
    await writeFile(config, '')
    await appendFile(
      config,
      `Host web\n HostName 127.0.0.1\n Port ${port}\n User root\n IdentityFile ${identityFile}\n UserKnownHostsFile ${file}\n`,
    )
    const host = await openSshHost({ name: 'web-1', host: 'web', sshConfigPath: config, env: {} })
    onTestFinished(() => host.close())
    expect((await host.read(['id', '-un'])).stdout).toBe('root\n')
  })
})
