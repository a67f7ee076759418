/**
 * Do addresses answer ICMP echo? All of them in one `fping` when it is installed; else one `ping` each for the first
 * few, and a UDP datagram to a closed port for the rest, whose ICMP "port unreachable" proves the same (traceroute's
 * last hop, RFC 1122 3.2.2.1) but whose absence proves nothing.
 *
 * Node has no ICMP socket and a whole diagnosis may start five children, so children are what is counted here.
 */
import { createSocket } from 'node:dgram'
import { access, constants } from 'node:fs/promises'
import { isIPv6 } from 'node:net'
import { isOpsError, messageOf } from '../../core/errors.ts'
import type { HostReader } from '../../host/types.ts'
import { within, type Deadline } from '../deadline.ts'

export type EchoTool = 'fping' | 'ping' | 'udp'

export type EchoFacts =
  | {
      readonly kind: 'reply'
      readonly by: EchoTool
      readonly rttMs: number
      readonly sent: number
      readonly lost: number
    }
  | { readonly kind: 'silent'; readonly by: EchoTool; readonly sent: number; readonly detail?: string }
  /** It could not be asked; nothing is known. */
  | { readonly kind: 'unavailable'; readonly because: string }

export interface EchoOptions extends Deadline {
  /** Directories searched for fping and ping; default: $PATH and the sbin directories. */
  readonly path?: readonly string[]
}

/** `ping` children at most when fping is missing. */
const MAX_PINGS = 2
/** Three packets show loss and still end within 100 ms on a good line. */
const FPING_PACKETS = 3
const FPING_PERIOD_MS = 25
/** ping refuses ordinary users less than 200 ms between packets, so two. */
const PING_PACKETS = 2
/** traceroute's first port: nothing listens there. */
const CLOSED_UDP_PORT = 33_434

/** The kernel or a router says that there is no way there. */
const NO_WAY = ['EHOSTUNREACH', 'ENETUNREACH']

/** Asks each address. Order matters when fping is missing: the first are asked by ping. Never throws but on abort. */
export async function probeEcho(
  host: HostReader,
  addresses: readonly string[],
  options: EchoOptions,
): Promise<ReadonlyMap<string, EchoFacts>> {
  const unique = [...new Set(addresses)]
  if (unique.length === 0) return new Map()
  const path = options.path ?? searchPath()
  const fping = await findProgram('fping', path)
  const facts = fping === undefined ? undefined : await askFping(host, fping, unique, options)
  if (facts) return facts
  const ping = await findProgram('ping', path)
  const answers = await Promise.all(
    unique.map((address, at) =>
      ping !== undefined && at < MAX_PINGS ? askPing(host, ping, address, options) : askUdp(address, options),
    ),
  )
  return new Map(unique.map((address, at) => [address, answers[at] ?? notAsked('no answer was recorded')]))
}

/** Reads `fping -C` output (`192.0.2.1 : 0.17 - 0.20`): milliseconds per packet, `-` for a lost one. */
export function parseFping(output: string): Map<string, EchoFacts> {
  const facts = new Map<string, EchoFacts>()
  for (const line of output.split('\n')) {
    const match = /^(\S+)\s+: ((?:[\d.]+|-)(?: (?:[\d.]+|-))*)\s*$/.exec(line)
    if (!match) continue
    const times = (match[2] ?? '').split(' ')
    const answered = times.filter((time) => time !== '-').map(Number)
    facts.set(match[1] ?? '', summarize('fping', answered, times.length))
  }
  return facts
}

/** Reads the output of iputils or busybox ping. @returns undefined when it holds no summary */
export function parsePing(output: string): EchoFacts | undefined {
  const summary = /(\d+) packets transmitted, (\d+)(?: packets)? received/.exec(output)
  if (!summary) return undefined
  const [sent, received] = [Number(summary[1]), Number(summary[2])]
  if (received > 0) {
    const average = /min\/avg\/max\S* = [\d.]+\/([\d.]+)\//.exec(output)
    return { kind: 'reply', by: 'ping', rttMs: Number(average?.[1] ?? 0), sent, lost: Math.max(0, sent - received) }
  }
  const detail = /^From (\S+) icmp_seq=\d+ (.+)$/m.exec(output)
  return { kind: 'silent', by: 'ping', sent, ...(detail && { detail: `${detail[1]} says: ${detail[2]}` }) }
}

async function askFping(
  host: HostReader,
  program: string,
  addresses: readonly string[],
  { timeoutMs, signal }: EchoOptions,
): Promise<ReadonlyMap<string, EchoFacts> | undefined> {
  const waitMs = Math.max(100, Math.floor(timeoutMs - FPING_PERIOD_MS * (FPING_PACKETS - 1)))
  const counts = ['-C', `${FPING_PACKETS}`, '-p', `${FPING_PERIOD_MS}`, '-t', `${waitMs}`]
  try {
    const run = await host.read([program, ...counts, '-q', ...addresses], {
      timeoutMs: timeoutMs + 500,
      env: { LC_ALL: 'C' },
      ...(signal && { signal }),
    })
    const facts = parseFping(run.stderr + run.stdout)
    return addresses.every((address) => facts.has(address)) ? facts : undefined
  } catch (error) {
    signal?.throwIfAborted()
    if (isOpsError(error)) return undefined
    throw error
  }
}

async function askPing(
  host: HostReader,
  program: string,
  address: string,
  { timeoutMs, signal }: EchoOptions,
): Promise<EchoFacts> {
  const waitSeconds = Math.max(0.1, timeoutMs / 1000 - 0.2).toFixed(1)
  try {
    const run = await host.read([program, '-n', '-c', `${PING_PACKETS}`, '-i', '0.2', '-W', waitSeconds, address], {
      timeoutMs: timeoutMs + 500,
      env: { LC_ALL: 'C' },
      ...(signal && { signal }),
    })
    return parsePing(run.stdout) ?? notAsked(`ping said: ${firstLine(run.stderr || run.stdout)}`)
  } catch (error) {
    signal?.throwIfAborted()
    if (isOpsError(error, 'TIMEOUT')) return { kind: 'silent', by: 'ping', sent: PING_PACKETS }
    if (isOpsError(error)) return notAsked(messageOf(error))
    throw error
  }
}

/** Sends one byte to a closed UDP port and waits for the refusal, which arrives as ECONNREFUSED on a connected socket. */
async function askUdp(address: string, { timeoutMs, signal }: EchoOptions): Promise<EchoFacts> {
  const because = 'no fping here, and a UDP packet to a closed port was not answered, which proves nothing'
  const socket = createSocket(isIPv6(address.replace(/%.*$/, '')) ? 'udp6' : 'udp4')
  const startedAt = performance.now()
  try {
    return await within(
      { timeoutMs, ...(signal && { signal }) },
      () =>
        new Promise<EchoFacts>((resolve) => {
          socket.on('error', (error: NodeJS.ErrnoException) => {
            const rttMs = performance.now() - startedAt
            const code = error.code ?? ''
            if (code === 'ECONNREFUSED') return resolve({ kind: 'reply', by: 'udp', rttMs, sent: 1, lost: 0 })
            const noWay = NO_WAY.includes(code)
            resolve(noWay ? { kind: 'silent', by: 'udp', sent: 1, detail: code } : notAsked(messageOf(error)))
          })
          socket.connect(CLOSED_UDP_PORT, address, () => socket.send('?'))
        }),
    )
  } catch (error) {
    signal?.throwIfAborted()
    return notAsked(isOpsError(error, 'TIMEOUT') ? because : messageOf(error))
  } finally {
    socket.close()
  }
}

function summarize(by: EchoTool, answeredMs: readonly number[], sent: number): EchoFacts {
  if (answeredMs.length === 0) return { kind: 'silent', by, sent }
  const rttMs = answeredMs.reduce((sum, ms) => sum + ms, 0) / answeredMs.length
  return { kind: 'reply', by, rttMs, sent, lost: sent - answeredMs.length }
}

function notAsked(because: string): EchoFacts {
  return { kind: 'unavailable', because }
}

function firstLine(text: string): string {
  return text.trim().split('\n')[0] ?? ''
}

function searchPath(): readonly string[] {
  return [...(process.env['PATH'] ?? '').split(':').filter((dir) => dir !== ''), '/usr/sbin', '/sbin']
}

/** Its whole path, so that starting it is one attempt and not one per directory. */
async function findProgram(name: string, path: readonly string[]): Promise<string | undefined> {
  const found = await Promise.all(
    path.map((dir) =>
      access(`${dir}/${name}`, constants.X_OK).then(
        () => `${dir}/${name}`,
        () => undefined,
      ),
    ),
  )
  return found.find((file) => file !== undefined)
}
