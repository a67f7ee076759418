/** Does a TCP port accept connections? Says nothing of what answers there. Node only: browsers have no sockets. */
import { messageOf, systemCode } from '../core/errors.ts'
import { probeWithin, type ProbeLimits } from './deadline.ts'
import type { ProbeResult } from './types.ts'

export interface TcpTarget extends ProbeLimits {
  readonly host: string
  readonly port: number
  /** Source address. It does not choose the interface: that needs SO_BINDTODEVICE. */
  readonly localAddress?: string
}

const REASON: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection reset',
  EHOSTUNREACH: 'no route to the host',
  ENETUNREACH: 'network unreachable',
  ENOTFOUND: 'name not found',
  EAI_AGAIN: 'name server does not answer',
  ETIMEDOUT: 'no answer (the system gave up)',
}

/** Connects and closes at once. @returns `pass` with the time that the handshake took */
export async function probeTcp({ host, port, localAddress, ...limits }: TcpTarget): Promise<ProbeResult> {
  const { connect } = await import('node:net')
  return probeWithin(
    limits,
    (signal) =>
      new Promise((resolve) => {
        const startedMs = performance.now()
        const socket = connect({ host, port, ...(localAddress !== undefined && { localAddress }) })
        const end = (result: ProbeResult) => {
          socket.destroy()
          resolve(result)
        }
        signal.addEventListener('abort', () => socket.destroy(), { once: true })
        socket.once('connect', () => end({ outcome: 'pass', latencyMs: performance.now() - startedMs }))
        // A destroyed socket may still report an error: the listener stays.
        socket.on('error', (error) =>
          end({ outcome: 'fail', because: REASON[systemCode(error) ?? ''] ?? messageOf(error) }),
        )
      }),
  )
}
