import { describe, expect, it } from 'vitest'
import { decideRecreation, REPLACES } from '../../scripts/lib/container/config.ts'
import { decideReady, waitUntilReady, type State } from '../../scripts/lib/container/ready.ts'
import { createManualClock } from '../../scripts/lib/core/clock.ts'
import type { Docker } from '../../scripts/lib/host/container/docker.ts'

type Inspected = Docker.ContainerInspectInfo

const ID = '0123456789ab'.padEnd(64, '0')
const IMAGE = { Cmd: ['serve'], Entrypoint: ['/run'], Env: ['PATH=/bin', 'MODE=plain'], User: '', Labels: { by: 'us' } }

function container(
  change: { Config?: object; HostConfig?: object; Networks?: object; Mounts?: object[] } = {},
): Inspected {
  return {
    ...{ Id: ID, Name: '/web', Image: 'sha256:old', Mounts: change.Mounts ?? [] },
    Config: { Image: 'web:1', Hostname: ID.slice(0, 12), ...IMAGE, ...change.Config },
    HostConfig: { NetworkMode: 'default', RestartPolicy: { Name: 'always' }, ...change.HostConfig },
    NetworkSettings: { Networks: change.Networks ?? {} },
  } as unknown as Inspected
}

const recreate = (old: Inspected) => decideRecreation(old, { image: 'web:2', from: IMAGE })

describe('a container that is made anew', () => {
  it('leaves to its image what it had from there', () => {
    const { body } = recreate(container())
    expect(body).toMatchObject({ Image: 'web:2', Env: [], Labels: { [REPLACES]: ID } })
    for (const key of ['Cmd', 'Entrypoint', 'User', 'Hostname']) expect(body).not.toHaveProperty(key)
  })

  it('keeps what was set by hand', () => {
    const own = { Cmd: ['other'], Env: ['PATH=/bin', 'MODE=fancy'], Hostname: 'web', Labels: { by: 'me', team: 'a' } }
    expect(recreate(container({ Config: own })).body).toMatchObject({
      ...{ Cmd: ['other'], Env: ['MODE=fancy'], Hostname: 'web' },
      ...{ Labels: { by: 'me', team: 'a' }, HostConfig: { RestartPolicy: { Name: 'always' } } },
    })
    // The command of an entrypoint that was given, the same as the image's by chance.
    expect(recreate(container({ Config: { Entrypoint: ['/mine'] } })).body).toMatchObject({ Cmd: ['serve'] })
  })

  it('keeps everything when its old image is gone', () => {
    const { body } = decideRecreation(container(), { image: 'web:2', from: undefined })
    expect(body).toMatchObject({ Cmd: ['serve'], Env: IMAGE.Env, Entrypoint: ['/run'] })
  })

  it('keeps the data of volumes that nobody named', () => {
    const volume = { Type: 'volume', Name: 'f00', Destination: '/data', RW: true }
    const named = { ...volume, Name: 'db', Destination: '/db' }
    const old = container({
      Mounts: [volume, { ...volume, Destination: '/ro', RW: false }, named],
      HostConfig: { Binds: ['db:/db'] },
    })
    expect(recreate(old).body.HostConfig?.Binds).toEqual(['db:/db', 'f00:/data', 'f00:/ro:ro'])
  })

  it('joins the networks that somebody made, and asks for no address that the engine chose', () => {
    const joined = { Aliases: ['till', ID.slice(0, 12)], IPAddress: '192.0.2.7', EndpointID: 'e', IPAMConfig: null }
    const { networks } = recreate(container({ Networks: { inside: joined, bridge: joined } }))
    expect(networks).toEqual([{ name: 'inside', endpoint: { Aliases: ['till'], IPAMConfig: null, Links: undefined } }])
  })

  it('is refused when the old one would vanish', () => {
    expect(() => recreate(container({ HostConfig: { AutoRemove: true } }))).toThrow('web removes itself when it stops')
  })
})

const RUNNING: State = { Status: 'running', Running: true, Restarting: false, ExitCode: 0, StartedAt: 'then' }
const LIMITS = { healthyWithinMs: 9_000, runningForMs: 5_000 }
const health = (Status: string) => ({ ...RUNNING, Health: { Status, Log: [{ Output: 'first\nno answer' }] } })

describe('a container is ready', () => {
  it.each<[string, State, number, string, string]>([
    ['its check says healthy', health('healthy'), 0, 'ready', 'its health check says healthy'],
    ['its check does not yet', health('starting'), 99_000, 'not-yet', 'its health check says starting (no answer)'],
    [
      'its check says unhealthy: it may get well',
      health('unhealthy'),
      0,
      'not-yet',
      'its health check says unhealthy (no answer)',
    ],
    ['it has no check and runs', RUNNING, 5_000, 'ready', 'it has been running for 5 s'],
    ['it has no check and began just now', RUNNING, 4_999, 'not-yet', 'it has been running for 4 s only'],
    [
      'it restarts',
      { ...RUNNING, Restarting: true, ExitCode: 3 },
      9_000,
      'not-yet',
      'it ended with 3 and is being restarted',
    ],
    [
      'it has ended',
      { ...RUNNING, Running: false, Status: 'exited', ExitCode: 3 },
      0,
      'over',
      'it is exited (exit code 3)',
    ],
  ])('or not: %s', (_name, state, ranMs, is, because) =>
    expect(decideReady(state, ranMs, LIMITS)).toEqual({ is, because }),
  )

  it('is waited for, and a restart begins the time anew', async () => {
    const clock = createManualClock()
    let looks = 0
    const read = () => {
      looks += 1
      setImmediate(() => void clock.advance(500))
      return Promise.resolve({ ...RUNNING, StartedAt: looks < 8 ? 'then' : 'again' })
    }
    const tools = { clock, signal: new AbortController().signal }
    await expect(waitUntilReady(read, LIMITS, tools)).resolves.toBe('it has been running for 5 s')
    expect(looks).toBe(18)
  })
})
