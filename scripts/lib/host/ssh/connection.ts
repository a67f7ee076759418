/**
 * An SSH connection that is kept: opened once, shared by everything that uses the host, opened again for the next call
 * after it was lost. A command that may have run is never repeated.
 *
 * States: closed -> opening -> open -> closed. `client()` moves closed to opening; the network moves anything to closed;
 * `close()` is final.
 */
import type { Duplex } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import type { Client, ClientChannel, SFTPWrapper } from 'ssh2'
import { messageOf, OpsError } from '../../core/errors.ts'
import { quoteArgv } from '../../core/quote.ts'
import { abortError, openDeadline, raceAbort } from '../deadline.ts'
import { asSocketError, socketError } from '../socket-error.ts'
import { connectTimeoutError, networkError, openClient, openTcp, unreachable } from './connect.ts'
import { createSessionQueue } from './sessions.ts'
import type { SshTarget } from './target.ts'

export interface Connection {
  readonly target: SshTarget
  /** Connects if need be. */
  ready(signal: AbortSignal): Promise<void>
  /** Starts a command line in the login shell of the far side. */
  exec(command: string, signal: AbortSignal): Promise<ClientChannel>
  /** Runs a short command even when every session is taken, on a connection of its own if it must be. @returns its status */
  execAside(command: string): Promise<number>
  /** A stream to a TCP port as seen from the far side. */
  dial(target: SshTarget, signal: AbortSignal): Promise<Duplex>
  /** A stream to a Unix socket of the far side. */
  openSocket(path: string, signal: AbortSignal): Promise<Duplex>
  /** Opens the SFTP subsystem. */
  sftp(signal: AbortSignal): Promise<SFTPWrapper>
  /** Why the connection was lost; undefined while it stands. */
  lostBecause(): OpsError | undefined
  close(): Promise<void>
}

/** How long the side command that kills another may take. */
const ASIDE_TIMEOUT_MS = 2_000
/** sshd frees a session a moment after its command has ended. */
const SESSION_FREE_MS = 50
const SESSION_FREE_TRIES = 10

/** RFC 4254, 5.1. */
const OPEN_PROHIBITED = 1
const OPEN_CONNECT_FAILED = 2

/** How long a goodbye may take; a silent connection gives no answer to it. */
const GOODBYE_MS = 500

interface Opened {
  readonly client: Client
  readonly sock: Duplex
  readonly gone: Promise<void>
}

export function createConnection(target: SshTarget, via?: Connection): Connection {
  const { name } = target
  const sessions = createSessionQueue()
  let current: Promise<Opened> | undefined
  let lost: unknown
  const closing = new AbortController()

  async function dialAndLogIn(): Promise<Omit<Opened, 'gone'>> {
    const timeoutMs = target.connectTimeoutMs
    const deadline = openDeadline({ timeoutMs, signal: closing.signal, expired: () => connectTimeoutError(target) })
    try {
      const sock = await (via ? via.dial(target, deadline.signal) : openTcp(target, deadline.signal))
      return { client: await openClient(target, sock, deadline.signal), sock }
    } finally {
      deadline.clear()
    }
  }

  async function open(): Promise<Opened> {
    lost = undefined
    const { client, sock } = await dialAndLogIn()
    client.on('error', (error) => (lost = error))
    const gone = new Promise<void>((resolve) => {
      client.once('close', () => {
        current = undefined
        resolve()
      })
    })
    return { client, sock, gone }
  }

  async function clientFor(signal: AbortSignal): Promise<Client> {
    if (closing.signal.aborted) throw abortError(closing.signal)
    if (!current) {
      current = open()
      current.catch(() => (current = undefined))
    }
    return (await raceAbort(current, signal)).client
  }

  async function exec(command: string, signal: AbortSignal): Promise<ClientChannel> {
    for (let tries = 0; ;) {
      const client = await clientFor(signal)
      const release = await sessions.acquire(signal)
      try {
        const opening = openSession(client, command)
        const channel = await raceAbort(opening, signal, (late) => late.close())
        channel.once('close', release)
        return channel
      } catch (error) {
        const mayWait = reasonOf(error) !== undefined && (sessions.shrink() || ++tries <= SESSION_FREE_TRIES)
        release()
        if (!mayWait) throw signal.aborted || error instanceof OpsError ? error : sessionError(error)
        if (tries > 0) await delay(SESSION_FREE_MS)
      }
    }
  }

  function sessionError(error: unknown): OpsError {
    if (reasonOf(error) === undefined) return lostError(error)
    return new OpsError('FAILED', `${name} opens no session: ${messageOf(error)}`, {
      host: name,
      hint: 'Check MaxSessions and ForceCommand in its sshd_config.',
    })
  }

  function lostError(cause: unknown = lost): OpsError {
    const why = cause === undefined ? '' : `: ${messageOf(cause)}`
    return unreachable(name, `the connection to ${name} was lost${why}`, { cause })
  }

  async function execAside(command: string): Promise<number> {
    const signal = AbortSignal.timeout(ASIDE_TIMEOUT_MS)
    try {
      return await statusOf(openSession(await clientFor(signal), command), signal)
    } catch (error) {
      if (reasonOf(error) === undefined) throw error
    }
    const spare = await dialAndLogIn()
    spare.client.on('error', () => undefined)
    try {
      return await statusOf(openSession(spare.client, command), signal)
    } finally {
      spare.sock.destroy()
    }
  }

  return {
    target,
    ready: async (signal) => void (await clientFor(signal)),
    exec,
    execAside,
    async dial(to, signal) {
      const client = await clientFor(signal)
      const dialling = new Promise<Duplex>((resolve, reject) => {
        client.forwardOut('127.0.0.1', 0, to.host, to.port, (error, channel) =>
          error ? reject(error) : resolve(channel),
        )
      })
      return raceAbort(dialling, signal, (late) => late.destroy()).catch((error: unknown) => {
        throw error instanceof OpsError ? error : hopError(error, name, to)
      })
    },
    async openSocket(path, signal) {
      const client = await clientFor(signal)
      const opening = new Promise<Duplex>((resolve, reject) => {
        client.openssh_forwardOutStreamLocal(path, (error, channel) => (error ? reject(error) : resolve(channel)))
      })
      return raceAbort(opening, signal, (late) => late.destroy()).catch(async (error: unknown) => {
        if (reasonOf(error) === OPEN_PROHIBITED) throw socketError('forbidden', path, name, error)
        if (reasonOf(error) !== OPEN_CONNECT_FAILED) throw asSocketError(error, path, name)
        throw await explainSocket(path, name, execAside)
      })
    },
    async sftp(signal) {
      const client = await clientFor(signal)
      const release = await sessions.acquire(signal)
      try {
        const opening = new Promise<SFTPWrapper>((resolve, reject) => {
          client.sftp((error, sftp) => (error ? reject(error) : resolve(sftp)))
        })
        const sftp = await raceAbort(opening, signal, (late) => late.end())
        sftp.once('close', release)
        return sftp
      } catch (error) {
        release()
        if (signal.aborted || error instanceof OpsError) throw error
        throw current ? noSftp(name, error) : lostError(error)
      }
    },
    lostBecause: () => (current ? undefined : lostError()),
    async close() {
      closing.abort(new OpsError('FAILED', `the connection to ${name} is closed`, { host: name }))
      const opened = await current?.catch(() => undefined)
      if (!opened) return
      opened.client.end()
      await Promise.race([opened.gone, delay(GOODBYE_MS, undefined, { ref: false })])
      // The client's own destroy() does nothing once it has said goodbye.
      opened.sock.destroy()
    },
  }
}

function noSftp(host: string, cause: unknown): OpsError {
  return new OpsError('NOT_PERMITTED', `${host} offers no SFTP: ${messageOf(cause)}`, {
    host,
    cause,
    hint: 'Add to its sshd_config: Subsystem sftp internal-sftp',
  })
}

function openSession(client: Client, command: string): Promise<ClientChannel> {
  return new Promise((resolve, reject) => {
    client.exec(command, (error, channel) => (error ? reject(error) : resolve(channel)))
  })
}

async function statusOf(opening: Promise<ClientChannel>, signal: AbortSignal): Promise<number> {
  const channel = await raceAbort(opening, signal, (late) => late.close())
  channel.resume()
  channel.stderr.resume()
  channel.end()
  const ended = new Promise<number>((resolve) => channel.once('close', (code: number | null) => resolve(code ?? -1)))
  return raceAbort(ended, signal)
}

/** The reason of a refused channel (RFC 4254, 5.1); undefined for every other error. */
function reasonOf(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('reason' in error)) return undefined
  return typeof error.reason === 'number' ? error.reason : undefined
}

function hopError(error: unknown, hop: string, to: SshTarget): OpsError {
  const where = `${to.name} (${to.host}:${to.port})`
  if (reasonOf(error) === OPEN_PROHIBITED) {
    return new OpsError('NOT_PERMITTED', `${hop} does not forward connections to ${where}`, {
      host: to.name,
      cause: error,
      hint: `Set AllowTcpForwarding yes (and PermitOpen) in the sshd_config of ${hop}.`,
    })
  }
  if (reasonOf(error) === undefined) return networkError(to, error)
  return unreachable(to.name, `${where} cannot be reached from ${hop}: ${messageOf(error)}`, { cause: error })
}

/** sshd says only that it did not connect, the same whether it could not or may not; a look at the file says more. */
async function explainSocket(path: string, host: string, execAside: Connection['execAside']): Promise<OpsError> {
  const script = 'd=${1%/*}; [ ! -d "$d" ] || [ -x "$d" ] || exit 4; [ -S "$1" ] || exit 3; [ -w "$1" ] || exit 4'
  const status = await execAside(quoteArgv(['sh', '-c', script, 'sh', path]))
  return socketError(status === 3 ? 'missing' : status === 4 ? 'denied' : 'refused-or-forbidden', path, host)
}
