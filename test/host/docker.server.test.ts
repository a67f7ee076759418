/** The way to a Docker engine and to a container in it, and each way it can be closed. */
import { chmod } from 'node:fs/promises'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import type { OpsError } from '../../scripts/lib/core/errors.ts'
import { Secret } from '../../scripts/lib/core/secret.ts'
import { hostsSection } from '../../scripts/lib/config/schema/hosts.ts'
import { createHosts, openContainerHost, openDocker, openLocalHost, openSshHost } from '../../scripts/lib/host/index.ts'
import type { Host } from '../../scripts/lib/host/types.ts'
import { startDocker, type DockerEngine } from '../support/docker.ts'
import { startSshd, type Sshd } from '../support/sshd.ts'
import { tempDir } from '../support/temp.ts'
import { makeUser, type TestUser } from '../support/users.ts'

let engine: DockerEngine
let sshd: Sshd
let user: TestUser
beforeAll(async () => {
  user = await makeUser()
  ;[engine, sshd] = await Promise.all([startDocker(), startSshd()])
})
afterAll(async () => {
  await sshd?.stop()
  await engine?.stop()
  await user?.remove()
})

const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => expect.unreachable('it should have failed'),
    (error: OpsError) => ({ code: error.code, message: error.message, ...error.details }),
  )
async function overSsh(options: { user?: string } = {}, server = sshd): Promise<Host> {
  const host = await openSshHost({ ...server.settings, name: 'web-1', ...options })
  onTestFinished(() => host.close())
  return host
}
/** A socket that answers nobody, and one where nobody is left. */
async function deafSocket(): Promise<{ deaf: string; dead: string }> {
  const dir = await tempDir('socket')
  await chmod(dir, 0o755)
  const deaf = join(dir, 'deaf.sock')
  const server = createServer(() => undefined)
  await once(server.listen(deaf), 'listening')
  onTestFinished(() => void server.close())
  await chmod(deaf, 0o777)
  const dead = join(dir, 'dead.sock')
  // Killed, so that it cannot take its socket away.
  const listen = `require('net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))`
  await openLocalHost()
    .read([process.execPath, '-e', listen, dead])
    .catch(() => undefined)
  await chmod(dead, 0o777)
  return { deaf, dead }
}

describe.each([
  ['on this machine', async () => openLocalHost()],
  ['over SSH', () => overSsh({ user: user.name })],
])('the engine %s', (_, open) => {
  it('that is not installed is a missing tool', async () => {
    const error = await failure(openDocker(await open(), { socketPath: '/nonexistent/docker.sock' }))
    expect(error).toMatchObject({
      code: 'MISSING_TOOL',
      message: expect.stringContaining('/nonexistent/docker.sock') as string,
    })
  })

  it('that is stopped is unreachable', async () => {
    const { dead } = await deafSocket()
    expect(await failure(openDocker(await open(), { socketPath: dead }))).toMatchObject({ code: 'UNREACHABLE' })
  })

  it('that says nothing is given up in time', async () => {
    const { deaf } = await deafSocket()
    expect(await failure(openDocker(await open(), { socketPath: deaf, timeoutMs: 500 }))).toMatchObject({
      code: 'TIMEOUT',
    })
  })
})

describe('the engine of a host', () => {
  it('answers here and over SSH alike', async () => {
    await engine.run({ name: 'listed' })
    for (const host of [openLocalHost(), await overSsh()]) {
      const docker = await openDocker(host, { socketPath: engine.socketPath })
      const names = (await docker.listContainers()).flatMap(({ Names }) => Names)
      expect(names).toContain('/listed')
    }
  })

  it('that the user may not use is not permitted', async () => {
    const error = await failure(openDocker(await overSsh({ user: user.name }), { socketPath: engine.socketPath }))
    expect(error).toMatchObject({ code: 'NOT_PERMITTED', hint: expect.stringContaining('ls -l') as string })
  })

  it('behind an sshd that forwards no sockets names the setting', async () => {
    const strict = await startSshd({ config: ['AllowStreamLocalForwarding no'] })
    onTestFinished(() => strict.stop())
    const error = await failure(openDocker(await overSsh({}, strict), { socketPath: engine.socketPath }))
    expect(error).toMatchObject({
      code: 'UNREACHABLE',
      hint: expect.stringContaining('AllowStreamLocalForwarding') as string,
    })
  })

  it('cannot be looked for in a container', async () => {
    await engine.run({ name: 'box' })
    const on = openLocalHost()
    const box = await openContainerHost({ name: 'box', container: 'box', on, socketPath: engine.socketPath })
    expect(await failure(openDocker(box))).toMatchObject({ code: 'USAGE' })
  })
})

describe('a container', () => {
  const open = (container: string, extra: { user?: string } = {}) =>
    openContainerHost({ name: 'app', container, on: openLocalHost(), socketPath: engine.socketPath, ...extra })

  it('is found by name, id, compose service, and project with service', async () => {
    const labels = ['com.docker.compose.project=shop', 'com.docker.compose.service=web'].flatMap((each) => [
      '--label',
      each,
    ])
    const id = await engine.run({ name: 'shop-web-1', args: ['--hostname', 'found', ...labels] })
    for (const name of ['shop-web-1', id, id.slice(0, 12), 'web', 'shop/web']) {
      expect((await (await open(name)).read(['hostname'])).stdout).toBe('found\n')
    }
    expect(await failure(open('shop-wbe-1'))).toMatchObject({
      code: 'UNREACHABLE',
      hint: 'Did you mean "shop-web-1"?',
    })
  })

  it('may be replaced under the same name', async () => {
    await engine.run({ name: 'replaced', args: ['--hostname', 'old'] })
    const host = await open('replaced')
    expect((await host.read(['hostname'])).stdout).toBe('old\n')
    await engine.docker('rm', '-f', 'replaced')
    await engine.run({ name: 'replaced', args: ['--hostname', 'new'] })
    expect((await host.read(['hostname'])).stdout).toBe('new\n')
  })

  it('that does not run, or is gone, is unreachable', async () => {
    await engine.run({ name: 'stopped' })
    const host = await open('stopped')
    await engine.docker('kill', 'stopped')
    expect(await failure(host.read(['true']))).toMatchObject({
      code: 'UNREACHABLE',
      message: 'the container of app does not run',
    })
    await engine.docker('rm', 'stopped')
    expect(await failure(host.read(['true']))).toMatchObject({ code: 'UNREACHABLE' })
  })

  it('that ends while a command runs ends the command with an error', async () => {
    await engine.run({ name: 'ends' })
    const host = await open('ends')
    const running = failure(host.run(['sh', '-c', 'echo on >/started; sleep 300']))
    await expect.poll(async () => (await host.get('/started'))?.toString()).toBe('on\n')
    await engine.docker('kill', 'ends')
    expect(await running).toMatchObject({
      code: 'FAILED',
      message: expect.stringContaining('killed by SIGKILL') as string,
    })
  })

  it('without a shell is told so', async () => {
    await engine.run({ name: 'bare' })
    await engine.docker('exec', 'bare', 'rm', '/bin/sh')
    expect(await failure((await open('bare')).read(['true']))).toMatchObject({
      code: 'MISSING_TOOL',
      message: expect.stringContaining('there is no sh to run commands with on app') as string,
    })
  })

  it('runs commands as the user it is told', async () => {
    await engine.run({ name: 'users' })
    const host = await open('users', { user: '1234:5678' })
    expect((await host.read(['sh', '-c', 'id -u; id -g'])).stdout).toBe('1234\n5678\n')
  })

  it('gets its environment without showing it in an argument list', async () => {
    await engine.run({ name: 'env' })
    const host = await open('env')
    const script = 'echo "$PLANTED"; cat /proc/*/cmdline | tr "\\0" " "'
    const { stdout } = await host.run(['sh', '-c', script], { env: { PLANTED: 'planted-value' } })
    expect(stdout.split('planted-value')).toHaveLength(2)
  })

  it('is opened by its name in the config, on a host over SSH', async () => {
    await engine.run({ name: 'configured', args: ['--hostname', 'inside'] })
    const ssh = {
      ...{ host: '127.0.0.1', port: sshd.port, user: 'root', agent: false },
      ...{ identity_file: sshd.identityFile, known_hosts: sshd.knownHosts },
    }
    const config = {
      hosts: hostsSection.parse({ 'web-1': { ssh }, app: { container: { name: 'configured', on: 'web-1' } } }),
    }
    const hosts = createHosts({
      config,
      resolveSecret: async () => new Secret('', 'none'),
      dockerSocket: engine.socketPath,
    })
    const before = sshd.logins()
    const [app] = await Promise.all([hosts.open('app'), hosts.open('web-1')])
    expect((await app.read(['hostname'])).stdout).toBe('inside\n')
    expect(sshd.logins() - before).toBe(1)
    await hosts.close()
  })
})
