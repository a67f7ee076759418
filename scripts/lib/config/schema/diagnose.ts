/** `diagnose:` — what a healthy machine looks like here: thresholds, targets, services, health checks, databases. */
import { z } from 'zod'
import { duration, name, port, secretRef, threshold } from './values.ts'

const thresholds = z
  .strictObject({
    load_per_core: threshold(1.5, 4),
    cpu_busy_percent: threshold(90, 98),
    cpu_iowait_percent: threshold(20, 50),
    cpu_steal_percent: threshold(10, 30),
    /** PSI: share of time in which every task was stalled (`full`; `some` for CPU), average of 10 s. */
    pressure_percent: threshold(20, 50),
    memory_used_percent: threshold(90, 96),
    swap_pages_per_second: threshold(100, 2000),
    disk_used_percent: threshold(85, 95),
    inodes_used_percent: threshold(85, 95),
    disk_busy_percent: threshold(90, 99),
    disk_await_ms: threshold(50, 200),
    blocked_processes: threshold(3, 10),
    zombie_processes: threshold(10, 100),
    file_descriptors_percent: threshold(80, 95),
    conntrack_percent: threshold(80, 95),
    tcp_retransmit_percent: threshold(3, 10),
    clock_offset_ms: threshold(100, 1000),
    /** Errors of one source in 24 h. */
    log_errors: threshold(10, 1000),
    certificate_days: threshold(21, 7),
    nginx_5xx_percent: threshold(1, 5),
    nginx_4xx_percent: threshold(20, 60),
    nginx_p95_ms: threshold(2000, 10_000),
    container_restarts: threshold(3, 10),
    connections_percent: threshold(80, 95),
  })
  .prefault({})

const networkTarget = z.strictObject({
  name: name.optional(),
  host: z.string().min(1),
  /** With a port: TCP as well as ICMP. */
  port: port.optional(),
  /** Which answers are required; default both where a port is given, else ICMP. */
  probe: z.enum(['icmp', 'tcp', 'both']).optional(),
})

const certificate = z.union([
  z.strictObject({ site: z.string().min(1), server_name: z.string().optional() }),
  z.strictObject({ file: z.string().min(1), key: z.string().optional() }),
])

const httpCheck = z.strictObject({
  name: name,
  url: z.url({ protocol: /^https?$/ }),
  method: z.enum(['GET', 'HEAD', 'POST']).default('GET'),
  headers: z.record(z.string(), z.union([z.string(), secretRef])).default({}),
  /** Accepted status codes. */
  status: z.array(z.int().min(100).max(599)).default([200]),
  /** Text that must be in the first 64 KiB of the body; `/…/` is a regular expression. */
  body: z.string().optional(),
  timeout: duration.prefault('3s'),
  latency: z.strictObject({ warning: duration.prefault('1s'), critical: duration.prefault('3s') }).prefault({}),
  /** False accepts a certificate that does not verify (and says so). */
  verify_tls: z.boolean().default(true),
})

const database = z.strictObject({
  name: name,
  type: z.enum(['mariadb', 'mysql', 'postgresql']),
  host: z.string().optional(),
  port: port.optional(),
  socket: z.string().optional(),
  user: z.string().optional(),
  password: secretRef.optional(),
  database: z.string().optional(),
  role: z.enum(['primary', 'standby']).optional(),
  lag: z.strictObject({ warning: duration.prefault('30s'), critical: duration.prefault('5m') }).prefault({}),
  timeout: duration.prefault('3s'),
})

const nginx = z
  .strictObject({
    binary: z.string().default('nginx'),
    config: z.string().optional(),
    error_log: z.string().default('/var/log/nginx/error.log'),
    access_log: z.string().default('/var/log/nginx/access.log'),
    /** How far back the access and error logs are read. */
    recent: duration.prefault('15m'),
  })
  .prefault({})

const expectedPort = z.strictObject({
  port: port,
  name: name.optional(),
  protocol: z.enum(['tcp', 'udp']).default('tcp'),
  /** True: it must not be reachable from other machines (loopback only). */
  loopback: z.boolean().default(false),
})

export const diagnoseSection = z
  .strictObject({
    /** For the whole diagnosis of one host. */
    deadline: duration.prefault('5s'),
    /** For each check, unless the check has its own. */
    check_timeout: duration.prefault('3s'),
    /** Over which CPU, disk, swap and network rates are measured. */
    window: duration.prefault('250ms'),
    thresholds,
    network: z
      .strictObject({
        /** Absent: the default gateway and the DNS resolvers of this machine. */
        targets: z.array(networkTarget).optional(),
        resolve: z.array(z.string()).default([]),
        timeout: duration.prefault('2s'),
      })
      .prefault({}),
    nginx,
    units: z.array(z.string()).default([]),
    ports: z.array(expectedPort).default([]),
    certificates: z.array(certificate).default([]),
    containers: z
      .strictObject({
        socket: z.string().optional(),
        /** Compose projects whose services must all be running. */
        projects: z.array(z.string()).default([]),
        /** A compose file whose services are expected to exist. */
        compose_files: z.array(z.string()).default([]),
      })
      .prefault({}),
    http: z.array(httpCheck).default([]),
    databases: z.array(database).default([]),
  })
  .prefault({})

export type DiagnoseConfig = z.output<typeof diagnoseSection>
export type Thresholds = DiagnoseConfig['thresholds']
export type Threshold = Thresholds['load_per_core']
export type NetworkTarget = z.output<typeof networkTarget>
export type HttpCheck = z.output<typeof httpCheck>
export type DatabaseCheck = z.output<typeof database>
export type CertificateCheck = z.output<typeof certificate>
export type ExpectedPort = z.output<typeof expectedPort>
