/** The container check against a real Docker engine: one container for each way to be well or in trouble. */
import { link, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { containerCheck } from '../../../scripts/lib/diagnose/container/check.ts'
import type { CheckFinding } from '../../../scripts/lib/diagnose/types.ts'
import { openLocalHost } from '../../../scripts/lib/host/local.ts'
import { EATS_MEMORY, startDocker, type DockerEngine } from '../../support/docker.ts'
import { tempDir } from '../../support/temp.ts'
import { waitFor } from '../../support/wait.ts'
import { contextOf } from '../service/support.ts'

async function diagnose(containers: object): Promise<CheckFinding[]> {
  const { findings } = await containerCheck.run(contextOf(openLocalHost(), { containers }))
  return [...findings]
}

const SLEEP = 'trap "exit 0" TERM; while :; do sleep 0.2; done'

/** A service of the compose project `shop`, by the labels that compose gives. */
const labels = (service: string) =>
  [`project=shop`, `service=${service}`].flatMap((label) => ['--label', `com.docker.compose.${label}`])
const health = (command: string) => ['--health-cmd', command, '--health-interval', '200ms', '--health-retries', '2']

/** Name, what its shell runs, and the flags of `docker run`. */
const CONTAINERS: readonly (readonly [name: string, script: string, args: readonly string[]])[] = [
  ['shop-web-1', SLEEP, [...labels('web'), ...health('true')]],
  ['shop-worker-1', 'echo no such queue >&2; exit 3', [...labels('worker'), '--restart', 'always']],
  ['shop-cache-1', EATS_MEMORY, [...labels('cache'), '--memory', '16m', '--memory-swap', '16m']],
  ['shop-migrate-1', 'echo migrated', labels('migrate')],
  ['shop-console-run-1', 'exit 1', [...labels('console'), '--label', 'com.docker.compose.oneoff=True']],
  ['frozen', SLEEP, []],
  ['stopped', SLEEP, ['--restart', 'unless-stopped']],
]

/** ANSI, HTML, a secret and a line of 100 kB, then the API's own last words. */
const HOSTILE = String.raw`printf '\033[31mred\033[0m <script>alert(1)</script>\n' >&2; echo "password=hunter2-secret"; head -c 100000 /dev/zero | tr '\0' A; echo; echo last words`

describe('containers', () => {
  let engine: DockerEngine
  let findings: CheckFinding[]
  const of = (subject: string) => findings.filter((finding) => finding.subject === subject)

  beforeAll(async () => {
    engine = await startDocker()
    const start = (name: string, script: string, args: readonly string[]) =>
      engine.run({ name, args, command: ['sh', '-c', script] })
    const unhealthy = [...labels('api'), ...health('echo "no answer from :8090"; exit 1')]
    await start('shop-api-1', `${HOSTILE}; ${SLEEP}`, unhealthy)
    for (const [name, script, args] of CONTAINERS) await start(name, script, args)
    await engine.run({ name: 'unstartable', command: ['/no/such/program'] }).catch(() => undefined)
    await engine.docker('pause', 'frozen')
    await engine.docker('stop', 'stopped')
    await engine.waitForState('shop-web-1', 'State.Health.Status', 'healthy')
    await engine.waitForState('shop-api-1', 'State.Health.Status', 'unhealthy')
    await engine.waitForKillForMemory('shop-cache-1')
    // From the fifth restart on, the engine waits for seconds before the next: time enough to look at it.
    const state = '{{if ge .RestartCount 5}}{{.State.Status}}{{end}}'
    await waitFor(
      'the worker to crash again and again',
      async () => (await engine.docker('inspect', '--format', state, 'shop-worker-1')) === 'restarting',
      30_000,
    )
    findings = await diagnose({ socket: engine.socketPath })
  })
  afterAll(() => engine?.stop())

  it.each([
    ['shop-web-1', 'container.state', 'ok', 'shop-web-1 runs, healthy'],
    ['shop-api-1', 'container.health', 'critical', 'shop-api-1 is unhealthy'],
    ['shop-worker-1', 'container.restarts', 'critical', 'shop-worker-1 crashes and is restarted again and again'],
    ['shop-cache-1', 'container.oom', 'critical', 'shop-cache-1 was killed for memory'],
    ['shop-migrate-1', 'container.state', 'ok', 'shop-migrate-1 has finished its work'],
    ['shop-console-run-1', 'container.state', 'warning', 'shop-console-run-1 ended with an error'],
    ['frozen', 'container.state', 'warning', 'frozen is paused'],
    ['stopped', 'container.state', 'critical', 'stopped is stopped'],
    ['unstartable', 'container.state', 'critical', 'unstartable could not be started'],
  ])('%s', (name, checkName, severity, title) => {
    expect(of(name)).toMatchObject([{ check: checkName, title }])
    expect(of(name)[0]?.severity).toBe(severity)
  })

  it('say what the health check last printed, the exit code’s meaning and the memory limit', () => {
    expect(of('shop-api-1')[0]?.evidence).toMatch(
      /health checks failed in a row, the last with status 1: no answer from :8090; image opskit-busybox \(built .* ago\), up .*, service shop\/api/,
    )
    expect(of('shop-cache-1')[0]?.evidence).toMatch(/^exited 137: killed \(SIGKILL\), memory limit 16 MiB, 0 restarts/)
    expect(of('shop-console-run-1')[0]?.evidence).toMatch(/^exited 1: an error of the program, ended .* ago/)
    expect(of('shop-web-1')[0]?.measures).toMatchObject([{ label: 'shop-web-1 restarts', value: 0 }])
  })

  it('show the last lines of those in trouble, bounded, from both streams and without secrets', () => {
    expect(of('shop-worker-1')[0]?.lines).toContain('no such queue')
    expect(of('shop-web-1')[0]?.lines).toBeUndefined()
    const lines = of('shop-api-1')[0]?.lines ?? []
    expect(lines).toContain('last words')
    expect(lines.join('\n')).toContain('<script>alert(1)</script>')
    expect(lines.every((line) => line.length <= 300)).toBe(true)
    expect(JSON.stringify(findings)).not.toContain('hunter2-secret')
  })

  it('are summed up per compose project, like docker compose ps', () => {
    const [project] = of('shop')
    expect(project).toMatchObject({
      check: 'container.project',
      severity: 'ok',
      evidence: '2 of 5 services run or are done; down: api, cache, worker',
    })
    expect(project?.lines?.map((line) => line.split(/\s{2,}/).slice(0, 2))).toEqual([
      ['api', 'running (unhealthy)'],
      ['cache', 'exited (137)'],
      ['migrate', 'exited (0)'],
      ['web', 'running (healthy)'],
      ['worker', 'restarting (3)'],
    ])
  })

  it('that a compose file expects are missed', async () => {
    const file = join(await tempDir('compose'), 'compose.yaml')
    await writeFile(
      file,
      'name: shop\nservices:\n  web: { image: x }\n  mailer: { image: "${IMAGE:-y}" }\n  debug: { image: z, profiles: [dev] }\n',
    )
    const expected = await diagnose({ socket: engine.socketPath, compose_files: [file], projects: ['absent'] })
    expect(expected.filter((finding) => finding.check === 'container.project')).toMatchObject([
      { subject: 'absent', severity: 'critical', title: 'compose project absent is not here' },
      {
        subject: 'shop',
        severity: 'critical',
        title: expect.stringMatching(/^compose project shop lacks mailer, api, cache/) as string,
      },
    ])
  })
})

describe('an engine', () => {
  it('that is not there is skipped, and critical when containers are expected', async () => {
    expect(await diagnose({ socket: '/nowhere/docker.sock' })).toMatchObject([
      { severity: 'skipped', title: 'containers were skipped, because there is no Docker socket' },
    ])
    expect(await diagnose({ socket: '/nowhere/docker.sock', projects: ['shop'] })).toMatchObject([
      { severity: 'critical' },
    ])
  })

  it('whose socket nobody listens on does not run', async () => {
    const socket = join(await tempDir('stale'), 'docker.sock')
    const server = createServer().listen(socket)
    await new Promise((resolve) => server.once('listening', resolve))
    // Closing removes the file, so it is kept by a second name.
    await link(socket, `${socket}.old`)
    await new Promise((resolve) => server.close(resolve))
    expect(await diagnose({ socket: `${socket}.old` })).toMatchObject([
      { severity: 'warning', title: 'the Docker engine does not run' },
    ])
  })

  it('that accepts and never answers is given up at the deadline', async () => {
    const socket = join(await tempDir('hung'), 'docker.sock')
    const server: Server = createServer(() => undefined).listen(socket)
    await new Promise((resolve) => server.once('listening', resolve))
    const context = { ...contextOf(openLocalHost(), { containers: { socket } }), signal: AbortSignal.timeout(200) }
    await expect(containerCheck.run(context)).rejects.toThrow()
    server.close()
  })
})
