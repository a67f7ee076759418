/**
 * One SSH connection, from a byte stream to a client that is logged in: host key checked, one deadline over everything.
 * What it leaves to others: keeping the connection (connection.ts), the way through other hosts (also there).
 */
import { connect as connectTcp } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Client, ConnectConfig, ServerHostKeyAlgorithm } from 'ssh2'
import { formatDuration } from '../../core/duration.ts'
import { messageOf, OpsError, systemCode } from '../../core/errors.ts'
import { raceAbort } from '../deadline.ts'
import { createLogin, planLogin } from './auth.ts'
import { hostKeyError } from './host-key-error.ts'
import { decideHostKey, preferKnownTypes, readKnownHosts, type KnownHostLine } from './known-hosts.ts'
import type { SshTarget } from './target.ts'

/** What ssh2 offers by default, strongest first; which comes first for a host depends on known_hosts. */
const HOST_KEY_ALGORITHMS: readonly ServerHostKeyAlgorithm[] = [
  'ssh-ed25519',
  'ecdsa-sha2-nistp256',
  'ecdsa-sha2-nistp384',
  'ecdsa-sha2-nistp521',
  'rsa-sha2-512',
  'rsa-sha2-256',
  'ssh-rsa',
]

type ClientError = Error & { readonly level?: string; readonly code?: unknown }

/** @throws OpsError UNREACHABLE naming what the network said */
export async function openTcp(target: SshTarget, signal: AbortSignal): Promise<Duplex> {
  const { host, port, family, bindAddress } = target
  const socket = connectTcp({
    host,
    port,
    family,
    noDelay: true,
    ...(bindAddress === undefined ? {} : { localAddress: bindAddress }),
  })
  const opened = new Promise<Duplex>((resolve, reject) => {
    socket.once('connect', () => resolve(socket))
    socket.once('error', (error) => reject(networkError(target, error)))
  })
  try {
    return await raceAbort(opened, signal)
  } catch (error) {
    socket.destroy()
    throw error
  }
}

/** @throws OpsError HOST_KEY, NOT_PERMITTED, UNREACHABLE */
export async function openClient(target: SshTarget, sock: Duplex, signal: AbortSignal): Promise<Client> {
  const ssh2 = (await import('ssh2')).default
  const [known, plan] = await raceAbort(
    Promise.all([readKnownHosts(target.knownHostsFiles), planLogin(target, ssh2)]),
    signal,
  )
  const login = createLogin(plan, target)
  const client = new ssh2.Client()
  let refusal: OpsError | undefined
  const config: ConnectConfig = {
    sock,
    username: target.user,
    // Our own deadline covers connecting, the handshake and the log-in together.
    readyTimeout: 0,
    keepaliveInterval: target.keepAliveMs,
    keepaliveCountMax: target.keepAliveCount,
    algorithms: { serverHostKey: orderAlgorithms(known, target) },
    hostVerifier: (key: Buffer) => {
      refusal = checkHostKey(known, target, key)
      return refusal === undefined
    },
    authHandler: (methodsLeft, _partial, next) => next(login.next(methodsLeft) as never),
  }
  const ready = new Promise<Client>((resolve, reject) => {
    let phase: 'handshake' | 'log-in' = 'handshake'
    const explain = (error: ClientError) => {
      if (refusal) return refusal
      // A number is the server's own reason to disconnect (RFC 4253, 11.1): too many attempts, for one.
      const refused = error.level === 'client-authentication' || typeof error.code === 'number'
      if (phase === 'log-in') return refused ? login.refused(error) : networkError(target, error)
      return handshakeError(target, error)
    }
    client.once('handshake', () => (phase = 'log-in'))
    client.once('ready', () => resolve(client))
    client.on('error', (error: ClientError) => {
      // An agent that cannot sign with one key is not the end: the next attempt follows.
      if (error.level !== 'agent') reject(explain(error))
    })
    client.once('close', () => reject(refusal ?? closedError(target, phase)))
  })
  try {
    client.connect(config)
    return await raceAbort(ready, signal)
  } catch (error) {
    client.destroy()
    sock.destroy()
    throw error
  }
}

function checkHostKey(known: readonly KnownHostLine[], target: SshTarget, key: Buffer): OpsError | undefined {
  const question = { host: target.keyName, port: target.port, key }
  const verdict = decideHostKey(known, question)
  if (verdict.kind === 'known') return undefined
  const knownHostsFile = target.knownHostsFiles[0] ?? '~/.ssh/known_hosts'
  return hostKeyError(verdict, { ...question, name: target.name, knownHostsFile })
}

function orderAlgorithms(known: readonly KnownHostLine[], { keyName, port }: SshTarget): ServerHostKeyAlgorithm[] {
  return preferKnownTypes(known, { host: keyName, port }, HOST_KEY_ALGORITHMS) as ServerHostKeyAlgorithm[]
}

/** The error of the one deadline over connecting, handshake and log-in. */
export function connectTimeoutError({ name, host, port, connectTimeoutMs }: SshTarget): OpsError {
  return unreachable(name, `${name} (${host}:${port}) did not answer within ${formatDuration(connectTimeoutMs)}`, {
    hint: `Is it up, and does a firewall let port ${port} through? ping ${host}`,
  })
}

export function networkError({ name, host, port }: SshTarget, error: unknown): OpsError {
  const where = `${name} (${host}:${port})`
  switch (systemCode(error)) {
    case 'ECONNREFUSED':
      return unreachable(name, `${where} refuses the connection`, {
        hint: `Does sshd run there, on port ${port}?`,
        cause: error,
      })
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return unreachable(name, `${name}: the name ${host} has no address`, {
        hint: `Check the name and the resolver: getent hosts ${host}`,
        cause: error,
      })
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return unreachable(name, `there is no route to ${where}`, { hint: `ip route get ${host}`, cause: error })
    default:
      return unreachable(name, `cannot connect to ${where}: ${messageOf(error)}`, { cause: error })
  }
}

function handshakeError({ name, host, port }: SshTarget, error: unknown): OpsError {
  return unreachable(name, `${name} (${host}:${port}) broke off the SSH handshake: ${messageOf(error)}`, {
    hint: 'Is it an SSH server, and not at its limit (MaxStartups, fail2ban)?',
    cause: error,
  })
}

function closedError({ name, host, port }: SshTarget, phase: string): OpsError {
  return unreachable(name, `${name} (${host}:${port}) closed the connection during the ${phase}`, {
    hint: 'Its log says why; often MaxStartups, MaxAuthTries or fail2ban.',
  })
}

export function unreachable(host: string, message: string, details: { hint?: string; cause?: unknown } = {}): OpsError {
  return new OpsError('UNREACHABLE', message, { host, transient: true, ...details })
}
