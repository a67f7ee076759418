/** `hosts:` — the machines and containers opskit may reach, by the names operators use. */
import { z } from 'zod'
import { duration, name, port, secretRef } from './values.ts'

const sshHost = z
  .strictObject({
    /** An address, or an alias of `~/.ssh/config`; the alias's settings apply where this section is silent. */
    host: z.string().min(1),
    port: port.optional(),
    user: z.string().min(1).optional(),
    identity_file: z.string().optional(),
    passphrase: secretRef.optional(),
    password: secretRef.optional(),
    /** Names of hosts or `user@host:port`, first hop first; `none` turns an inherited one off. */
    proxy_jump: z.string().optional(),
    known_hosts: z.string().optional(),
    agent: z.boolean().optional(),
    connect_timeout: duration.prefault('5s'),
    keep_alive: duration.prefault('15s'),
  })
  .meta({ description: 'Reached over SSH; ~/.ssh/config aliases, agent, ProxyJump and known_hosts apply' })

const containerHost = z
  .strictObject({
    /** Container name or id, or `service` of a compose `project`. */
    name: z.string().min(1),
    /** The host whose Docker engine runs it; this machine when absent. */
    on: name.optional(),
    user: z.string().optional(),
  })
  .meta({ description: 'A container, reached through its Docker engine' })

const common = {
  /** What it is to the fleet: `primary`, `standby`, `web`. */
  roles: z.array(z.string()).default([]),
  /** Run commands through `sudo -n`. */
  sudo: z.boolean().default(false),
}

export const hostsSection = z.record(
  name,
  z.union([z.strictObject({ ssh: sshHost, ...common }), z.strictObject({ container: containerHost, ...common })]),
)

export type HostConfig = z.output<typeof hostsSection>[string]
export type SshHostConfig = z.output<typeof sshHost>
export type ContainerHostConfig = z.output<typeof containerHost>
