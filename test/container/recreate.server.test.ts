/** container.recreate and container.restore on a real Docker engine. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runAction } from '../../scripts/lib/action/run.ts'
import type { ActionContext } from '../../scripts/lib/action/types.ts'
import { findAction } from '../../scripts/lib/catalog.ts'
import { act, failureOf, makeContext } from '../backup/context.ts'
import { startDocker, type DockerEngine } from '../support/docker.ts'

let docker: DockerEngine

beforeAll(async () => {
  docker = await startDocker()
  process.env['DOCKER_HOST'] = `unix://${docker.socketPath}`
})

afterAll(async () => {
  delete process.env['DOCKER_HOST']
  await docker?.stop()
})

const QUICK = { healthy_within_ms: 3_000, running_for_ms: 500, stop_within_ms: 0 }
const SECRET = 'DB_PASSWORD=hunter2-of-the-operator'

async function makeImage(tag: string, changes: readonly string[]): Promise<void> {
  await docker.run({ name: 'maker' })
  const flags = changes.flatMap((change) => ['--change', change])
  await docker.docker('commit', '--pause=false', ...flags, 'maker', tag)
  await docker.docker('rm', '-f', 'maker')
}

async function inspect(name: string, format: string): Promise<string> {
  return docker.docker('inspect', '--format', format, name)
}

const names = async () => (await docker.docker('ps', '-a', '--format', '{{.Names}}')).split('\n').sort()

async function recreate(context: ActionContext, params: Record<string, unknown>) {
  return act(context, 'container.recreate', { ...QUICK, ...params })
}

const textOf = ({ journal }: ActionContext) => JSON.stringify(journal.events({ limit: 1_000 }))

describe('container.recreate', () => {
  it('takes the image that the name leads to now, keeps what was set by hand, and can be taken back', async () => {
    await makeImage('shop', ['CMD ["sleep","600"]', 'ENV FROM_IMAGE=one', 'VOLUME /data', 'LABEL made=one'])
    await docker.docker('network', 'create', '--subnet', '198.51.100.0/24', 'inside')
    const flags = ['--network', 'inside', '--network-alias', 'till', '--ip', '198.51.100.7', '--restart', 'always']
    await docker.docker('run', '-d', '--name', 'shop', ...flags, '-e', SECRET, '--label', 'team=a', 'shop')
    await docker.docker('exec', 'shop', 'sh', '-c', 'echo kept > /data/file')
    const before = await inspect('shop', '{{.Id}}')
    await makeImage('shop', ['CMD ["sleep","700"]', 'ENV FROM_IMAGE=two', 'VOLUME /data', 'LABEL made=two'])
    const context = await makeContext({ config: {} })

    const made = await recreate(context, { container: 'shop' })

    expect(made.steps.at(-1)).toMatchObject({ outcome: 'verified', message: 'shop is running, from shop' })
    expect(await inspect('shop', '{{.Id}}')).not.toBe(before)
    expect(await inspect('shop', '{{json .Config.Cmd}} {{json .Config.Env}}')).toMatch(
      /^\["sleep","700"\].*DB_PASSWORD=hunter2-of-the-operator.*FROM_IMAGE=two/,
    )
    expect(await inspect('shop', '{{.Config.Labels.team}} {{.Config.Labels.made}}')).toBe('a two')
    expect(await inspect('shop', '{{.HostConfig.RestartPolicy.Name}}')).toBe('always')
    expect(
      await inspect('shop', '{{with .NetworkSettings.Networks.inside}}{{.IPAddress}} {{index .Aliases 0}}{{end}}'),
    ).toBe('198.51.100.7 till')
    expect(await inspect('shop', '{{slice .Id 0 12}}')).toBe(await inspect('shop', '{{.Config.Hostname}}'))
    expect(await docker.docker('exec', 'shop', 'cat', '/data/file')).toBe('kept')
    expect(await inspect('shop-before', '{{.Id}} {{.State.Status}} {{.HostConfig.RestartPolicy.Name}}')).toBe(
      `${before} exited no`,
    )
    expect(textOf(context)).not.toContain('hunter2')

    await act(context, 'container.restore', { ...QUICK, container: 'shop' })
    expect(await inspect('shop', '{{.Id}} {{.State.Status}} {{.HostConfig.RestartPolicy.Name}}')).toBe(
      `${before} running always`,
    )
    expect(await names()).toEqual(['shop', 'shop-after'])
    const again = await act(context, 'container.restore', { ...QUICK, container: 'shop' })
    expect(again).toMatchObject({ changed: false, because: expect.stringContaining('nothing is kept') as string })

    await recreate(context, { container: 'shop', keep: false })
    expect(await names()).toEqual(['shop'])
    await docker.docker('rm', '-f', 'shop')
  })

  it.each([
    ['ends at once', ['CMD ["sh","-c","echo no config; exit 3"]'], /exit code 3\).*no config/],
    [
      'never gets healthy',
      ['CMD ["sleep","600"]', 'HEALTHCHECK --interval=1s --retries=1 CMD false'],
      /says unhealthy/,
    ],
    ['cannot even be started', ['CMD ["/no/such/program"]'], /no\/such\/program/],
  ])('brings the old one back when the new one %s', async (_name, changes, reason) => {
    await makeImage('good', ['CMD ["sleep","600"]'])
    await makeImage('bad', changes)
    await docker.run({ name: 'till', image: 'good', command: [] })
    const before = await inspect('till', '{{.Id}}')
    const context = await makeContext({ config: {} })
    const failure = await failureOf(recreate(context, { container: 'till', image: 'bad' }))
    expect(failure.message).toMatch(reason)
    expect(await names()).toEqual(['till'])
    expect(await inspect('till', '{{.Id}}')).toBe(before)
    expect(await inspect('till', '{{.State.Status}}')).toBe('running')
    await docker.docker('rm', '-f', 'till')
  })

  it('is brought back as it was when it was killed half-way', async () => {
    await docker.docker('run', '-d', '--name', 'till', '--network', 'none', '--restart', 'unless-stopped', 'good')
    const before = await inspect('till', '{{.Id}}')
    const context = await makeContext({ config: {} })
    await recreate(context, { container: 'till' })
    await docker.docker('rename', 'till', 'till-opskit-new')
    await docker.docker('stop', '-t', '0', 'till-opskit-new')
    expect((await failureOf(recreate(context, { container: 'till' }))).hint).toContain('container.restore')
    await act(context, 'container.restore', { ...QUICK, container: 'till' })
    expect(await inspect('till', '{{.Id}} {{.State.Status}} {{.HostConfig.RestartPolicy.Name}}')).toBe(
      `${before} running unless-stopped`,
    )
    await recreate(context, { container: 'till', keep: false })
    expect(await names()).toEqual(['till'])
    await docker.docker('rm', '-f', 'till')
  })

  it('shows what it would do, without what is secret, and does nothing', async () => {
    await docker.docker('run', '-d', '--name', 'till', '--network', 'none', '-e', SECRET, 'good')
    const before = await inspect('till', '{{.Id}} {{.State.StartedAt}}')
    const context = await makeContext({ config: {} })
    const action = await findAction('container.recreate')
    const shown = JSON.stringify(await runAction(action, { container: 'till' }, context, { dryRun: true }))
    expect(shown).toContain('Stop till and keep it as till-before')
    expect(shown).toContain('environment: 1 variables of its own')
    expect(shown).not.toContain('hunter2')
    expect(await inspect('till', '{{.Id}} {{.State.StartedAt}}')).toBe(before)
    expect(await names()).toEqual(['till'])
    await docker.docker('rm', '-f', 'till')
  })

  it('refuses what it could not take back, or what is not there, before anything is stopped', async () => {
    const context = await makeContext({ config: {} })
    await docker.docker('run', '-d', '--rm', '--name', 'fleeting', '--network', 'none', 'good')
    await docker.run({ name: 'till', image: 'good', command: [] })
    await docker.run({ name: 'till-before', image: 'good', command: [] })
    for (const [params, reason] of [
      [{ container: 'fleeting' }, 'removes itself when it stops'],
      [{ container: 'till' }, 'till-before is in the way, and it runs'],
      [{ container: 'till', image: 'nowhere:9' }, 'the image nowhere:9 is not on localhost'],
      [{ container: 'tilll' }, 'there is no container "tilll"'],
    ] as const) {
      expect((await failureOf(recreate(context, params))).message).toContain(reason)
    }
    await docker.docker('stop', '-t', '0', 'till-before')
    const strange = failureOf(act(context, 'container.restore', { container: 'till' }))
    expect((await strange).message).toContain('was not made in place of till-before')
    await docker.docker('rm', '-f', 'fleeting', 'till', 'till-before')
  })
})
