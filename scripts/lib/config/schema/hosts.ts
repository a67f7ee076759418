/** `hosts:` — the machines and containers opskit may reach, by the names operators use. */
import { z } from 'zod'
import { nearestName } from '../../core/nearest.ts'
import { duration, name, path, port, secretRef } from './values.ts'

const sshHost = z
  .strictObject({
    host: z.string().min(1).meta({
      description: 'An address, or an alias of ~/.ssh/config; its settings apply where this section is silent',
    }),
    port: port.optional().meta({ description: 'Default 22' }),
    user: z.string().min(1).optional().meta({ description: 'Default: the user who runs opskit' }),
    identity_file: path
      .optional()
      .meta({ description: 'A private key; without it the agent and the usual keys are tried' }),
    passphrase: secretRef.optional().meta({ description: 'Of the private key: { env: NAME } or { file: path }' }),
    password: secretRef
      .optional()
      .meta({ description: 'Of the user: { env: NAME } or { file: path }. A key is better' }),
    proxy_jump: z.string().optional().meta({
      description:
        'Names of hosts here, or user@host:port, first hop first, with commas; none turns an inherited one off',
    }),
    known_hosts: path.optional().meta({ description: 'Default ~/.ssh/known_hosts. A changed key is refused' }),
    agent: z.boolean().optional().meta({ description: 'false: do not ask the SSH agent' }),
    connect_timeout: duration
      .optional()
      .meta({ description: 'TCP, handshake and log-in together (default: ConnectTimeout of ~/.ssh/config, else 5s)' }),
    keep_alive: duration.optional().meta({
      description:
        'Three unanswered in a row end the connection (default: ServerAliveInterval of ~/.ssh/config, else 15s)',
    }),
  })
  .meta({ description: 'Reached over SSH; ~/.ssh/config aliases, agent, ProxyJump and known_hosts apply' })

const containerHost = z
  .strictObject({
    name: z.string().min(1).meta({ description: 'Container name or id' }),
    on: name.optional().meta({ description: 'The host whose Docker engine runs it; this machine when absent' }),
    user: z.string().optional().meta({ description: 'The user inside the container' }),
  })
  .meta({ description: 'A container, reached through its Docker engine' })

const common = {
  roles: z.array(z.string()).default([]).meta({ description: 'What it is to the fleet: primary, standby, web' }),
  sudo: z.boolean().default(false).meta({ description: 'Run commands through sudo -n' }),
}

export const hostsSection = z
  .record(
    name,
    z.union([z.strictObject({ ssh: sshHost, ...common }), z.strictObject({ container: containerHost, ...common })]),
  )
  .superRefine((hosts, ctx) => {
    for (const [host, config] of Object.entries(hosts)) {
      const on = 'container' in config ? config.container.on : undefined
      if (on === undefined || (on in hosts && on !== host)) continue
      const near = nearestName(
        on,
        Object.keys(hosts).filter((other) => other !== host),
      )
      const message = `no other host is named "${on}"${near === undefined ? '' : `; did you mean "${near}"?`}`
      ctx.addIssue({ code: 'custom', path: [host, 'container', 'on'], message })
    }
  })
  .meta({ description: 'The machines and containers opskit may reach, by the names operators use' })

export type HostConfig = z.output<typeof hostsSection>[string]
export type SshHostConfig = z.output<typeof sshHost>
export type ContainerHostConfig = z.output<typeof containerHost>
