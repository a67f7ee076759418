/**
 * Which runbook a finding leads to, and what it must be told: a table from the name of a check to an id of runbooks/ and
 * its params. Pure. A test holds that every id is a file with these params.
 */
import { isIP } from 'node:net'
import type { Config } from '../config/types.ts'
import type { Finding, RunbookLink } from '../report/types.ts'
import { hostOfUrl, parseHostPort } from './network/address.ts'
import type { About } from './types.ts'

/** A finding before it is told which runbook it leads to. */
export type JudgedFinding = Finding & { readonly about?: About }

export interface Surroundings {
  readonly config: Config
  /** The name of the machine opskit runs on, in findings. */
  readonly localName: string
}

type Rule = (finding: JudgedFinding, around: Surroundings) => RunbookLink | undefined

/** Longer texts are cut: it is what a person is told. */
const MAX_WHAT_LENGTH = 120
const GATEWAY = /gateway|proxy|ingress|traefik|kong|envoy|apisix|nginx/i
const LOOPBACK = /^(?:localhost|127\..*|::1|0\.0\.0\.0)$/

const overloaded: Rule = (finding, around) => link('host-overloaded', { host: hostOf(finding, around) })
const diskFull: Rule = (finding, around) =>
  link('disk-full', { host: hostOf(finding, around), mount: finding.subject ?? '/' })
const nginx: Rule = (finding, around) => link('nginx-down', { host: hostOf(finding, around) })
const prevention: Rule = () => link('prevention', {})
const backup: Rule = ({ subject }) => (subject === undefined ? undefined : link('backup-failed', { name: subject }))

/** By the whole name of a check, else by its group. What is in none leads to the checklist of every incident. */
const RULES: Readonly<Record<string, Rule>> = {
  'host.disk': diskFull,
  'host.inodes': diskFull,
  'host.reachable': unreachable,
  'host.load': overloaded,
  'host.cpu': overloaded,
  'host.pressure': overloaded,
  'host.memory': overloaded,
  'host.swap': overloaded,
  'host.oom': overloaded,
  'host.diskio': overloaded,
  'host.processes': overloaded,
  'host.files': overloaded,
  'host.conntrack': overloaded,
  'host.units': unit,
  'host.reboot': prevention,
  'network.target': target,
  'network.host': unreachable,
  'service.unit': unit,
  'service.port': port,
  'service.certificate': certificate,
  'nginx.certificate': certificate,
  nginx,
  container,
  'http.check': http,
  database,
  'backup.age': backup,
  'backup.drill': backup,
  'backup.copy': backup,
  'backup.repository': prevention,
}

/** @returns the finding as reports show it: one in trouble names its runbook */
export function withRunbook({ about, ...finding }: JudgedFinding, around: Surroundings): Finding {
  if (finding.severity !== 'warning' && finding.severity !== 'critical') return finding
  return { ...finding, runbook: decideRunbook({ ...finding, ...(about && { about }) }, around) }
}

export function decideRunbook(finding: JudgedFinding, around: Surroundings): RunbookLink {
  const [group = ''] = finding.check.split('.')
  const rule = RULES[finding.check] ?? RULES[group]
  return rule?.(finding, around) ?? incident(finding, around)
}

function incident(finding: JudgedFinding, around: Surroundings): RunbookLink {
  return link('incident-during', {
    what: `${finding.host}: ${finding.title}`.slice(0, MAX_WHAT_LENGTH),
    host: hostOf(finding, around),
  })
}

function unreachable({ check, host, subject }: JudgedFinding, { config }: Surroundings): RunbookLink {
  const name = check === 'network.host' ? (subject ?? host) : host
  const known = Object.hasOwn(config.hosts, name) ? config.hosts[name] : undefined
  if (known && 'container' in known) {
    return link('backend-down', { host: known.container.on ?? 'local', container: known.container.name })
  }
  const ssh = known?.ssh
  // An alias of ~/.ssh/config is no address: then the runbook asks opskit alone.
  const address = ssh && (isIP(ssh.host) !== 0 || ssh.host.includes('.')) ? ssh.host : undefined
  return link('host-unreachable', { host: name, address, port: ssh?.port })
}

/** `gateway 192.0.2.1`, `resolver 192.0.2.53`, or a configured target by its name. */
function target(finding: JudgedFinding, around: Surroundings): RunbookLink | undefined {
  const host = hostOf(finding, around)
  const configured = around.config.diagnose.network.targets?.find(
    (one) => finding.subject === (one.name ?? (one.port === undefined ? one.host : `${one.host} port ${one.port}`)),
  )
  if (configured) return link('link-down', { host, peer: configured.host, port: configured.port })
  const [, kind, peer] = /^(gateway|resolver) (\S+)$/.exec(finding.subject ?? '') ?? []
  return peer === undefined ? undefined : link('link-down', { host, peer, port: kind === 'resolver' ? 53 : undefined })
}

function unit(finding: JudgedFinding, around: Surroundings): RunbookLink | undefined {
  const host = hostOf(finding, around)
  const name = (finding.subject ?? '').replace(/\.service$/, '')
  if (name === 'nginx') return link('nginx-down', { host })
  const kind = /^(?:mariadb|mysqld?)$/.test(name) ? 'mariadb' : /^postgresql/.test(name) ? 'postgresql' : undefined
  return kind && databaseDown({ host, kind, service: name })
}

/** `443/tcp` */
function port(finding: JudgedFinding, around: Surroundings): RunbookLink | undefined {
  const host = hostOf(finding, around)
  switch (finding.subject) {
    case '80/tcp':
    case '443/tcp':
      return link('nginx-down', { host })
    case '3306/tcp':
      return databaseDown({ host, kind: 'mariadb' })
    case '5432/tcp':
      return databaseDown({ host, kind: 'postgresql' })
    default:
      return undefined
  }
}

function certificate(finding: JudgedFinding, around: Surroundings): RunbookLink | undefined {
  const subject = finding.subject ?? ''
  const isFile = subject.startsWith('/')
  const at = isFile ? undefined : parseHostPort(subject, 443)
  const domain = finding.about?.domain ?? at?.host
  if (domain === undefined) return undefined
  const host = hostOf(finding, around)
  return link('certificate-expired', { host, domain, port: at?.port, certificate: isFile ? subject : undefined })
}

function http(finding: JudgedFinding, around: Surroundings): RunbookLink | undefined {
  const check = around.config.diagnose.http.find(({ name }) => name === finding.subject)
  if (!check) return undefined
  const url = new URL(check.url)
  const host = LOOPBACK.test(hostOfUrl(url)) ? 'local' : (hostAt(hostOfUrl(url), around) ?? 'local')
  if (finding.about?.domain !== undefined) {
    return link('certificate-expired', { host, domain: hostOfUrl(url), port: url.port || '443' })
  }
  return link('nginx-down', { host, url: check.url })
}

function container(finding: JudgedFinding, around: Surroundings): RunbookLink | undefined {
  const { about, check, subject } = finding
  const name = about?.container ?? (check === 'container' || check === 'container.project' ? undefined : subject)
  if (name === undefined) return undefined
  const host = hostOf(finding, around)
  const service = about?.service
  if (!GATEWAY.test(service ?? name)) return link('backend-down', { host, container: name })
  const compose = service === undefined ? undefined : (about?.compose ?? '')
  return link('gateway-down', { host, container: name, service, compose })
}

/** Its subject begins with the name of the check. */
function database(finding: JudgedFinding, around: Surroundings): RunbookLink | undefined {
  const [name] = (finding.subject ?? '').split(' ')
  const check = around.config.diagnose.databases.find((one) => one.name === name)
  if (!check) return undefined
  const kind = check.type === 'postgresql' ? 'postgresql' : 'mariadb'
  const isHere = check.host === undefined || LOOPBACK.test(check.host)
  const host = isHere ? 'local' : hostAt(check.host ?? '', around)
  if (host !== undefined) return databaseDown({ host, kind, port: check.port, service: check.type })
  return link('link-down', { host: 'local', peer: check.host, port: check.port ?? portOf(kind) })
}

interface DatabaseDown {
  readonly host: string
  readonly kind: 'mariadb' | 'postgresql'
  readonly port?: number | undefined
  readonly service?: string
}

function databaseDown({ host, kind, port: at = portOf(kind), service = kind }: DatabaseDown): RunbookLink {
  const data = kind === 'postgresql' ? '/var/lib/postgresql' : '/var/lib/mysql'
  return link('database-down', { host, database: kind, port: at, data, service })
}

function portOf(kind: 'mariadb' | 'postgresql'): number {
  return kind === 'postgresql' ? 5432 : 3306
}

/** The host of opskit.yaml at an address. */
function hostAt(address: string, { config }: Surroundings): string | undefined {
  return Object.entries(config.hosts).find(([, host]) => 'ssh' in host && host.ssh.host === address)?.[0]
}

/** As a param of type host names it. */
function hostOf({ host }: Finding, { config, localName }: Surroundings): string {
  return host === localName && !Object.hasOwn(config.hosts, host) ? 'local' : host
}

/** What is not known is left to the default of the runbook. */
function link(id: string, params: Readonly<Record<string, string | number | undefined>>): RunbookLink {
  const known = Object.entries(params).flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)]]))
  return { id, params: Object.fromEntries(known) as Record<string, string> }
}
