/** Which container a name in the config means: a name or id, `project/service`, or the service of one compose project. */
import type Dockerode from 'dockerode'
import { OpsError } from '../../core/errors.ts'
import { nearestName } from '../../core/nearest.ts'
import { engineError, statusOf } from './docker.ts'

/** @throws OpsError UNREACHABLE (no such container, with the nearest name), USAGE (the name means several) */
export async function findContainer(docker: Dockerode, wanted: string, host: string): Promise<string> {
  try {
    return (await docker.getContainer(encodeURIComponent(wanted)).inspect()).Id
  } catch (error) {
    if (statusOf(error) !== 404) throw engineError(error, host)
  }
  const all = await docker
    .listContainers({ all: true })
    .catch((error: unknown) => Promise.reject(engineError(error, host)))
  return decideContainer(all, wanted, host)
}

type Listed = Pick<Dockerode.ContainerInfo, 'Id' | 'Names' | 'Labels' | 'State'>

export function decideContainer(all: readonly Listed[], wanted: string, host: string): string {
  const matching = all.filter(({ Labels }) => serviceNames(Labels).includes(wanted))
  // A stopped one left over from an older run does not count beside one that runs.
  const running = matching.filter(({ State }) => State === 'running')
  const [only, ...others] = running.length > 0 ? running : matching
  if (only && others.length === 0) return only.Id
  if (only) {
    const names = [only, ...others].map(nameOf).sort().join(', ')
    throw new OpsError('USAGE', `"${wanted}" means ${others.length + 1} containers on ${host}: ${names}`, {
      host,
      hint: 'Name one of them.',
    })
  }
  const near = nearestName(
    wanted,
    all.flatMap((each) => [nameOf(each), ...serviceNames(each.Labels)]),
  )
  throw new OpsError('UNREACHABLE', `there is no container "${wanted}" on ${host}`, {
    host,
    hint: near === undefined ? 'See what runs there: docker ps -a' : `Did you mean "${near}"?`,
  })
}

function serviceNames(labels: Readonly<Record<string, string>>): string[] {
  const [project, service] = [labels['com.docker.compose.project'], labels['com.docker.compose.service']]
  return service === undefined ? [] : project === undefined ? [service] : [service, `${project}/${service}`]
}

function nameOf({ Names, Id }: Listed): string {
  return Names[0]?.replace(/^\//, '') ?? Id.slice(0, 12)
}
