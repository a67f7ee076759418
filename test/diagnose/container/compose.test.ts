/** Compose files and projects: what is expected, what is there. */
import { describe, expect, it } from 'vitest'
import { decideProjects, parseComposeFile, type ComposeFile } from '../../../scripts/lib/diagnose/container/compose.ts'
import type { ContainerFacts } from '../../../scripts/lib/diagnose/container/facts.ts'

const FILE = `
name: shop
x-base: &base { restart: always }
services:
  web: { <<: *base, image: "web:\${TAG:-1}", deploy: { replicas: 2 } }
  api:
    image: api
    scale: 3
  job: { image: job, deploy: { replicas: 0 } }
  debug: { image: d, profiles: [dev] }
  old: !reset null
`

function container(service: string, more: Partial<ContainerFacts> = {}): ContainerFacts {
  const base = {
    id: service,
    name: `shop-${service}-1`,
    image: 'x',
    project: 'shop',
    service,
    composeFiles: ['/srv/shop/compose.yaml'],
    oneOff: false,
  }
  return {
    ...base,
    state: 'running',
    exitCode: 0,
    oomKilled: false,
    error: '',
    restarts: 0,
    restartPolicy: 'always',
    tty: false,
    ...more,
  }
}

const shop = (services: Readonly<Record<string, number>>): ComposeFile => ({
  path: '/srv/shop/compose.yaml',
  project: 'shop',
  services: Object.entries(services).map(([name, replicas]) => ({ name, replicas })),
})

describe('a compose file', () => {
  it('names its project and the services that "up" starts, with their replicas', async () => {
    expect(await parseComposeFile(FILE, '/srv/x/compose.yaml')).toEqual({
      path: '/srv/x/compose.yaml',
      project: 'shop',
      services: [
        { name: 'web', replicas: 2 },
        { name: 'api', replicas: 3 },
        { name: 'job', replicas: 0 },
        { name: 'old', replicas: 1 },
      ],
    })
  })

  it.each([
    ['/srv/My Shop_1/compose.yaml', 'myshop_1'],
    ['/srv/_shop/docker-compose.yml', 'shop'],
  ])('%s without a name belongs to project %s', async (path, project) => {
    expect((await parseComposeFile('services: { a: {} }', path)).project).toBe(project)
  })

  it.each([
    '',
    'a: [',
    'services: []',
    '- x',
    'services: { }',
    '\0',
    `a: &a [x]\nb: &b [${'*a,'.repeat(200)}]\nservices: {c: [${'*b,'.repeat(200)}]}`,
  ])('is refused by name: %.20j', async (text) => {
    await expect(parseComposeFile(text, '/srv/c.yaml')).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('/srv/c.yaml') as string,
    })
  })
})

describe('a compose project', () => {
  const all = [container('web'), container('api')]

  it.each<[string, ContainerFacts[], ComposeFile[], string[], string, string]>([
    [
      'that nobody asked about',
      [container('web', { state: 'exited', exitCode: 1 })],
      [],
      [],
      'ok',
      'compose project shop',
    ],
    ['that is whole', all, [shop({ web: 1, api: 1 })], [], 'ok', 'compose project shop'],
    [
      'with a finished job',
      [...all, container('job', { state: 'exited', restartPolicy: 'no' })],
      [],
      ['shop'],
      'ok',
      'compose project shop',
    ],
    [
      'with a service missing',
      all,
      [shop({ web: 1, api: 1, mail: 1 })],
      [],
      'critical',
      'compose project shop lacks mail',
    ],
    [
      'with a service down',
      [container('web'), container('api', { state: 'exited' })],
      [],
      ['shop'],
      'critical',
      'compose project shop lacks api',
    ],
    [
      'with an unhealthy service',
      [container('web', { health: { status: 'unhealthy', failingStreak: 3 } })],
      [],
      ['shop'],
      'critical',
      'compose project shop lacks web',
    ],
    [
      'with too few replicas',
      all,
      [shop({ web: 2, api: 1 })],
      [],
      'warning',
      'compose project shop has too few replicas',
    ],
    ['that was never started', [], [], ['shop'], 'critical', 'compose project shop is not here'],
    [
      'that runs under another name',
      all.map((one) => ({ ...one, project: 'prod' })),
      [shop({ web: 1, api: 1 })],
      [],
      'ok',
      'compose project prod',
    ],
    [
      'with a one-off run beside it',
      [...all, container('tool', { oneOff: true, state: 'exited', exitCode: 1 })],
      [],
      ['shop'],
      'ok',
      'compose project shop',
    ],
  ])('%s', (_, ...row) => {
    const [containers, files, projects, severity, title] = row
    expect(decideProjects(containers, { files, projects })).toMatchObject([
      { check: 'container.project', severity, title },
    ])
  })
})
