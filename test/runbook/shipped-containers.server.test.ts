/** The runbooks about containers, run for real: a Docker engine, a registry, the compose command, and a second host. */
import { execFile } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { BUSYBOX_IMAGE, startDocker, type DockerEngine } from '../support/docker.ts'
import { freePort } from '../support/ports.ts'
import { startHttpServer } from '../support/tcp.ts'
import { startServer, type ServerProcess } from '../support/server.ts'
import { startSshd, type Sshd } from '../support/sshd.ts'
import { makeTempDir } from '../support/temp.ts'
import { makeBench, sshHost, startListener, type Bench } from './shipped-support.ts'

const execute = promisify(execFile)

let docker: DockerEngine
let registry: ServerProcess & { readonly port: number }
let sshd: Sshd
let bench: Bench
let dir: Awaited<ReturnType<typeof makeTempDir>>
let env: Readonly<Record<string, string>>

beforeAll(async () => {
  dir = await makeTempDir('containers')
  docker = await startDocker()
  env = { DOCKER_HOST: `unix://${docker.socketPath}` }
  sshd = await startSshd({ config: [`SetEnv DOCKER_HOST=${env['DOCKER_HOST']}`] })
  registry = await startRegistry(dir.path)
  bench = await makeBench({ hosts: { 'web-1': sshHost(sshd) } })
})

afterAll(async () => {
  await docker?.stop()
  await Promise.all([registry?.stop(), sshd?.stop(), bench?.remove(), dir?.remove()])
})

/** An HTTP server in a container on the host's network: answers /health with its version while it is well. */
const serve = (port: number) => [...['sh', '-c'], `trap 'exit 0' TERM; httpd -f -p 127.0.0.1:${port} -h /www & wait`]

async function makeImage(tag: string, version: string, command: readonly string[]): Promise<void> {
  const name = `make-${version}`
  await docker.run({ name })
  await docker.docker('exec', name, 'sh', '-c', `mkdir /www; echo ${version} > /www/health`)
  await docker.docker('commit', '--change', `CMD ${JSON.stringify(command)}`, name, tag)
  await docker.docker('rm', '-f', name)
}

/** The tag leads to `current` here and to `pushed` in the registry. */
async function pushTwo(tag: string, port: number, { current, pushed }: Versions): Promise<void> {
  await makeImage(tag, pushed, serve(port))
  await docker.docker('push', tag)
  await makeImage(tag, current, serve(port))
}

interface Versions {
  readonly current: string
  readonly pushed: string
}

async function composeProject(name: string, versions: Versions) {
  const port = await freePort()
  const tag = `127.0.0.1:${registry.port}/${name}:latest`
  await pushTwo(tag, port, versions)
  await mkdir(join(dir.path, name))
  const project = join(dir.path, name, 'compose.yaml')
  await writeFile(
    project,
    `version: '3'
services:
  gateway: { image: '${tag}', network_mode: host, restart: unless-stopped }
  other: { image: ${BUSYBOX_IMAGE}, network_mode: none, command: sleep 600, stop_signal: SIGKILL }
`,
  )
  await execute('docker-compose', ['--file', project, 'up', '-d'], { env: { ...process.env, ...env } })
  return { url: `http://127.0.0.1:${port}/health`, project }
}

async function startRegistry(path: string) {
  const port = await freePort()
  const config = join(path, 'registry.yml')
  await writeFile(
    config,
    JSON.stringify({
      version: 0.1,
      storage: { filesystem: { rootdirectory: join(path, 'registry') } },
      http: { addr: `127.0.0.1:${port}` },
    }),
  )
  const process = await startServer({
    argv: ['docker-registry', 'serve', config],
    ready: async () => (await fetch(`http://127.0.0.1:${port}/v2/`)).ok,
  })
  return { ...process, port }
}

const ask = async (url: string) => (await fetch(url, { signal: AbortSignal.timeout(2_000) })).text()

describe('gateway-down', () => {
  it('restarts a gateway that died, on another host, and sees that it answers', async () => {
    const port = await freePort()
    const url = `http://127.0.0.1:${port}/health`
    await makeImage('gateway-one', 'one', serve(port))
    await docker.docker('run', '-d', '--name', 'app-gateway-1', '--network', 'host', 'gateway-one')
    await docker.docker('kill', 'app-gateway-1')
    await expect(ask(url)).rejects.toThrow()

    const ran = await bench.start('gateway-down', {
      params: { host: 'web-1', container: 'app-gateway-1', url },
      answers: { pull: { skip: 'the restart was enough' }, recreate: { skip: 'the restart was enough' } },
    })

    expect(ran.said).toContain('verified')
    expect(ran.exitCode, ran.said).toBe(0)
    expect(await ask(url)).toBe('one\n')
    await docker.docker('rm', '-f', 'app-gateway-1')
  })

  it('redeploys one service of a compose file from the registry, or brings the old image back when it does not answer', async () => {
    const { url, project } = await composeProject('shop', { current: 'v1', pushed: 'v2' })
    const other = await docker.docker('inspect', '--format', '{{.State.StartedAt}}', 'shop_other_1')
    const params = { container: 'shop_gateway_1', service: 'gateway', compose: project }
    const answers = { restart: { skip: 'it hangs again at once' } }
    expect(await ask(url)).toBe('v1\n')

    const failed = await bench.start('gateway-down', {
      params: { ...params, url: `${url}-not-here` },
      answers,
      env,
      within: '1s',
    })
    expect(failed.exitCode, failed.said).toBe(11)
    expect(await ask(url)).toBe('v1\n')

    const ran = await bench.start('gateway-down', { params: { ...params, url }, answers, env })
    expect(ran.exitCode, ran.said).toBe(0)
    expect(await ask(url)).toBe('v2\n')
    expect(await docker.docker('inspect', '--format', '{{.State.StartedAt}}', 'shop_other_1')).toBe(other)
    expect(await docker.docker('images', '-q', 'opskit-before/gateway:kept')).not.toBe('')
    await docker.docker('rm', '-f', 'shop_gateway_1', 'shop_other_1')
  })

  it('makes the container anew without the compose command, and brings the old one back when it fails', async () => {
    const port = await freePort()
    const url = `http://127.0.0.1:${port}/health`
    const tag = `127.0.0.1:${registry.port}/plain:latest`
    await pushTwo(tag, port, { current: 'p1', pushed: 'p2' })
    const healthy = ['--health-cmd', 'true', '--health-interval', '1s']
    const flags = ['--network', 'host', '--env', 'GREETING=a "b" $c', ...healthy]
    await docker.docker('run', '-d', '--name', 'plain', ...flags, tag)
    const params = { container: 'plain', service: 'plain' }
    const answers = { restart: { skip: 'known to be no use' } }

    const dryRun = ['start', 'gateway-down', '--param', 'container=plain', '--dry-run']
    const { stdout } = await bench.command(dryRun, env)
    expect(stdout).toContain('Stop plain and keep it as plain-before (')
    expect(stdout).not.toContain('GREETING')

    const failed = await bench.start('gateway-down', {
      params: { ...params, url: `${url}-not-here` },
      answers,
      env,
      within: '2s',
    })
    expect(failed.exitCode, failed.said).toBe(11)
    expect(await ask(url)).toBe('p1\n')

    const ran = await bench.start('gateway-down', { params: { ...params, url }, answers, env })
    expect(ran.exitCode, ran.said).toBe(0)
    expect(await ask(url)).toBe('p2\n')
    expect(await docker.docker('inspect', '--format', '{{json .Config.Env}}', 'plain')).toContain(
      'GREETING=a \\"b\\" $c',
    )
    expect(await docker.docker('inspect', '--format', '{{.State.Status}}', 'plain-before')).toBe('exited')
    await docker.docker('rm', '-f', 'plain', 'plain-before')
  })
})

describe('backend-down', () => {
  it('asks the database from inside the container before it restarts anything', async () => {
    const database = await startListener()
    await docker.docker(
      'run',
      '-d',
      '--name',
      'app-backend-1',
      '--stop-signal',
      'KILL',
      '--network',
      'host',
      BUSYBOX_IMAGE,
      'sleep',
      '600',
    )
    const startedAt = () => docker.docker('inspect', '--format', '{{.State.StartedAt}}', 'app-backend-1')
    const before = await startedAt()
    const params = { container: 'app-backend-1', database_host: 'localhost' }

    const ran = await bench.start('backend-down', { params: { ...params, database_port: database.port }, env })
    expect(ran.said).toContain('verified')
    expect(ran.exitCode, ran.said).toBe(0)
    const restarted = await startedAt()
    expect(restarted).not.toBe(before)

    await database.close()
    const refused = await bench.start('backend-down', { params: { ...params, database_port: database.port }, env })
    expect(refused.exitCode).not.toBe(0)
    expect(await startedAt()).toBe(restarted)
    await docker.docker('rm', '-f', 'app-backend-1')
  })
})

describe('game-day', () => {
  it('stops a service on purpose, sees that it is felt, and starts it again', async () => {
    const port = await freePort()
    const url = `http://127.0.0.1:${port}/health`
    await makeImage('drilled', 'drilled', serve(port))
    await docker.docker('run', '-d', '--name', 'drilled', '--network', 'host', 'drilled')
    const params = { container: 'drilled', url }
    const busy = { override: 'this machine runs other tests too' }
    const answers = { before: busy, after: busy }
    const ran = await bench.start('game-day', { params, answers, env, flags: ['--drill'] })
    expect(ran.exitCode, ran.said).toBe(0)
    expect(await ask(url)).toBe('drilled\n')

    const elsewhere = await startHttpServer('ok')
    const notFelt = await bench.start('game-day', {
      answers,
      params: { ...params, url: `http://${elsewhere.address}:${elsewhere.port}/` },
      env,
      flags: ['--drill'],
      within: '1s',
    })
    expect(notFelt.exitCode, notFelt.said).toBe(11)
    expect(await ask(url)).toBe('drilled\n')
    await elsewhere.close()
    await docker.docker('rm', '-f', 'drilled')
  })
})
