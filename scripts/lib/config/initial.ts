/**
 * A first opskit.yaml from what was seen on a machine: only what is there is proposed, and what still needs a decision
 * (an account, an address) stands as a comment. Reading the machine is for others.
 */

import { printableLine } from '../core/printable.ts'

/** What was seen. Everything may be empty; nothing is guessed. */
export interface SeenMachine {
  readonly hostname: string
  /** systemd services that are enabled and running. */
  readonly units: readonly string[]
  /** TCP ports somebody listens on, ascending. */
  readonly ports: readonly { readonly port: number; readonly loopback: boolean; readonly process?: string }[]
  readonly nginx?: {
    readonly config: string
    readonly sites: readonly { readonly name: string; readonly tls: boolean }[]
    readonly certificates: readonly string[]
  }
  /** Compose projects that have containers now. */
  readonly projects: readonly { readonly name: string; readonly files: readonly string[] }[]
  readonly databases: readonly SeenDatabase[]
  /** What could not be looked at, and why. */
  readonly notes: readonly string[]
}

/** A database server, and the door to it that was seen. */
export interface SeenDatabase {
  readonly type: 'mariadb' | 'mysql' | 'postgresql'
  readonly at: { readonly socket: string } | { readonly port: number }
}

/** Entries of one kind that are written out; of more, the rest is counted. */
const MAX_ENTRIES = 40

/** @returns YAML with comments that `config.ts check` accepts as it is */
export function renderInitialConfig(seen: SeenMachine): string {
  const diagnose = [
    ...unitLines(seen),
    ...portLines(seen),
    ...nginxLines(seen),
    ...containerLines(seen),
    ...databaseLines(seen),
  ]
  return [
    ...head(seen),
    ...hostLines(),
    '# What a healthy machine looks like here. Without this section the usual things are checked, with usual thresholds.',
    diagnose.some((line) => !/^\s*(?:#|$)/.test(line)) ? 'diagnose:' : '# diagnose:',
    ...diagnose,
    '',
  ].join('\n')
}

function head({ hostname, notes }: SeenMachine): string[] {
  return [
    '# yaml-language-server: $schema=./opskit.schema.json',
    '# Written by init.ts from what it saw on this machine. Every key there is: templates/opskit.example.yaml.',
    '#   npx zx scripts/config.ts check      checks this file',
    '#   npx zx scripts/config.ts schema > opskit.schema.json      completion in editors',
    ...notes.map((note) => `# Not looked at: ${comment(note)}`),
    '',
    'version: 1',
    isName(hostname) ? `name: ${scalar(hostname)}` : '# name: this-machine',
    '',
  ]
}

function hostLines(): string[] {
  return [
    '# Other machines, to look at them with --host NAME or --all:',
    '# hosts:',
    '#   web-2:',
    '#     ssh: { host: 192.0.2.12, user: ops }',
    '',
  ]
}

function unitLines({ units }: SeenMachine): string[] {
  if (units.length === 0) return []
  return [
    '  # Services that are enabled and running now.',
    '  units:',
    ...listed(units, (unit) => `    - ${scalar(unit)}`),
    '',
  ]
}

function portLines({ ports }: SeenMachine): string[] {
  if (ports.length === 0) return []
  const line = ({ port, loopback, process }: SeenMachine['ports'][number]) => {
    const name = process !== undefined && isName(process) ? `, name: ${scalar(process)}` : ''
    return `    - { port: ${port}${name}${loopback ? ', loopback: true' : ''} }`
  }
  const title = '  # Listening now; a port with loopback must not become reachable from other machines.'
  return [title, '  ports:', ...listed(ports, line), '']
}

function nginxLines({ nginx }: SeenMachine): string[] {
  if (!nginx) return []
  const address = ({ name, tls }: { name: string; tls: boolean }) => `${tls ? 'https' : 'http'}://${name}/`
  const sites = nginx.sites.filter(({ name }) => /^[A-Za-z0-9.-]+$/.test(name))
  const check = (site: { name: string; tls: boolean }) => `  #   - { name: ${site.name}, url: "${address(site)}" }`
  return [
    '  # It must run; its configuration, logs and certificates are found through its own configuration.',
    ...listed(nginx.certificates, (file) => `  #   certificate ${comment(file)}`),
    '  nginx:',
    '    expected: true',
    `    config: ${scalar(nginx.config)}`,
    '',
    ...(sites.length === 0
      ? []
      : ['  # Sites of nginx: take those that must answer from here.', '  # http:', ...listed(sites, check), '']),
  ]
}

function containerLines({ projects }: SeenMachine): string[] {
  if (projects.length === 0) return []
  const files = [...new Set(projects.flatMap((project) => project.files))].filter((file) => file.startsWith('/'))
  return [
    '  # Compose projects that have containers now: all their services must run.',
    '  containers:',
    '    projects:',
    ...listed(projects, ({ name }) => `      - ${scalar(name)}`),
    ...(files.length === 0 ? [] : ['    compose_files:', ...listed(files, (file) => `      - ${scalar(file)}`)]),
    '',
  ]
}

/** What an account needs to see the state and nothing else. */
const ACCOUNTS = {
  mariadb: "CREATE USER opskit@localhost IDENTIFIED BY '…'; GRANT PROCESS, REPLICA MONITOR ON *.* TO opskit@localhost;",
  mysql:
    "CREATE USER opskit@localhost IDENTIFIED BY '…'; GRANT PROCESS, REPLICATION CLIENT ON *.* TO opskit@localhost;",
  postgresql: "CREATE ROLE opskit LOGIN PASSWORD '…'; GRANT pg_monitor TO opskit;",
} as const

function databaseLines({ databases }: SeenMachine): string[] {
  if (databases.length === 0) return []
  return [
    '  # Databases that run here. Each needs an account; then take the lines in.',
    ...databases.map(({ type }) => `  #   ${type}: ${ACCOUNTS[type]}`),
    '  # databases:',
    ...listed(databases, ({ type, at }) => {
      const where = 'socket' in at ? `socket: ${scalar(at.socket)}` : `host: 127.0.0.1, port: ${at.port}`
      return `  #   - { name: ${type}, type: ${type}, ${where}, user: opskit, password: { env: ${type.toUpperCase()}_PASSWORD } }`
    }),
    '',
  ]
}

function listed<T>(items: readonly T[], line: (item: T) => string): string[] {
  const left = items.length - MAX_ENTRIES
  return [...items.slice(0, MAX_ENTRIES).map(line), ...(left > 0 ? [`    # … and ${left} more`] : [])]
}

/** A YAML scalar: plain where that is safe, else in double quotes, whose escapes are JSON's. */
function scalar(text: string): string {
  return /^[A-Za-z/][\w./@-]*$/.test(text) && !/^(?:true|false|yes|no|on|off|null|y|n)$/i.test(text)
    ? text
    : JSON.stringify(text)
}

/** Text from the machine inside a comment: on one line, inert. */
function comment(text: string): string {
  return printableLine(text, 200)
}

function isName(text: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(text)
}
