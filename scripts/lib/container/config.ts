/**
 * What a container is made of, so that one like it can be made from another image. What it had from its image is left to
 * the new image, what its operator set is kept. Pure. Fields: Docker Engine API 1.41, ContainerInspect and ContainerCreate.
 */
import { isDeepStrictEqual } from 'node:util'
import { OpsError } from '../core/errors.ts'
import type { Docker } from '../host/container/docker.ts'

/** Of `docker image inspect`; undefined: that image is gone, and everything is kept as it is. */
export type ImageConfig = Partial<Docker.ContainerInspectInfo['Config']> | undefined

export interface Recreation {
  /** The body of ContainerCreate. */
  readonly body: Docker.ContainerCreateOptions
  /** Joined before it starts: an engine before API 1.44 takes one network at creation. */
  readonly networks: readonly { readonly name: string; readonly endpoint: Docker.EndpointSettings }[]
}

/** Says which container took whose place: the id of the one before. */
export const REPLACES = 'opskit.replaces'

/** Of the image, unless they were given at the start. */
const INHERITED = ['Cmd', 'Entrypoint', 'WorkingDir', 'User', 'Healthcheck', 'StopSignal', 'Shell', 'OnBuild'] as const
const BUILT_IN_NETWORKS = ['host', 'none', 'bridge', 'default', 'nat']

/** @throws OpsError FAILED for a container to which there is no way back once it is stopped */
export function decideRecreation(
  old: Docker.ContainerInspectInfo,
  { image, from }: { readonly image: string; readonly from: ImageConfig },
): Recreation {
  if (old.HostConfig.AutoRemove) {
    throw new OpsError('FAILED', `${nameOf(old)} removes itself when it stops (--rm): there would be no way back`, {
      hint: 'Start it without --rm once, by hand.',
    })
  }
  const networks = ownNetworks(old)
  return {
    body: {
      ...configOf(old, from),
      Image: image,
      HostConfig: { ...old.HostConfig, Binds: [...(old.HostConfig.Binds ?? []), ...unnamedVolumes(old)] },
    },
    networks,
  }
}

/** `web`, not `/web`. */
export function nameOf({ Name }: Pick<Docker.ContainerInspectInfo, 'Name'>): string {
  return Name.replace(/^\//, '')
}

type Config = Docker.ContainerInspectInfo['Config']

function configOf(old: Docker.ContainerInspectInfo, from: ImageConfig): Docker.ContainerCreateOptions {
  const config: Record<string, unknown> = { ...old.Config }
  // A command that was given belongs to the entrypoint that was given.
  const isOwnEntrypoint = from !== undefined && !isDeepStrictEqual(old.Config.Entrypoint, from.Entrypoint)
  for (const key of INHERITED) {
    const same =
      from !== undefined && isDeepStrictEqual(config[key] ?? null, (from as Record<string, unknown>)[key] ?? null)
    if (same && !(key === 'Cmd' && isOwnEntrypoint)) delete config[key]
  }
  if (!hasOwnHostname(old)) delete config['Hostname']
  return {
    ...(config as Docker.ContainerCreateOptions),
    Env: (old.Config.Env ?? []).filter((line) => !(from?.Env ?? []).includes(line)),
    Labels: { ...without(old.Config.Labels, from?.Labels), [REPLACES]: old.Id },
    Volumes: without(old.Config.Volumes, from?.Volumes),
    ExposedPorts: without(old.Config.ExposedPorts, from?.ExposedPorts),
  }
}

/** The engine names a container after its id, and one on the host's network after the host. */
function hasOwnHostname({ Config, Id, HostConfig }: Docker.ContainerInspectInfo): boolean {
  const mode = HostConfig.NetworkMode ?? ''
  return Config.Hostname !== Id.slice(0, 12) && mode !== 'host' && !mode.startsWith('container:')
}

function without<T>(
  all: Readonly<Record<string, T>> | null | undefined,
  some: Config['Labels'] | object | null | undefined,
) {
  const inherited = (some ?? {}) as Record<string, unknown>
  return Object.fromEntries(
    Object.entries(all ?? {}).filter(
      ([key, value]) =>
        key !== REPLACES && !(Object.hasOwn(inherited, key) && isDeepStrictEqual(inherited[key], value)),
    ),
  )
}

/** Volumes that the image asked for have a name that nobody gave: without it, the new container would begin empty. */
function unnamedVolumes({ Mounts, HostConfig }: Docker.ContainerInspectInfo): string[] {
  const named = [
    ...(HostConfig.Binds ?? []).map((bind) => bind.split(':')[1] ?? ''),
    ...(HostConfig.Mounts ?? []).map(({ Target }) => Target),
  ]
  return Mounts.filter(({ Type, Name, Destination }) => Type === 'volume' && Name && !named.includes(Destination)).map(
    ({ Name, Destination, RW }) => `${Name}:${Destination}${RW ? '' : ':ro'}`,
  )
}

type Asked = { readonly IPAMConfig?: unknown; readonly Links?: unknown; readonly Aliases?: readonly string[] | null }

/** Networks that somebody made, with what was asked for there; what the engine chose itself it chooses anew. */
function ownNetworks({ NetworkSettings, Id, HostConfig }: Docker.ContainerInspectInfo): Recreation['networks'] {
  if ((HostConfig.NetworkMode ?? '').startsWith('container:')) return []
  return Object.entries(NetworkSettings.Networks)
    .filter(([name]) => !BUILT_IN_NETWORKS.includes(name))
    .map(([name, joined]) => {
      const { IPAMConfig, Links, Aliases } = joined as unknown as Asked
      const aliases = (Aliases ?? []).filter((alias) => alias !== Id.slice(0, 12))
      return { name, endpoint: { IPAMConfig, Links, Aliases: aliases } as Docker.EndpointSettings }
    })
}
