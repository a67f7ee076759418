/** One connection, kept: jumps, reuse, limits, silence, loss, and sudo that refuses, against real sshds. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import type { OpsError } from '../../scripts/lib/core/errors.ts'
import { Secret } from '../../scripts/lib/core/secret.ts'
import { hostsSection } from '../../scripts/lib/config/schema/hosts.ts'
import { createHosts, openSshHost, type Host, type SshHostOptions } from '../../scripts/lib/host/index.ts'
import { freePort } from '../support/ports.ts'
import { startSshd, type Sshd } from '../support/sshd.ts'
import { tempDir } from '../support/temp.ts'
import { makeUser, type TestUser } from '../support/users.ts'
import { waitFor } from '../support/wait.ts'

let sshd: Sshd
let user: TestUser
beforeAll(async () => {
  user = await makeUser()
  sshd = await startSshd()
})
afterAll(async () => {
  await sshd?.stop()
  await user?.remove()
})

async function open(options: Partial<SshHostOptions> = {}, server = sshd): Promise<Host> {
  const host = await openSshHost({ ...server.settings, user: user.name, name: 'web-1', ...options })
  onTestFinished(() => host.close())
  return host
}
const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => expect.unreachable('it should have failed'),
    (error: OpsError) => ({ code: error.code, message: error.message, ...error.details }),
  )
async function start(options: Parameters<typeof startSshd>[0] = {}): Promise<Sshd> {
  const server = await startSshd(options)
  onTestFinished(() => server.stop())
  return server
}
/** A directory in which every user may write. */
async function openDir(): Promise<string> {
  const dir = await tempDir('open')
  await chmod(dir, 0o777)
  return dir
}
/** A TCP server that accepts and says nothing. */
async function blackHole(): Promise<number> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => sockets.add(socket))
  await once(server.listen(0, '127.0.0.1'), 'listening')
  onTestFinished(() => {
    sockets.forEach((socket) => socket.destroy())
    server.close()
  })
  return (server.address() as { port: number }).port
}

describe('the connection', () => {
  it('is one, whatever is run over it', async () => {
    const before = sshd.logins()
    const host = await open()
    await Promise.all(Array.from({ length: 12 }, () => host.read(['true'])))
    await host.get('/etc/hostname')
    await host.put(join(await openDir(), 'file'), 'x')
    expect(sshd.logins() - before).toBe(1)
  })

  it('is opened anew for the next command after it was lost', async () => {
    const host = await open()
    await sshd.signalWorkers('SIGKILL')
    const first = await host.read(['echo', 'again']).catch((error: OpsError) => error.code)
    expect(['UNREACHABLE', expect.objectContaining({ stdout: 'again\n' })]).toContainEqual(first)
    expect((await host.read(['echo', 'again'])).stdout).toBe('again\n')
  })

  it('that is lost while a command runs ends it with an error that does not claim to know', async () => {
    const server = await start()
    const host = await open({}, server)
    const running = failure(host.run(['sleep', '60']))
    await waitFor('the session', async () => (await host.read(['true'])).exitCode === 0)
    await server.signalWorkers('SIGKILL')
    expect(await running).toMatchObject({
      code: 'UNREACHABLE',
      message: expect.stringContaining('whether it finished is not known') as string,
    })
  })

  it('that is lost while a file is written leaves the old one whole', async () => {
    const server = await start()
    const host = await open({}, server)
    const dir = await openDir()
    await host.put(join(dir, 'file'), 'precious')
    const writing = failure(host.put(join(dir, 'file'), Buffer.alloc(300_000_000, 1)))
    await waitFor('some bytes to arrive', async () => {
      const [partial] = (await readdir(dir)).filter((name) => name.includes('.opskit-'))
      return partial !== undefined && (await stat(join(dir, partial))).size > 0
    })
    await server.signalWorkers('SIGKILL')
    expect(await writing).toMatchObject({ code: 'UNREACHABLE' })
    await waitFor('the temporary file to go', async () => (await readdir(dir)).length === 1)
    expect(await readFile(join(dir, 'file'), 'utf8')).toBe('precious')
  })

  it('that falls silent is found out by keep-alive', async () => {
    const server = await start()
    const host = await open({ keepAliveMs: 100 }, server)
    const running = failure(host.run(['sleep', '60']))
    await host.read(['true'])
    await server.signalWorkers('SIGSTOP')
    expect(await running).toMatchObject({
      code: 'UNREACHABLE',
      message: expect.stringMatching(/was lost: Keepalive timeout/) as string,
    })
  })

  it('does not make a caller wait longer than his deadline when it is silent', async () => {
    const server = await start()
    const host = await open({ keepAliveMs: 60_000 }, server)
    await server.signalWorkers('SIGSTOP')
    expect(await failure(host.read(['true'], { timeoutMs: 300 }))).toMatchObject({ code: 'TIMEOUT' })
  })

  it.each([1, 2, 4])('queues commands where the server allows %i sessions', async (sessions) => {
    const server = await start({ config: [`MaxSessions ${sessions}`] })
    const host = await open({}, server)
    const results = await Promise.all(Array.from({ length: 8 }, (_, i) => host.read(['echo', String(i)])))
    expect(results.map(({ stdout }) => Number(stdout))).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
    expect(server.logins()).toBe(1)
  })

  it('kills a late command even where the only session is taken', async () => {
    const server = await start({ config: ['MaxSessions 1'] })
    const host = await open({}, server)
    const pidFile = join(await openDir(), 'pid')
    const error = await failure(host.run(['sh', '-c', 'echo $$ >"$1"; sleep 300', 'sh', pidFile], { timeoutMs: 500 }))
    expect(error).toMatchObject({ code: 'TIMEOUT', message: expect.not.stringContaining('still be running') as string })
    const pid = (await readFile(pidFile, 'utf8')).trim()
    await waitFor('the command to be gone', async () => !(await readFile(`/proc/${pid}/status`).catch(() => undefined)))
    expect((await host.read(['echo', 'on'])).stdout).toBe('on\n')
  })

  it('refuses a command line that is too long for one argument', async () => {
    const host = await open()
    expect(await failure(host.read(['echo', 'x'.repeat(140_000)]))).toMatchObject({ code: 'USAGE' })
  })
})

describe('a host that cannot be reached', () => {
  it('refuses: said with address and port', async () => {
    const port = await freePort()
    expect(await failure(open({ port }))).toMatchObject({
      code: 'UNREACHABLE',
      message: `web-1 (127.0.0.1:${port}) refuses the connection`,
    })
  })

  it('has no address', async () => {
    expect(await failure(open({ host: 'no-such-host.invalid' }))).toMatchObject({
      code: 'UNREACHABLE',
      message: expect.stringContaining('the name no-such-host.invalid has no address') as string,
    })
  })

  it('accepts and says nothing: given up at the connect timeout', async () => {
    const startedAt = performance.now()
    const error = await failure(open({ port: await blackHole(), connectTimeoutMs: 400 }))
    expect(error).toMatchObject({
      code: 'UNREACHABLE',
      message: expect.stringContaining('did not answer within 400 ms') as string,
    })
    expect(performance.now() - startedAt).toBeLessThan(3_000)
  })

  it('swallows packets: given up at the connect timeout', async () => {
    // A listening socket whose queue is full leaves the next connection without an answer.
    const full = await fullBacklog()
    const error = await failure(open({ port: full, connectTimeoutMs: 400 }))
    expect(error).toMatchObject({
      code: 'UNREACHABLE',
      message: expect.stringContaining('did not answer within 400 ms') as string,
    })
  })

  it('is no SSH server', async () => {
    const server = createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'.repeat(50)))
    await once(server.listen(0, '127.0.0.1'), 'listening')
    onTestFinished(() => void server.close())
    const { port } = server.address() as { port: number }
    expect(await failure(open({ port }))).toMatchObject({ code: 'UNREACHABLE' })
  })

  it('is left at once when the caller aborts', async () => {
    const signal = AbortSignal.timeout(100)
    const startedAt = performance.now()
    const error = await failure(open({ port: await blackHole(), connectTimeoutMs: 30_000, signal }))
    expect(error).toMatchObject({ code: 'TIMEOUT' })
    expect(performance.now() - startedAt).toBeLessThan(10_000)
  })
})

/** A listener that never accepts, with its queue filled up. */
async function fullBacklog(): Promise<number> {
  const script = `import { createServer, connect } from 'node:net'
    const server = createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
      console.log(server.address().port)
      process.kill(process.pid, 'SIGSTOP')
    })`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = (await once(child.stdout, 'data')) as [Buffer]
  const port = Number(line)
  const { connect } = await import('node:net')
  const fillers = [1, 2, 3].map(() => connect(port, '127.0.0.1').on('error', () => undefined))
  onTestFinished(() => {
    fillers.forEach((socket) => socket.destroy())
    child.kill('SIGKILL')
  })
  await waitFor('the queue to be full', () => fillers.some((socket) => !socket.connecting))
  return port
}

describe('a jump', () => {
  it('leads through one host to the next, each with its own host key checked', async () => {
    const inner = await start()
    const outer = await start()
    const config = join(await tempDir('config'), 'config')
    const { settings } = outer
    await writeFile(
      config,
      `Host gate\n HostName 127.0.0.1\n Port ${outer.port}\n User ${user.name}\n IdentityFile ${settings.identityFile}\n UserKnownHostsFile ${settings.knownHosts}\n`,
    )
    const through = { sshConfigPath: config, proxyJump: 'gate', agent: false } as const
    const host = await open(through, inner)
    expect((await host.read(['sh', '-c', 'echo $SSH_CONNECTION'])).stdout).toMatch(new RegExp(` ${inner.port}$`, 'm'))
    expect([outer.logins(), inner.logins()]).toEqual([1, 1])

    await writeFile(settings.knownHosts, '')
    expect(await failure(open(through, inner))).toMatchObject({ code: 'HOST_KEY', host: 'gate' })
  })

  it('names the hop that cannot reach the target', async () => {
    const port = await freePort()
    const gate = { ...sshd.settings, user: user.name }
    const error = await failure(open({ port, proxyJump: 'gate', settingsOf: async () => gate }))
    expect(error).toMatchObject({
      code: 'UNREACHABLE',
      message: expect.stringContaining('cannot be reached from gate') as string,
    })
  })

  it('says when the hop does not forward', async () => {
    const closed = await start({ config: ['AllowTcpForwarding no'] })
    const gate = { ...closed.settings, user: user.name }
    expect(await failure(open({ proxyJump: 'gate', settingsOf: async () => gate }))).toMatchObject({
      code: 'NOT_PERMITTED',
    })
  })

  it('is shared by all hosts behind it', async () => {
    const gate = await start()
    const behind = await start()
    const ssh = (server: Sshd) => ({
      ...{ host: '127.0.0.1', port: server.port, user: user.name, agent: false },
      ...{ identity_file: server.identityFile, known_hosts: server.knownHosts },
    })
    const inner = { ssh: { ...ssh(behind), proxy_jump: 'gate' } }
    const hosts = createHosts({
      config: { hosts: hostsSection.parse({ gate: { ssh: ssh(gate) }, a: inner, b: inner }) },
      resolveSecret: async () => new Secret('', 'none'),
    })
    onTestFinished(() => hosts.close())
    const both = await Promise.all(['a', 'b'].map((name) => hosts.open(name)))
    await Promise.all(both.map((host) => host.read(['true'])))
    await hosts.open('gate')
    expect(gate.logins()).toBe(1)
  })
})

describe('many hosts', () => {
  it('are opened side by side, and a dead one does not hold up the others', async () => {
    const common = { host: '127.0.0.1', user: user.name, agent: false, connect_timeout: '2s' }
    const files = { identity_file: sshd.identityFile, known_hosts: sshd.knownHosts }
    const live = Array.from(
      { length: 10 },
      (_, i) => [`web-${i}`, { ssh: { ...common, ...files, port: sshd.port } }] as const,
    )
    const dead = { ssh: { ...common, ...files, port: await blackHole() } }
    const config = { hosts: hostsSection.parse({ ...Object.fromEntries(live), dead }) }
    const hosts = createHosts({ config, resolveSecret: async () => new Secret('', 'none') })
    onTestFinished(() => hosts.close())
    const order: string[] = []
    await Promise.all(
      hosts.names().map((name) =>
        hosts
          .open(name)
          .then((host) => host.read(['true']))
          .then(
            () => order.push(name),
            (error: OpsError) => order.push(`${name} ${error.code}`),
          ),
      ),
    )
    expect(order).toHaveLength(11)
    expect(order.at(-1)).toBe('dead UNREACHABLE')
  })

  it('can be tried again after a failure', async () => {
    const server = await start()
    await writeFile(server.knownHosts, '')
    const keys = await server.publicKeys()
    const { port, identityFile, knownHosts } = server
    const ssh = {
      host: '127.0.0.1',
      port,
      user: user.name,
      agent: false,
      identity_file: identityFile,
      known_hosts: knownHosts,
    }
    const config = { hosts: hostsSection.parse({ web: { ssh } }) }
    const hosts = createHosts({ config, resolveSecret: async () => new Secret('', 'none') })
    onTestFinished(() => hosts.close())
    expect(await failure(hosts.open('web'))).toMatchObject({ code: 'HOST_KEY' })
    await writeFile(knownHosts, `[127.0.0.1]:${port} ${keys[0]}\n`)
    expect(await hosts.open('web')).toMatchObject({ name: 'web', kind: 'ssh' })
  })
})

describe('an account that does not run commands', () => {
  it('is told by sudo that wants a password', async () => {
    const host = await open({ sudo: true })
    expect(await failure(host.run(['id']))).toMatchObject({
      code: 'NOT_PERMITTED',
      message: expect.stringMatching(/^sudo on web-1 does not run id without a password/) as string,
      hint: expect.stringContaining('NOPASSWD') as string,
    })
    expect(await failure(host.put('/etc/opskit-never', 'x'))).toMatchObject({ code: 'NOT_PERMITTED' })
  })

  it('is told by a forced command', async () => {
    const server = await start({ config: ['ForceCommand echo "go away"; exit 1'] })
    const host = await open({}, server)
    expect(await failure(host.run(['id']))).toMatchObject({
      code: 'NOT_PERMITTED',
      message: expect.stringContaining('go away') as string,
    })
  })
})
