/**
 * The whole diagnosis against real parts, run as operators run it: nginx, containers in trouble, a second host over SSH,
 * a full inode table, a service that accepts and never answers, a busy CPU, and secrets that must appear nowhere.
 */
import { spawn } from 'node:child_process'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { EATS_MEMORY, startDocker, type DockerEngine } from '../support/docker.ts'
import { mountExt4 } from '../support/file-system.ts'
import { makeBlackHole } from '../support/netns.ts'
import { startNginx, type TestNginx } from '../support/nginx.ts'
import { NODE, opskit, ROOT, type Ran } from '../support/opskit.ts'
import { freePort } from '../support/ports.ts'
import { startSshd, type Sshd } from '../support/sshd.ts'
import { startSilentServer, type BadServer } from '../support/tcp.ts'
import { makeTempDir } from '../support/temp.ts'
import { waitFor } from '../support/wait.ts'

const PLANTED = {
  url: 'hunter2-in-a-url',
  flag: 'hunter2-in-a-flag',
  bearer: 'hunter2.in.a.bearer.token.of.some.length',
  yaml: 'hunter2 in yaml with spaces',
  config: 'hunter2-in-a-secret-file',
} as const

interface JsonFinding {
  readonly check: string
  readonly subject?: string
  readonly host: string
  readonly severity: string
  readonly title: string
  readonly evidence?: string
  readonly lines?: readonly string[]
}

let dir: { path: string; remove(): Promise<void> }
let nginx: TestNginx
let docker: DockerEngine
let sshd: Sshd
let silent: BadServer
let deadPort: number

beforeAll(async () => {
  dir = await makeTempDir('diagnose')
  deadPort = await freePort()
  ;[nginx, docker, sshd, silent] = await Promise.all([
    startNginx({ server: 'location = /broken { return 500; } location / { return 200 ok; }' }),
    startDocker(),
    startSshd(),
    startSilentServer(),
  ])
  await Promise.all([startContainers(), makeTraffic(), plantSecrets()])
  await writeFile(join(dir.path, 'token'), PLANTED.config, { mode: 0o600 })
  await writeFile(join(dir.path, 'opskit.yaml'), configText())
}, 180_000)

afterAll(async () => {
  await Promise.allSettled([nginx.stop(), docker.stop(), sshd.stop(), silent.close()])
  await dir.remove()
})

async function startContainers(): Promise<void> {
  const labels = (service: string) => [
    ...['--label', 'com.docker.compose.project=shop', '--label', `com.docker.compose.service=${service}`],
  ]
  const sick = ['--health-cmd', 'false', '--health-interval', '1s', '--health-retries', '1', '--health-timeout', '5s']
  await docker.run({
    name: 'api-gateway',
    args: [...labels('api-gateway'), ...sick],
    command: [
      'sh',
      '-c',
      `echo 'db: mysql://app:${PLANTED.url}@db/shop'; echo '\u001b[31m<script>alert(1)</script>'; sleep 600`,
    ],
  })
  await docker.run({
    name: 'looping',
    args: [...labels('worker'), '--restart', 'always'],
    command: ['sh', '-c', 'exit 3'],
  })
  await docker.run({
    name: 'hungry',
    args: ['--memory', '16m'],
    command: ['sh', '-c', EATS_MEMORY],
  })
  await docker.waitForState('api-gateway', 'State.Health.Status', 'unhealthy')
  await docker.waitForKillForMemory('hungry')
  await waitFor(
    'three restarts',
    async () => Number(await docker.docker('inspect', '-f', '{{.RestartCount}}', 'looping')) >= 3,
    40_000,
  )
}

async function makeTraffic(): Promise<void> {
  for (let i = 0; i < 60; i += 1) await (await fetch(`${nginx.url}/${i % 4 === 0 ? 'broken' : ''}`)).text()
}

async function plantSecrets(): Promise<void> {
  const stamp = new Date().toISOString().slice(0, 19).replaceAll('-', '/').replace('T', ' ')
  const lines = [
    `${stamp} [error] 1#1: *1 upstream said: Authorization: Bearer ${PLANTED.bearer}`,
    `${stamp} [error] 1#1: *2 exec failed: mysqldump -papp --password=${PLANTED.flag} shop`,
    `${stamp} [error] 1#1: *3 config: password: "${PLANTED.yaml}"`,
  ]
  await writeFile(nginx.errorLog, lines.map((line) => `${line}\n`).join(''), { flag: 'a' })
}

function configText(): string {
  const { port, user, identityFile, knownHosts } = sshd.settings
  const ssh = (at: number) =>
    `{ ssh: { host: 127.0.0.1, port: ${at}, user: ${user}, identity_file: ${identityFile}, known_hosts: ${knownHosts}, agent: false } }`
  return `
name: web-1
state: { dir: ${dir.path}/state }
hosts:
  web-2: ${ssh(port)}
  dead-1: ${ssh(deadPort)}
diagnose:
  network: { targets: [] }
  nginx: { config: ${nginx.config}, expected: true }
  containers: { socket: ${docker.socketPath}, projects: [shop] }
  http:
    - { name: front, url: "${nginx.url}/", headers: { X-Token: { file: ${dir.path}/token } } }
    - { name: hung, url: "http://127.0.0.1:${silent.port}/health", timeout: 1s }
  ports:
    - { port: ${nginx.port}, name: nginx }
    - { port: ${deadPort}, name: nobody }
`
}

const run = (...args: string[]): Promise<Ran> => opskit('diagnose', args, { cwd: dir.path })

async function findings(...args: string[]): Promise<JsonFinding[]> {
  const ran = await run('--json', '--deadline', '15s', ...args)
  return (JSON.parse(ran.stdout) as { findings: JsonFinding[] }).findings
}

describe('diagnose', () => {
  it('finds every trouble there is, names it, and exits 2', async () => {
    const ran = await run('--json', '--deadline', '15s')
    const found = (JSON.parse(ran.stdout) as { findings: JsonFinding[] }).findings
    const seen = found.map(({ check, subject, title, severity }) => `${check} ${subject ?? title}: ${severity}`)
    expect(seen).toEqual(
      expect.arrayContaining([
        'container.health api-gateway: critical',
        'container.oom hungry: critical',
        expect.stringMatching(/^container\.(restarts|state) looping: (critical|warning)$/),
        expect.stringMatching(/^nginx\.access .*: critical$/),
        'nginx.config nginx accepts its configuration: ok',
        'http.check front: ok',
        'http.check hung: critical',
        `service.port ${deadPort}/tcp: critical`,
        'network.host web-2: ok',
        'network.host dead-1: critical',
      ]),
    )
    expect(ran.exitCode).toBe(2)
  })

  it('looks at a second host over SSH, and a dead one costs only its own finding', async () => {
    const found = await findings('--host', 'web-2,dead-1', '--only', 'host')
    expect(found.filter((one) => one.host === 'dead-1')).toMatchObject([
      { check: 'host.reachable', severity: 'critical' },
    ])
    expect(found.find((one) => one.host === 'web-2' && one.check === 'host.memory')).toMatchObject({ severity: 'ok' })
    expect(found.find((one) => one.host === 'web-2' && one.check === 'host.reachable')).toMatchObject({
      severity: 'ok',
    })
  })

  it('sees a full inode table that df -h does not show', async () => {
    const disk = await mountExt4(4, { mkfs: ['-N', '16'] })
    for (let i = 0; ; i += 1) {
      try {
        await writeFile(join(disk.path, `f${i}`), '')
      } catch {
        break
      }
    }
    const found = await findings('--only', 'host.inodes')
    expect(found.find((one) => one.subject === disk.path)).toMatchObject({ severity: 'critical', check: 'host.inodes' })
  })

  it('sees a busy CPU and names the process', async () => {
    const spinners = [0, 1, 2, 3].map(() => spawn(NODE, ['-e', 'process.title = "spinner"; for (;;);']))
    onTestFinished(() => spinners.forEach((child) => child.kill('SIGKILL')))
    // A window in which the hypervisor takes the CPU away is judged as steal, so it may take a few.
    await waitFor(
      'the spinners to spin',
      async () => {
        const [cpu] = await findings('--only', 'host.cpu', '--window', '500ms')
        return cpu && cpu.severity !== 'ok' && /spinner|MainThread/.test(JSON.stringify(cpu))
      },
      20_000,
    )
  })

  it('shows no planted secret in any format, and none in the journal', async () => {
    const outputs = await Promise.all(
      ['text', 'json', 'markdown', 'html', 'nagios'].map((format) =>
        run('--verbose', '--deadline', '15s', '--format', format),
      ),
    )
    const journal = await readFile(join(dir.path, 'state/journal.db'))
    const wal = await readFile(join(dir.path, 'state/journal.db-wal')).catch(() => Buffer.alloc(0))
    const seen = [...outputs.map((ran) => ran.stdout + ran.stderr), journal.toString('latin1'), wal.toString('latin1')]
    expect(seen[0]).toContain('[REDACTED]')
    for (const secret of Object.values(PLANTED)) {
      expect(seen.filter((text) => text.includes(secret))).toEqual([])
    }
  })

  it('shows what containers print as text, whatever it is', async () => {
    const [text, html] = await Promise.all([run('--only', 'container'), run('--only', 'container', '--format', 'html')])
    expect(text.stdout).toContain('<script>alert(1)</script>')
    expect(text.stdout).not.toContain('\u001b')
    expect(html.stdout).not.toContain('<script')
  })

  it('remembers its last look and shows what changed since', async () => {
    await run('--only', 'service.port')
    const [host, other] = [await freePort(), await freePort()]
    expect(host).not.toBe(other)
    const config = await readFile(join(dir.path, 'opskit.yaml'), 'utf8')
    const quiet = join(dir.path, 'quiet.yaml')
    await writeFile(quiet, config.replace(/ {4}- \{ port: \d+, name: nobody \}\n/, ''))
    const ran = await run('--only', 'service.port', '--baseline', 'last', '--json', '--config', quiet)
    const { changes } = JSON.parse(ran.stdout) as { changes: { list: unknown[] } }
    expect(changes.list).toEqual([expect.objectContaining({ check: 'service.port', was: 'critical', is: 'absent' })])
  })

  it('compares with a saved report', async () => {
    const saved = join(dir.path, 'good.json')
    await writeFile(saved, (await run('--only', 'service.port', '--json')).stdout)
    const ran = await run('--only', 'service.port', '--baseline', saved)
    expect(ran.stdout).toMatch(/nothing has changed|no change/i)
  })

  it('looks again and again with --watch, one JSON document a line', async () => {
    const ran = await opskit('diagnose', ['--only', 'service.port', '--watch', '300ms', '--json'], {
      cwd: dir.path,
      onStart: (pid) => setTimeout(() => process.kill(pid, 'SIGTERM'), 4_000),
    })
    const documents = ran.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { schema: string })
    expect(documents.length).toBeGreaterThan(1)
    expect(documents.every(({ schema }) => schema === 'opskit.report/1')).toBe(true)
    expect(ran.exitCode).toBe(143)
  })

  it('writes the report into a file and says where', async () => {
    const page = join(dir.path, 'report.html')
    const ran = await run('--only', 'service.port', '--format', 'html', '--output', page)
    expect(ran.stdout).toMatch(/^CRITICAL: .*\nwritten to .*report\.html\n$/s)
    expect(await readFile(page, 'utf8')).toContain('<!doctype html>')
  })

  it('ends by its deadline when every target is a black hole', async () => {
    const hole = await makeBlackHole({ resolvers: ['198.51.100.53'] })
    onTestFinished(() => hole.remove())
    const config = join(dir.path, 'hole.yaml')
    await writeFile(
      config,
      `state: { dir: ${dir.path}/hole }
hosts: { standby: { ssh: { host: 198.51.100.7 }, roles: [standby] } }
diagnose:
  deadline: 2s
  network: { resolve: [db.example.com], timeout: 10s, targets: [{ host: 198.51.100.1, port: 443 }, { host: 198.51.100.2 }] }
  http: [{ name: far, url: "http://198.51.100.9/health", timeout: 10s }]
  databases: [{ name: db, type: mariadb, host: 198.51.100.8, timeout: 10s }]
`,
    )
    const script = join(ROOT, 'scripts/diagnose.ts')
    const ended = await hole.measure([NODE, script, '--json', '--config', config], 30_000)
    const { durationMs } = JSON.parse(ended.stdout) as { durationMs: number }
    expect(ended.exitCode).toBe(2)
    // 2 s and the time to start: generous, because this is no benchmark (test/bench/diagnose.ts is).
    expect(durationMs).toBeLessThan(4_000)
  })
})

describe('diagnose, asked wrongly', () => {
  it.each([
    ['an unknown flag', ['--hots', 'web-2'], 64, '--host'],
    ['an unknown check', ['--only', 'host.dsk'], 64, 'Did you mean host.disk?'],
    ['an unknown host', ['--host', 'web-9'], 64, 'web-2'],
    ['a bad duration', ['--deadline', '5 parsecs'], 64, '500ms'],
    ['an unknown format', ['--format', 'htm'], 64, 'html'],
    ['a missing config', ['--config', 'nowhere.yaml'], 78, 'nowhere.yaml'],
    ['a missing baseline', ['--baseline', 'nowhere.json'], 64, 'nowhere.json'],
  ])('refuses %s and says what to try', async (_, args, exitCode, hint) => {
    const ran = await run(...args)
    expect(ran.stderr).toContain(hint)
    expect(ran.stdout).toBe('')
    expect(ran.exitCode).toBe(exitCode)
  })

  it('names file, line, column and the nearest key of a wrong config', async () => {
    const file = join(dir.path, 'wrong.yaml')
    await writeFile(file, 'diagnose:\n  deadlin: 5s\n')
    const ran = await run('--config', file)
    expect(ran.exitCode).toBe(78)
    expect(ran.stderr).toMatch(/wrong\.yaml:2:3: .*deadlin.*deadline/s)
  })

  it('stops within a moment of SIGINT, with 130', async () => {
    await mkdir(join(dir.path, 'state'), { recursive: true })
    const ran = await opskit('diagnose', ['--only', 'host.cpu', '--window', '20s', '--deadline', '60s'], {
      cwd: dir.path,
      onStart: (pid) => setTimeout(() => process.kill(pid, 'SIGINT'), 2_500),
    })
    expect(ran.exitCode).toBe(130)
    expect(ran.durationMs).toBeLessThan(15_000)
  })
})
