/**
 * service.port: is there a listener on each port that the operator expects, and only on loopback where that was asked?
 * Other listeners are shown and never judged: what ought to be open is the operator's to say.
 */
import type { ExpectedPort } from '../../config/types.ts'
import type { Check, CheckContext, CheckFinding } from '../types.ts'
import { readListeningPorts, type ListeningPort } from './ports-reader.ts'

const CHECK = 'service.port'
const MAX_LINES = 60

/** Who usually listens there, for the cause of a missing one. */
const USUAL_OWNER: Readonly<Record<number, string>> = {
  22: 'sshd',
  25: 'the mail server',
  53: 'the DNS server',
  80: 'the web server',
  443: 'the web server',
  2375: 'dockerd',
  2376: 'dockerd',
  3306: 'MariaDB or MySQL',
  5432: 'PostgreSQL',
  6379: 'Redis',
  9090: 'Prometheus',
  9100: 'node_exporter',
  27017: 'MongoDB',
}

export const portsCheck: Check = { name: CHECK, group: 'service', scope: 'machine', run: runPortsCheck }

async function runPortsCheck({
  host,
  settings,
  signal,
  timeoutMs,
}: CheckContext): Promise<{ findings: CheckFinding[] }> {
  const listening = await readListeningPorts(host, { signal, timeoutMs })
  return { findings: decidePorts(settings.ports, listening) }
}

/** @returns one finding per expected port, then one that lists every listener */
export function decidePorts(expected: readonly ExpectedPort[], listening: readonly ListeningPort[]): CheckFinding[] {
  return [...expected.map((port) => decidePort(port, listening)), listenersFinding(expected, listening)]
}

function decidePort(expected: ExpectedPort, listening: readonly ListeningPort[]): CheckFinding {
  const { port, protocol, name, loopback } = expected
  const label = name ? `${name} (port ${port}/${protocol})` : `port ${port}/${protocol}`
  const base = { check: CHECK, subject: `${port}/${protocol}` }
  const flag = protocol === 'udp' ? '-lunp' : '-ltnp'
  const next = `ss ${flag} 'sport = :${port}'`
  const found = listening.filter((socket) => socket.port === port && socket.protocol === protocol)
  if (found.length === 0) {
    const owner = name ?? USUAL_OWNER[port]
    return {
      ...base,
      severity: 'critical',
      title: `nothing listens on ${label}`,
      evidence: `no ${protocol} socket among ${listening.length} listeners`,
      cause: owner
        ? `${owner} is not running, or listens on another port`
        : 'its service is not running, or listens on another port',
      next,
    }
  }
  const exposed = found.filter((socket) => !socket.loopback)
  const evidence = found.map(describe).join(', ')
  if (loopback && exposed.length > 0) {
    return {
      ...base,
      severity: 'warning',
      title: `${label} can be reached from other machines`,
      evidence: `${evidence}; expected on loopback only`,
      cause: 'the service is bound to every address; only a firewall, if there is one, keeps others out',
      next,
    }
  }
  return { ...base, severity: 'ok', title: `${label} listens`, evidence }
}

function listenersFinding(expected: readonly ExpectedPort[], listening: readonly ListeningPort[]): CheckFinding {
  const isExpected = (socket: ListeningPort) =>
    expected.some(({ port, protocol }) => port === socket.port && protocol === socket.protocol)
  const others = listening.filter((socket) => !isExpected(socket))
  const reachable = new Set(
    others.filter(({ loopback }) => !loopback).map(({ port, protocol }) => `${port}/${protocol}`),
  )
  const more = others.length > MAX_LINES ? [`and ${others.length - MAX_LINES} more`] : []
  return {
    check: CHECK,
    severity: 'ok',
    title: expected.length === 0 ? 'listening ports' : 'listening ports besides the expected ones',
    evidence: `${others.length} sockets, ${reachable.size} ports reachable from other machines`,
    lines: [...others.slice(0, MAX_LINES).map(describe), ...more],
  }
}

function describe({ protocol, family, address, port, process }: ListeningPort): string {
  const where = family === 6 ? `[${address}]:${port}` : `${address}:${port}`
  return `${where}/${protocol}${process ? ` ${process.name} (pid ${process.pid})` : ''}`
}
