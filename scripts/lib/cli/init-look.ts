/** Looks at this machine for `init`: what runs, what listens, which sites, projects and databases there are. Changes nothing. */
import { dirname } from 'node:path/posix'
import type { SeenDatabase, SeenMachine } from '../config/initial.ts'
import { messageOf } from '../core/errors.ts'
import type { Directive } from '../diagnose/service/nginx/directives.ts'
import type { Host, HostReader } from '../host/types.ts'

/** For each of the looks; they run side by side. */
const TIMEOUT_MS = 5_000
/** Above this the kernel hands out ports by itself (net.ipv4.ip_local_port_range): nobody chose them. */
const FIRST_EPHEMERAL_PORT = 32_768
/** Part of every system: their absence would be noticed otherwise. */
const SYSTEM_UNITS =
  /^(?:systemd-|getty@|serial-getty@|user@|user-runtime-dir@|dbus|polkit|console-|modprobe@|session-)/

const DATABASE_PROGRAMS = { mariadbd: 'mariadb', mysqld: 'mysql', postgres: 'postgresql' } as const
const DATABASE_SOCKETS: Readonly<Record<SeenDatabase['type'], readonly string[]>> = {
  mariadb: ['/run/mysqld/mysqld.sock', '/var/lib/mysql/mysql.sock'],
  mysql: ['/run/mysqld/mysqld.sock', '/var/lib/mysql/mysql.sock'],
  postgresql: ['/var/run/postgresql/.s.PGSQL.5432', '/tmp/.s.PGSQL.5432'],
}

/** @returns what was seen; a look that fails is a note, never an error */
export async function lookAtMachine(host: Host, signal: AbortSignal): Promise<SeenMachine> {
  const notes: string[] = []
  const attempt = async <T>(what: string, fallback: T, look: () => Promise<T>): Promise<T> => {
    try {
      return await look()
    } catch (error) {
      signal.throwIfAborted()
      notes.push(`${what}: ${messageOf(error)}`)
      return fallback
    }
  }
  const [hostname, units, ports, nginx, projects, databases] = await Promise.all([
    attempt('host name', '', () => readHostname(host)),
    attempt('systemd units', [], () => readUnits(host, signal)),
    attempt('listening ports', [], () => readPorts(host, signal)),
    attempt('nginx', undefined, () => readNginx(host, signal)),
    attempt('containers', [], () => readProjects(host, signal)),
    attempt('databases', [], () => readDatabases(host, signal)),
  ])
  return { hostname, units, ports, ...(nginx && { nginx }), projects, databases, notes: notes.sort() }
}

async function readHostname(host: HostReader): Promise<string> {
  const bytes = await host.get('/proc/sys/kernel/hostname')
  return Buffer.from(bytes ?? [])
    .toString()
    .trim()
}

/** Enabled and running: what somebody wants to run after the next boot too. */
async function readUnits(host: HostReader, signal: AbortSignal): Promise<string[]> {
  const options = { timeoutMs: TIMEOUT_MS, signal }
  const list = ['--no-legend', '--no-pager', '--plain', '--type=service'] as const
  const [running, enabled] = await Promise.all([
    host.read(['systemctl', 'list-units', '--state=running', ...list], options),
    host.read(
      ['systemctl', 'list-unit-files', '--state=enabled', ...list.filter((flag) => flag !== '--plain')],
      options,
    ),
  ])
  if (running.exitCode !== 0) throw new Error(running.stderr.trim().split('\n')[0] || 'systemctl gave no answer')
  const wanted = new Set(firstWords(enabled.stdout))
  const template = (unit: string) => unit.replace(/@[^.]*\./, '@.')
  return firstWords(running.stdout)
    .filter((unit) => !SYSTEM_UNITS.test(unit) && (wanted.has(unit) || wanted.has(template(unit))))
    .sort()
}

function firstWords(text: string): string[] {
  return text.split('\n').flatMap((line) => /^\s*(\S+\.service)\b/.exec(line)?.[1] ?? [])
}

async function readPorts(host: HostReader, signal: AbortSignal): Promise<SeenMachine['ports']> {
  const { readListeningPorts } = await import('../diagnose/service/ports-reader.ts')
  const listening = await readListeningPorts(host, { signal, timeoutMs: TIMEOUT_MS })
  const sockets = listening.filter(({ protocol, port }) => protocol === 'tcp' && port < FIRST_EPHEMERAL_PORT)
  return [...new Set(sockets.map(({ port }) => port))].map((port) => {
    const own = sockets.filter((socket) => socket.port === port)
    const process = own.find((socket) => socket.process)?.process?.name
    return { port, loopback: own.every((socket) => socket.loopback), ...(process !== undefined && { process }) }
  })
}

async function readNginx(host: HostReader, signal: AbortSignal): Promise<SeenMachine['nginx']> {
  const [{ readNginxInstance }, { readNginxConfig, certificatesOf }] = await Promise.all([
    import('../diagnose/service/nginx/instance.ts'),
    import('../diagnose/service/nginx/config-files.ts'),
  ])
  const { master, config: path } = await readNginxInstance(host, { binary: 'nginx' }, signal)
  if (!master) return undefined
  const config = await readNginxConfig(host, path, signal)
  const certificates = certificatesOf(config, path).map(({ certificate }) => certificate)
  return { config: path, sites: sitesOf(config.directives), certificates }
}

/** The names of all servers of `http`, each once; without patterns. */
function sitesOf(directives: readonly Directive[]): { name: string; tls: boolean }[] {
  const tls = new Map<string, boolean>()
  for (const { block: http } of directives.filter(({ name }) => name === 'http')) {
    for (const { block: server = [] } of http?.filter(({ name }) => name === 'server') ?? []) {
      const isTls = server.some(({ name, args }) => name === 'listen' && args.includes('ssl'))
      const names = server.flatMap(({ name, args }) => (name === 'server_name' ? args : []))
      for (const name of names)
        if (/^[A-Za-z0-9][A-Za-z0-9.-]*$/.test(name)) tls.set(name, isTls || (tls.get(name) ?? false))
    }
  }
  return [...tls].map(([name, isTls]) => ({ name, tls: isTls }))
}

async function readProjects(host: Host, signal: AbortSignal): Promise<SeenMachine['projects']> {
  const { openDocker } = await import('../host/index.ts')
  const { isOpsError } = await import('../core/errors.ts')
  const { readContainers } = await import('../diagnose/container/facts.ts')
  try {
    const engine = await openDocker(host, { timeoutMs: TIMEOUT_MS, signal })
    const containers = await readContainers(engine, signal)
    const names = [
      ...new Set(containers.flatMap(({ project, oneOff }) => (project === undefined || oneOff ? [] : [project]))),
    ]
    return names.sort().map((name) => {
      const own = containers.filter(({ project }) => project === name)
      return { name, files: [...new Set(own.flatMap(({ composeFiles }) => composeFiles))].sort() }
    })
  } catch (error) {
    if (isOpsError(error, 'MISSING_TOOL')) return []
    throw error
  }
}

/** Servers that run here (not in a container) and whose socket or port was found. */
async function readDatabases(host: HostReader, signal: AbortSignal): Promise<readonly SeenDatabase[]> {
  const { readProcesses } = await import('../diagnose/service/processes.ts')
  const [processes, ports] = await Promise.all([
    readProcesses(host, Object.keys(DATABASE_PROGRAMS), signal),
    readPorts(host, signal),
  ])
  const programs = new Set(processes.filter(({ contained }) => !contained).map(({ name }) => name))
  const found = [...programs].sort().map(async (program): Promise<SeenDatabase[]> => {
    const type = DATABASE_PROGRAMS[program as keyof typeof DATABASE_PROGRAMS]
    const socket = await firstSocket(host, DATABASE_SOCKETS[type], signal)
    const port = ports.find(({ process }) => process === program)?.port
    if (socket !== undefined) return [{ type, at: { socket: type === 'postgresql' ? dirname(socket) : socket } }]
    return port === undefined ? [] : [{ type, at: { port } }]
  })
  return (await Promise.all(found)).flat()
}

async function firstSocket(
  host: HostReader,
  paths: readonly string[],
  signal: AbortSignal,
): Promise<string | undefined> {
  for (const path of paths) {
    const { exitCode } = await host.read(['test', '-S', path], { timeoutMs: TIMEOUT_MS, signal })
    if (exitCode === 0) return path
  }
  return undefined
}
