/** Configuration of nginx over SSH and in a container: it comes back, is tested, reloaded and seen to serve, or is undone. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { startDocker, type DockerEngine } from '../../support/docker.ts'
import { startNginx, type TestNginx } from '../../support/nginx.ts'
import { startSshd, type Sshd } from '../../support/sshd.ts'
import { tempDir } from '../../support/temp.ts'
import { waitFor } from '../../support/wait.ts'
import { act, failureOf, makeContext } from '../context.ts'

/** One nginx, as it is reached from here. */
interface Site {
  readonly on: string
  readonly directory: string
  readonly nginx: object
  write(path: string, text: string): Promise<void>
  read(path: string): Promise<string>
  /** What it serves. */
  served(): Promise<string>
}

const INSIDE = '/etc/nginx'
let sshd: Sshd
let nginx: TestNginx
let engine: DockerEngine

const answer = (text: string) => `location / { return 200 ${text}; }`
const site = (port: number, text: string) => `server { listen 127.0.0.1:${port}; ${answer(text)} }\n`
const inside = (...argv: string[]) => engine.docker('exec', 'web', ...argv)

beforeAll(async () => {
  ;[sshd, nginx, engine] = await Promise.all([startSshd(), startNginx({ server: answer('old') }), startDocker()])
  vi.stubEnv('DOCKER_HOST', `unix://${engine.socketPath}`)
  // The programs of this machine; the configuration is the container's own.
  const mounts = ['/usr', '/lib', '/lib64'].flatMap((path) => ['-v', `${path}:${path}:ro`])
  const conf = 'user root; error_log /tmp/error.log; events {} http { access_log off; include conf.d/*.conf; }'
  const script = `mkdir -p /run /var/log/nginx /var/lib/nginx ${INSIDE}/conf.d; echo 'root:x:0:0::/root:/bin/sh' > /etc/passwd
    echo 'root:x:0:' > /etc/group; echo '${conf}' > ${INSIDE}/nginx.conf
    echo '${site(8080, 'old').trim()}' > ${INSIDE}/conf.d/site.conf; exec nginx -g 'daemon off;'`
  const env = ['-e', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin']
  await engine.run({ name: 'web', args: [...mounts, ...env], command: ['sh', '-c', script] })
  await waitFor('nginx in the container', async () => (await box.served().catch(() => '')) === 'old')
})
afterAll(async () => {
  vi.unstubAllEnvs()
  await Promise.all([sshd?.stop(), nginx?.stop(), engine?.stop()])
})

const far: Site = {
  on: 'far',
  get directory() {
    return join(nginx.directory, 'conf.d')
  },
  get nginx() {
    return { config: nginx.config, url: nginx.url }
  },
  write: (path, text) => writeFile(path, text),
  read: (path) => readFile(path, 'utf8'),
  served: async () => (await fetch(nginx.url)).text(),
}
const box: Site = {
  on: 'box',
  directory: `${INSIDE}/conf.d`,
  nginx: { url: 'http://127.0.0.1:8080/' },
  write: async (path, text) => void (await inside('sh', '-c', 'printf %s "$1" > "$2"', 'sh', text, path)),
  read: async (path) => `${await inside('cat', path)}\n`,
  served: () => inside('curl', '-s', 'http://127.0.0.1:8080/'),
}

async function contextOf(source: object) {
  const { host, port, user, identityFile, knownHosts } = sshd.settings
  const ssh = { host, port, user, identity_file: identityFile, known_hosts: knownHosts, agent: false }
  const hosts = { far: { ssh }, box: { container: { name: 'web' } } }
  const repository = join(await tempDir('repository'), 'r')
  return makeContext({ config: { hosts, backup: { repository, config: { web: source } } } })
}

describe.each([far, box])('the configuration of nginx on $on', (there) => {
  const port = () => (there === far ? nginx.port : 8080)
  const contextOfIt = () => contextOf({ on: there.on, paths: [there.directory], nginx: there.nginx })
  const file = () => join(there.directory, 'site.conf')

  it('comes back, and serves', async () => {
    const context = await contextOfIt()
    const before = await there.read(file())
    await act(context, 'backup.config', { name: 'web' })
    await there.write(file(), site(port(), 'changed'))
    await there.write(join(there.directory, 'more.conf'), '# newer than the backup\n')
    const { steps } = await act(context, 'restore.config', { backup: 'web' })
    expect(steps.map(({ message }) => message).join('\n')).toMatch(/new workers of nginx serve .* answers with 200/)
    expect(await there.read(file())).toBe(before)
    expect(await there.served()).toBe('old')
  })

  it('that nginx refuses is taken back', async () => {
    const context = await contextOfIt()
    const before = await there.read(file())
    await there.write(file(), 'server { listen nowhere;\n')
    await act(context, 'backup.config', { name: 'web' })
    await there.write(file(), before)
    const { message } = await failureOf(act(context, 'restore.config', { backup: 'web' }))
    expect(message).toMatch(/^nginx refuses the restored configuration: .*emerg/)
    expect(await there.read(file())).toBe(before)
    expect(await there.served()).toBe('old')
  })
})

it('the nginx of a container is not taken for that of the machine', async () => {
  const tree = await tempDir('tree')
  await writeFile(join(tree, 'nginx.conf'), 'one')
  const context = await contextOf({ paths: [tree], nginx: { binary: 'true' } })
  await act(context, 'backup.config', { name: 'web' })
  await writeFile(join(tree, 'nginx.conf'), 'two')
  const { steps } = await act(context, 'restore.config', { backup: 'web' })
  expect(steps.map(({ message }) => message).join('\n')).toContain('nginx does not run on localhost')
})
