/**
 * Does a DNS resolver answer a question? Over UDP as programs ask it; a TCP connection beside it tells a filtered port
 * from a dead machine.
 */
import { isIPv4 } from 'node:net'
import { isOpsError, systemCode } from '../../core/errors.ts'
import { within, type Deadline } from '../deadline.ts'
import { failureOf, openResolver, type Address, type LookupFailure } from './lookup.ts'
import { probeUnlessProved, type TcpFacts } from './tcp.ts'

/** What a resolver said to one question. A negative answer is an answer. */
export type ResolverFacts =
  | { readonly kind: 'answer'; readonly rttMs: number; readonly failure?: LookupFailure }
  | { readonly kind: 'silent'; readonly waitedMs: number }
  | { readonly kind: 'refused' }

const DNS_PORT = 53

/** @param question a name, or `.` for the root's name servers */
export async function askResolver(
  address: Address,
  question: string,
  deadline: Deadline,
): Promise<{ dns: ResolverFacts; tcp?: TcpFacts }> {
  const proved = new AbortController()
  const tcp = probeUnlessProved({ ...deadline, addresses: [address], port: DNS_PORT, proved: proved.signal })
  const dns = await askQuestion(address.address, question, deadline)
  if (dns.kind === 'answer') proved.abort()
  const answer = await tcp
  return { dns, ...(answer && { tcp: answer }) }
}

async function askQuestion(server: string, question: string, deadline: Deadline): Promise<ResolverFacts> {
  const startedAt = performance.now()
  const elapsed = () => performance.now() - startedAt
  try {
    await within(deadline, (signal): Promise<unknown> => {
      const resolver = openResolver(signal, deadline.timeoutMs, [formatServer(server)])
      return question === '.' ? resolver.resolveNs('.') : resolver.resolve4(question)
    })
    return { kind: 'answer', rttMs: elapsed() }
  } catch (error) {
    deadline.signal?.throwIfAborted()
    const failure = isOpsError(error, 'TIMEOUT') ? 'timeout' : failureOf(systemCode(error) ?? '')
    if (failure === 'no-resolver') return { kind: 'refused' }
    if (failure === 'timeout') return { kind: 'silent', waitedMs: elapsed() }
    return { kind: 'answer', rttMs: elapsed(), failure }
  }
}

function formatServer(address: string): string {
  return isIPv4(address) ? address : `[${address}]`
}
