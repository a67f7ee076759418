/** `diagnose:` — what a healthy machine looks like here: thresholds, targets, services, health checks, databases. */
import { z } from 'zod'
import { databaseTls, duration, durations, name, path, port, secretRef, threshold } from './values.ts'

const thresholds = z
  .strictObject({
    load_per_core: threshold(1.5, 4, 'Load average of 5 minutes, divided by the number of cores'),
    cpu_busy_percent: threshold(90, 98, 'CPU time not idle'),
    cpu_iowait_percent: threshold(20, 50, 'CPU time spent waiting for disks'),
    cpu_steal_percent: threshold(10, 30, 'CPU time taken by other virtual machines'),
    pressure_percent: threshold(20, 50, 'PSI: time in which every task was stalled (CPU: some), average of 10 s'),
    memory_used_percent: threshold(90, 96, 'Memory that is not available'),
    swap_pages_per_second: threshold(100, 2000, 'Pages swapped in and out'),
    disk_used_percent: threshold(85, 95, 'Bytes used on a mount, as df counts'),
    inodes_used_percent: threshold(85, 95, 'Inodes used on a mount'),
    disk_busy_percent: threshold(90, 99, 'Time in which a disk had work'),
    disk_await_ms: threshold(50, 200, 'Mean time of a disk request, in milliseconds'),
    blocked_processes: threshold(3, 10, 'Processes in uninterruptible sleep'),
    zombie_processes: threshold(10, 100, 'Processes that nobody has waited for'),
    file_descriptors_percent: threshold(80, 95, 'Open files of the kernel limit'),
    conntrack_percent: threshold(80, 95, 'Entries of the connection tracking table'),
    tcp_retransmit_percent: threshold(3, 10, 'TCP segments sent again'),
    clock_offset_ms: threshold(100, 1000, 'Distance of the clock from its time server, in milliseconds'),
    log_errors: threshold(10, 1000, 'Errors of one source in 24 h'),
    certificate_days: threshold(21, 7, 'Days until a certificate ends; lower is worse'),
    nginx_5xx_percent: threshold(1, 5, 'Requests answered 5xx'),
    nginx_4xx_percent: threshold(20, 60, 'Requests answered 4xx'),
    nginx_p95_ms: threshold(2000, 10_000, '95th percentile of the answer time, in milliseconds'),
    nginx_errors: threshold(
      10,
      500,
      'Errors in the error log within nginx.recent, without those that clients alone cause',
    ),
    container_restarts: threshold(3, 10, 'Restarts of a container'),
    connections_percent: threshold(80, 95, 'Connections of a database against its limit'),
  })
  .prefault({})
  .meta({ description: 'Where each value starts to be a warning and a critical' })

const networkTarget = z.strictObject({
  name: name.optional().meta({ description: 'Shown in reports (default: the host)' }),
  host: z.string().min(1).meta({ description: 'An address or a name' }),
  port: port.optional().meta({ description: 'With a port: TCP as well as ICMP' }),
  probe: z.enum(['icmp', 'tcp', 'both']).optional().meta({
    description: 'Which answers are required (default: both where a port is given, else icmp)',
  }),
})

const certificate = z
  .union([
    z.strictObject({
      site: z.string().min(1).meta({ description: 'host or host:port that is asked for its certificate' }),
      server_name: z.string().optional().meta({ description: 'The name to ask for (SNI), when it is not the host' }),
      ca: path
        .optional()
        .meta({ description: 'PEM file of the authorities it must verify against, in place of the public ones' }),
    }),
    z.strictObject({
      file: path.meta({ description: 'A certificate in PEM; the whole chain may follow' }),
      key: path.optional().meta({ description: 'Its private key: checked to match' }),
    }),
  ])
  .meta({ description: 'A certificate that is watched: { site: host:port } or { file: path, key: path }' })

const httpCheck = z.strictObject({
  name: name.meta({ description: 'Shown in reports' }),
  url: z.url({ protocol: /^https?$/ }).meta({ description: 'http:// or https://' }),
  method: z.enum(['GET', 'HEAD', 'POST']).default('GET'),
  headers: z
    .record(z.string(), z.union([z.string(), secretRef]))
    .default({})
    .meta({ description: 'Sent with the request; a value may be a reference to a secret' }),
  status: z
    .array(z.int().min(100).max(599))
    .default([200])
    .meta({ description: 'Accepted status codes (default [200])' }),
  body: z.string().refine(isTextOrPattern, 'not a regular expression').optional().meta({
    description: 'Text that must be in the first 64 KiB of the body; /…/ is a regular expression',
  }),
  timeout: duration.prefault('3s').meta({ description: 'For the whole answer (default 3s)' }),
  latency: durations('1s', '3s', 'Time until the whole answer is there'),
  verify_tls: z.boolean().default(true).meta({
    description: 'false accepts a certificate that does not verify, and says so',
  }),
  ca: path
    .optional()
    .meta({ description: 'PEM file of the authorities it must verify against, in place of the public ones' }),
})

const database = z.strictObject({
  name: name.meta({ description: 'Shown in reports' }),
  type: z.enum(['mariadb', 'mysql', 'postgresql']),
  host: z.string().optional().meta({ description: 'Default: the local socket' }),
  port: port.optional().meta({ description: 'Default 3306 or 5432' }),
  socket: path.optional().meta({ description: 'A socket; for PostgreSQL its directory' }),
  user: z.string().optional().meta({ description: 'Needs no rights beyond reading the status' }),
  password: secretRef.optional(),
  database: z.string().optional().meta({ description: 'The database to connect to' }),
  ...databaseTls,
  role: z.enum(['primary', 'standby']).optional().meta({ description: 'Critical when the server has the other role' }),
  lag: durations('30s', '5m', 'How far a standby may be behind'),
  timeout: duration.prefault('3s').meta({ description: 'For connection and questions together (default 3s)' }),
})

const nginx = z
  .strictObject({
    binary: z.string().default('nginx').meta({ description: 'Program name or path' }),
    config: path.optional().meta({ description: 'The main configuration file, when it is not the built-in one' }),
    expected: z
      .boolean()
      .default(false)
      .meta({ description: 'true: nginx must run here; also true when units names it' }),
    error_log: path
      .optional()
      .meta({ description: 'Default: what its configuration names, else /var/log/nginx/error.log' }),
    access_log: path
      .optional()
      .meta({ description: 'Default: what its configuration names, else /var/log/nginx/access.log' }),
    recent: duration.prefault('15m').meta({ description: 'How far back the logs are read (default 15m)' }),
  })
  .prefault({})
  .meta({ description: 'Where nginx is; it is checked when it is installed' })

const expectedPort = z.strictObject({
  port,
  name: name.optional().meta({ description: 'Shown in reports' }),
  protocol: z.enum(['tcp', 'udp']).default('tcp'),
  loopback: z.boolean().default(false).meta({
    description: 'true: it must not be reachable from other machines',
  }),
})

export const diagnoseSection = z
  .strictObject({
    deadline: duration.prefault('5s').meta({ description: 'For the whole diagnosis of one host (default 5s)' }),
    check_timeout: duration.prefault('3s').meta({ description: 'For each check without its own (default 3s)' }),
    window: duration.prefault('250ms').meta({
      description: 'Over which CPU, disk, swap and network rates are measured (default 250ms)',
    }),
    thresholds,
    network: z
      .strictObject({
        targets: z.array(networkTarget).optional().meta({
          description: 'Machines that must answer (default: the gateway and the DNS resolvers of this machine)',
        }),
        resolve: z.array(z.string()).default([]).meta({ description: 'Names that must resolve' }),
        timeout: duration.prefault('2s').meta({ description: 'For one probe (default 2s)' }),
      })
      .prefault({})
      .meta({ description: 'What this machine must reach' }),
    nginx,
    units: z.array(z.string()).default([]).meta({ description: 'systemd units that must be active' }),
    ports: z.array(expectedPort).default([]).meta({ description: 'Ports that must be listening here' }),
    certificates: z.array(certificate).default([]).meta({ description: 'Certificates that must stay valid' }),
    containers: z
      .strictObject({
        socket: path.optional().meta({ description: 'Of the Docker engine (default: its usual place)' }),
        projects: z.array(z.string()).default([]).meta({
          description: 'Compose projects whose services must all be running',
        }),
        compose_files: z.array(path).default([]).meta({
          description: 'Compose files whose services are expected to exist',
        }),
      })
      .prefault({})
      .meta({ description: 'Docker; it is checked when it is there' }),
    http: z.array(httpCheck).default([]).meta({ description: 'Addresses that must answer' }),
    databases: z.array(database).default([]).meta({ description: 'Databases that must be reachable' }),
  })
  .prefault({})
  .meta({ description: 'What a healthy machine looks like here' })

export type DiagnoseConfig = z.output<typeof diagnoseSection>
export type Thresholds = DiagnoseConfig['thresholds']
export type Threshold = Thresholds['load_per_core']
export type NetworkTarget = z.output<typeof networkTarget>
export type HttpCheck = z.output<typeof httpCheck>
export type DatabaseCheck = z.output<typeof database>
export type CertificateCheck = z.output<typeof certificate>
export type ExpectedPort = z.output<typeof expectedPort>

/** Text, or `/…/flags` that is a regular expression. */
function isTextOrPattern(text: string): boolean {
  const pattern = /^\/(.+)\/([a-z]*)$/s.exec(text)
  try {
    return !pattern || new RegExp(pattern[1] ?? '', pattern[2]) instanceof RegExp
  } catch {
    return false
  }
}
