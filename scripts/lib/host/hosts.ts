/** Hosts by the names of the config: each opened at most once, whoever asks, and all closed together. */
import type { Config } from '../config/types.ts'
import type { HostConfig, SshHostConfig } from '../config/schema/hosts.ts'
import type { SecretRef } from '../config/schema/values.ts'
import { OpsError } from '../core/errors.ts'
import { nearestName } from '../core/nearest.ts'
import type { Secret } from '../core/secret.ts'
import { raceAbort } from './deadline.ts'
import { openLocalHost } from './local.ts'
import type { Connections } from './ssh/host.ts'
import type { SshSettings } from './ssh/target.ts'
import type { Host, Hosts } from './types.ts'

export interface HostsOptions {
  readonly config: Pick<Config, 'hosts' | 'name'>
  readonly resolveSecret: (ref: SecretRef) => Promise<Secret>
  /** In place of ~/.ssh/config and /etc/ssh/ssh_config. */
  readonly sshConfigPath?: string | undefined
  /** The engine's socket on the hosts of containers. Default: see openDocker. */
  readonly dockerSocket?: string | undefined
  readonly redact?: ((text: string) => string) | undefined
}

export function createHosts(options: HostsOptions): Hosts {
  const { config, resolveSecret, sshConfigPath, redact } = options
  const opened = new Map<string, Promise<Host>>()
  const never = new AbortController()
  let connections: Promise<Connections> | undefined
  let closed = false

  const open = (name: string, trail: readonly string[]): Promise<Host> => {
    const existing = opened.get(name)
    if (existing) return existing
    const opening = start(name, trail)
    opened.set(name, opening)
    // A host that could not be opened may be tried again.
    opening.catch(() => opened.delete(name))
    return opening
  }

  async function start(name: string, trail: readonly string[]): Promise<Host> {
    if (isLocal(name)) return openLocalHost({ name, redact })
    const host = config.hosts[name]
    if (!host) throw unknownHost(name)
    return 'ssh' in host ? openSsh(name, host) : openContainer(name, host, trail)
  }

  async function openSsh(name: string, host: Extract<HostConfig, { ssh: unknown }>): Promise<Host> {
    const { createConnections, sshMachine } = await import('./ssh/host.ts')
    connections ??= Promise.resolve(createConnections({ sshConfigPath, settingsOf }))
    const connection = await (await connections).open(name, await sshSettings(host.ssh, resolveSecret))
    await connection.ready(never.signal)
    return sshMachine(connection, { name, sudo: host.sudo, redact, close: () => connection.close() })
  }

  async function settingsOf(name: string): Promise<SshSettings | undefined> {
    const host = config.hosts[name]
    return host && 'ssh' in host ? sshSettings(host.ssh, resolveSecret) : undefined
  }

  async function openContainer(
    name: string,
    { container, sudo }: Extract<HostConfig, { container: unknown }>,
    trail: readonly string[],
  ): Promise<Host> {
    const on = container.on ?? 'localhost'
    if ([...trail, name].includes(on)) {
      throw new OpsError(
        'CONFIG_INVALID',
        `the container host ${name} runs on itself: ${[...trail, name, on].join(' -> ')}`,
      )
    }
    const { openContainerHost } = await import('./container/host.ts')
    return openContainerHost({
      ...{ name, container: container.name, user: container.user, sudo, redact },
      on: await open(on, [...trail, name]),
      socketPath: options.dockerSocket,
    })
  }

  const isLocal = (name: string) => name === 'localhost' || (name === config.name && !(name in config.hosts))

  function unknownHost(name: string): OpsError {
    const known = Object.keys(config.hosts)
    const near = nearestName(name, ['localhost', ...known])
    const all = known.length > 0 ? `Known: localhost, ${known.join(', ')}.` : 'The config names no hosts.'
    return new OpsError('USAGE', `there is no host "${name}"`, { hint: near ? `Did you mean "${near}"? ${all}` : all })
  }

  return {
    names: () => Object.keys(config.hosts),
    async open(name, { signal } = {}) {
      if (closed) throw new OpsError('FAILED', 'the hosts are closed')
      const opening = open(name, [])
      return signal ? raceAbort(opening, signal) : opening
    },
    async close() {
      closed = true
      const hosts = await Promise.allSettled(opened.values())
      const live = hosts.flatMap((host) => (host.status === 'fulfilled' ? [host.value] : []))
      // Containers first: they stand on the others.
      for (const kinds of [['container'], ['ssh', 'local']]) {
        await Promise.all(live.filter(({ kind }) => kinds.includes(kind)).map((host) => host.close()))
      }
      await (await connections)?.close()
    },
  }
}

async function sshSettings(ssh: SshHostConfig, resolveSecret: HostsOptions['resolveSecret']): Promise<SshSettings> {
  const resolve = async (ref: SecretRef | undefined) => (ref === undefined ? undefined : resolveSecret(ref))
  const [passphrase, password] = await Promise.all([resolve(ssh.passphrase), resolve(ssh.password)])
  return {
    host: ssh.host,
    port: ssh.port,
    user: ssh.user,
    identityFile: ssh.identity_file,
    passphrase,
    password,
    proxyJump: ssh.proxy_jump,
    knownHosts: ssh.known_hosts,
    agent: ssh.agent,
    connectTimeoutMs: ssh.connect_timeout,
    keepAliveMs: ssh.keep_alive,
  }
}
