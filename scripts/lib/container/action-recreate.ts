/**
 * `container.recreate`: a container is made anew with the settings it has, from the image that its name leads to now or from
 * another one. The old one is kept under another name; when the new one is not well in time, it is back in its place.
 */
import { z } from 'zod'
import type { ActionContext, ChangeAction } from '../action/types.ts'
import { imageName } from '../config/schema/values.ts'
import { OpsError } from '../core/errors.ts'
import { findContainer } from '../host/container/find.ts'
import { openDocker, statusOf, type Docker } from '../host/container/docker.ts'
import { raceAbort } from '../host/deadline.ts'
import type { Step } from '../plan/types.ts'
import { decideRecreation, nameOf, type ImageConfig, type Recreation } from './config.ts'
import { common, goneName, keptName, leaseOf, limitsOf, waitingName } from './params.ts'
import { asking, planCome, planLeave, readContainer, type Swapping } from './swap.ts'

const params = z.strictObject({
  ...common,
  image: imageName
    .optional()
    .meta({ description: 'An image that is on the host (default: what the name of its image leads to now)' }),
  keep: z
    .boolean()
    .default(true)
    .meta({ description: 'Keep the old one, stopped, as NAME-before; else it is removed once the new one is well' }),
})

export type RecreateParams = z.output<typeof params>

export const recreateAction: ChangeAction<RecreateParams> = {
  name: 'container.recreate',
  summary: 'Makes a container anew, with its settings, from the current image or another; undone unless it is well',
  changes: true,
  params,
  lease: leaseOf,
  plan: async (context, given) => {
    const { hosts, signal } = context
    const docker = await openDocker(await hosts.open(given.host, { signal }), { signal })
    return asking(given, () => planRecreation(context, given, docker))
  },
}

async function planRecreation(context: ActionContext, given: RecreateParams, docker: Docker) {
  const { host, stop_within_ms: stopWithinMs } = given
  const { signal } = context
  const old = await docker.getContainer(await findOld(docker, given, signal)).inspect({ abortSignal: signal })
  const name = nameOf(old)
  const image = given.image ?? old.Config.Image
  const current = await readImage(docker, image, signal)
  if (!current) throw missingImage(image, host)
  const recreation = decideRecreation(old, { image, from: (await readImage(docker, old.Image, signal))?.Config })
  const swapping: Swapping = { context, docker, host, limits: limitsOf(given), stopWithinMs }
  const made: Made = { id: '' }
  const same = current.Id === old.Image ? 'the image that it runs' : `another image than it runs`
  const leftovers = await leftoversOf(docker, name, signal)
  return {
    title: `Make ${name} anew from ${image}`,
    because: given.keep ? `it was asked for; the old one is kept as ${keptName(name)}` : 'it was asked for',
    steps: [
      planCreate(swapping, {
        name,
        recreation,
        made,
        leftovers,
        preview: `${image}: ${same}\n${describe(old, recreation)}`,
      }),
      planLeave(swapping, { container: old, keptAs: keptName(name) }),
      planCome(swapping, { id: () => made.id, name, waitsAs: waitingName(name), restart: undefined }),
      ...(given.keep ? [] : [planRemove(swapping, old, keptName(name))]),
    ],
  }
}

interface Made {
  id: string
}

interface Creating {
  readonly name: string
  readonly recreation: Recreation
  readonly made: Made
  readonly leftovers: readonly Docker.ContainerInspectInfo[]
  readonly preview: string
}

function planCreate(swapping: Swapping, { name, recreation, made, leftovers, preview }: Creating): Step {
  const { docker, host } = swapping
  const { body, networks } = recreation
  const removing = leftovers.length === 0 ? '' : `; remove ${leftovers.map(nameOf).join(', ')} of an earlier time`
  return {
    on: host,
    title: `Create the new ${name}${removing}`,
    preview,
    apply: (_host, signal) =>
      asking(swapping, async () => {
        for (const { Id } of leftovers) await docker.getContainer(Id).remove({ v: false, abortSignal: signal })
        const [first, ...others] = networks
        const endpoints = first && { NetworkingConfig: { EndpointsConfig: { [first.name]: first.endpoint } } }
        const fresh = await docker.createContainer({
          ...body,
          ...endpoints,
          name: waitingName(name),
          abortSignal: signal,
        })
        made.id = fresh.id
        for (const { name: network, endpoint } of others) {
          await docker.getNetwork(network).connect({ Container: fresh.id, EndpointConfig: endpoint })
        }
      }),
    undo: (_host, signal) =>
      asking(swapping, async () => {
        const fresh = await readContainer(docker, waitingName(name), signal)
        if (fresh) await docker.getContainer(fresh.Id).remove({ force: true, v: false, abortSignal: signal })
      }),
  }
}

function planRemove(swapping: Swapping, { Id }: Docker.ContainerInspectInfo, keptAs: string): Step {
  return {
    on: swapping.host,
    title: `Remove ${keptAs}`,
    apply: (_host, signal) =>
      asking(swapping, () => swapping.docker.getContainer(Id).remove({ v: false, abortSignal: signal })),
  }
}

async function findOld(docker: Docker, { container, host }: RecreateParams, signal: AbortSignal): Promise<string> {
  try {
    return await findContainer(docker, container, host)
  } catch (error) {
    const kept = await readContainer(docker, keptName(container), signal)
    if (!kept) throw error
    throw new OpsError('FAILED', `there is no container ${container} on ${host}, but ${keptName(container)} is kept`, {
      host,
      hint: 'Bring it back first: container.restore.',
      cause: error,
    })
  }
}

/** Of an earlier time. @throws OpsError FAILED when one of them runs */
async function leftoversOf(docker: Docker, name: string, signal: AbortSignal) {
  const found = await Promise.all(
    [keptName(name), waitingName(name), goneName(name)].map((one) => readContainer(docker, one, signal)),
  )
  const there = found.filter((one) => one !== undefined)
  const running = there.find(({ State }) => State.Running)
  if (!running) return there
  throw new OpsError('FAILED', `${nameOf(running)} is in the way, and it runs`, {
    hint: `Look what it is; then stop it, or rename it: docker rename ${nameOf(running)} NAME`,
  })
}

async function readImage(docker: Docker, image: string, signal: AbortSignal) {
  try {
    const found = await raceAbort(docker.getImage(image).inspect(), signal)
    return { Id: found.Id, Config: found.Config as ImageConfig }
  } catch (error) {
    if (statusOf(error) === 404) return undefined
    throw error
  }
}

function missingImage(image: string, host: string): OpsError {
  return new OpsError('FAILED', `the image ${image} is not on ${host}`, {
    host,
    hint: `Fetch it there first: docker pull ${image}`,
  })
}

/** For `--dry-run`. Values of its environment may be secrets: they are counted. */
function describe(old: Docker.ContainerInspectInfo, { body, networks }: Recreation): string {
  const { HostConfig } = old
  const list = (items: readonly string[]) => items.join(', ') || 'none'
  const joined = networks.length > 0 ? networks.map(({ name }) => name) : [HostConfig.NetworkMode ?? 'default']
  return [
    `environment: ${body.Env?.length ?? 0} variables of its own`,
    `ports: ${list(Object.keys((HostConfig.PortBindings as object | null) ?? {}))}`,
    `volumes: ${list(old.Mounts.map(({ Destination }) => Destination))}`,
    `networks: ${list(joined)}`,
    `restart: ${HostConfig.RestartPolicy?.Name || 'no'}`,
  ].join('\n')
}
