/** `container.restore`: the container that `container.recreate` has kept comes back to its place; the newer one is kept. */
import { z } from 'zod'
import type { ActionContext, ChangeAction } from '../action/types.ts'
import { OpsError } from '../core/errors.ts'
import { openDocker, type Docker } from '../host/container/docker.ts'
import { REPLACES } from './config.ts'
import { common, goneName, keptName, leaseOf, limitsOf, waitingName, type CommonParams } from './params.ts'
import { asking, planCome, planLeave, readContainer, type Swapping } from './swap.ts'

const params = z.strictObject(common)

export const restoreAction: ChangeAction<CommonParams> = {
  name: 'container.restore',
  summary: 'Brings back the container that container.recreate has kept',
  changes: true,
  params,
  lease: leaseOf,
  plan: async (context, given) => {
    const { hosts, signal } = context
    const docker = await openDocker(await hosts.open(given.host, { signal }), { signal })
    return asking(given, () => planReturn(context, given, docker))
  },
}

async function planReturn(context: ActionContext, given: CommonParams, docker: Docker) {
  const { container: name, host, stop_within_ms: stopWithinMs } = given
  const { signal } = context
  const after = goneName(name)
  const [kept, newer, waiting, inTheWay] = await Promise.all(
    [keptName(name), name, waitingName(name), after].map((one) => readContainer(docker, one, signal)),
  )
  const title = `Bring ${keptName(name)} back as ${name}`
  if (!kept)
    return { title, because: `nothing is kept as ${keptName(name)}: there is nothing to bring back`, steps: [] }
  refuseStranger({ kept, newer, name, host })
  const swapping: Swapping = { context, docker, host, limits: limitsOf(given), stopWithinMs }
  // What is kept has lost its own: the engine must not start it. A run that was killed may have left the new one waiting.
  const restart = (newer ?? waiting)?.HostConfig.RestartPolicy
  if (inTheWay) {
    throw new OpsError('FAILED', `${after} is there already, left by an earlier time`, {
      host,
      hint: `Look at it, then: docker rm ${after}`,
    })
  }
  return {
    title,
    because: newer ? `it was asked for; the newer one is kept as ${after}` : 'it was asked for',
    steps: [
      ...(newer ? [planLeave(swapping, { container: newer, keptAs: after })] : []),
      planCome(swapping, { id: () => kept.Id, name, waitsAs: keptName(name), restart }),
    ],
  }
}

interface Pair {
  readonly kept: Docker.ContainerInspectInfo
  readonly newer: Docker.ContainerInspectInfo | undefined
  readonly name: string
  readonly host: string
}

/** Only what took its place gives it back: a container of that name may have come from elsewhere since. */
function refuseStranger({ kept, newer, name, host }: Pair): void {
  if (!newer || newer.Config.Labels?.[REPLACES] === kept.Id) return
  throw new OpsError('FAILED', `${name} on ${host} was not made in place of ${keptName(name)}: it is left alone`, {
    host,
    hint: 'Look at both with docker inspect, and rename them by hand.',
  })
}
