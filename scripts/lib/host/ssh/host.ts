/** A machine over SSH as a Host: framed commands and shell files over one kept connection, and the hops on the way to it. */
import type { ClientChannel } from 'ssh2'
import { OpsError } from '../../core/errors.ts'
import { quoteArgv, type Argv } from '../../core/quote.ts'
import { startFramed, type RawRunning } from '../frame.ts'
import { createMachine } from '../machine.ts'
import type { Exit } from '../running.ts'
import { createShellFiles } from '../shell-files.ts'
import type { Host } from '../types.ts'
import { createConnection, type Connection } from './connection.ts'
import { openSftp } from './sftp.ts'
import { readSshConfig, type SshConfigFile } from './config-file.ts'
import { parseHop, resolveTarget, type SshSettings, type SshTarget } from './target.ts'

export interface SshHostOptions extends SshSettings {
  readonly name: string
  /** Run every command through `sudo -n`; not needed, and ignored, when the user is root. */
  readonly sudo?: boolean | undefined
  readonly redact?: ((text: string) => string) | undefined
  /** In place of ~/.ssh/config and /etc/ssh/ssh_config. */
  readonly sshConfigPath?: string | undefined
  /** The settings of another opskit host, when `proxyJump` names one. */
  readonly settingsOf?: ((name: string) => Promise<SshSettings | undefined>) | undefined
  readonly env?: NodeJS.ProcessEnv | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * Connects, through its jump hosts if it has any, and logs in.
 * @throws OpsError UNREACHABLE, NOT_PERMITTED, HOST_KEY, CONFIG_INVALID
 */
export async function openSshHost(options: SshHostOptions): Promise<Host> {
  const pool = createConnections(options)
  const signal = options.signal ?? new AbortController().signal
  try {
    const connection = await pool.open(options.name, options)
    await connection.ready(signal)
    return sshMachine(connection, { ...options, close: pool.close })
  } catch (error) {
    await pool.close()
    throw error
  }
}

export interface Connections {
  /** The connection to a host, and to each hop on the way; two hosts behind one hop share it. Not yet connected. */
  open(name: string, settings: SshSettings): Promise<Connection>
  readonly close: () => Promise<void>
}

type PoolOptions = Pick<SshHostOptions, 'sshConfigPath' | 'settingsOf' | 'env'>

export function createConnections({ sshConfigPath, settingsOf, env = process.env }: PoolOptions): Connections {
  const opened = new Map<string, Connection>()
  let files: Promise<readonly SshConfigFile[]> | undefined

  const keep = (target: SshTarget, via?: Connection): Connection => {
    const key = JSON.stringify([target.user, target.host, target.port, via?.target.name])
    const existing = opened.get(key)
    if (existing) return existing
    const connection = createConnection(target, via)
    opened.set(key, connection)
    return connection
  }

  /** @param trail the names on the way here, against circles */
  async function resolve(name: string, settings: SshSettings, trail: readonly string[]): Promise<Connection> {
    if (trail.includes(name)) {
      throw new OpsError('CONFIG_INVALID', `the way to ${trail[0]} is a circle: ${[...trail, name].join(' -> ')}`)
    }
    files ??= readSshConfig(sshConfigPath)
    const target = resolveTarget(name, settings, { files: await files, env })
    let via: Connection | undefined
    for (const jump of target.jumps) {
      const found = (await settingsOf?.(jump)) ?? parseHop(jump)
      // Only the first hop is reached by a way of its own; the others are reached from the one before.
      const next = via ? { ...found, proxyJump: 'none' } : found
      const hop = await resolve(jump, next, [...trail, name])
      via = via ? keep(hop.target, via) : hop
    }
    return keep(target, via)
  }

  return {
    open: (name, settings) => resolve(name, settings, []),
    // The last opened first: a hop goes after those who came through it.
    async close() {
      for (const connection of [...opened.values()].reverse()) await connection.close()
    },
  }
}

export interface MachineOptions extends Pick<SshHostOptions, 'name' | 'sudo' | 'redact'> {
  readonly close: () => Promise<void>
}

export function sshMachine(connection: Connection, { name, sudo = false, redact, close }: MachineOptions): Host {
  const bySudo = sudo && connection.target.user !== 'root'
  const start = (argv: Argv, _spec: unknown, signal: AbortSignal) => startRemote(connection, argv, signal)
  const execute = (argv: Argv) => connection.execAside(remoteLine(argv, name))
  return createMachine({
    name,
    kind: 'ssh',
    start: (spec, signal) => startFramed(spec, { sudo: bySudo, start, execute }, signal),
    files: (run) => createShellFiles(name, run, redact),
    connect: (path, signal) => connection.openSocket(path, signal ?? new AbortController().signal),
    sftp: async (signal) => openSftp(await connection.sftp(signal), connection.target.name),
    redact,
    close,
  })
}

/** Linux takes no single argument over 128 KiB (MAX_ARG_STRLEN), and the login shell gets the whole line as one. */
const MAX_LINE_BYTES = 128 * 1024 - 1

/** `exec`: the login shell, whichever it is, gives way to ours. */
function remoteLine(argv: Argv, host: string): string {
  const line = `exec ${quoteArgv(argv)}`
  if (Buffer.byteLength(line) <= MAX_LINE_BYTES) return line
  throw new OpsError('USAGE', `the command for ${host} is longer than ${MAX_LINE_BYTES} bytes`, {
    host,
    hint: 'Pass long data by stdin, not as arguments.',
  })
}

async function startRemote(connection: Connection, argv: Argv, signal: AbortSignal): Promise<RawRunning> {
  const channel = await connection.exec(remoteLine(argv, connection.target.name), signal)
  channel.on('error', () => undefined)
  return {
    stdin: channel,
    stdout: channel,
    stderr: channel.stderr,
    exited: exitOf(channel, connection),
    abandon() {
      // Where the frame's process is not known: OpenSSH passes the signal on, unless the user is root.
      channel.signal('KILL')
      channel.unpipe()
      channel.resume()
      channel.stderr.resume()
      channel.close()
    },
  }
}

function exitOf(channel: ClientChannel, connection: Connection): Promise<Exit> {
  return new Promise((resolve) => {
    channel.once('close', (code?: number | null, signal?: string) => {
      if (typeof code === 'number') resolve({ kind: 'code', code })
      else if (code === null && signal) resolve({ kind: 'signal', signal })
      else resolve({ kind: 'lost', error: lostCommand(connection) })
    })
  })
}

function lostCommand(connection: Connection): OpsError {
  const host = connection.target.name
  const lost = connection.lostBecause()
  if (!lost) return new OpsError('FAILED', `a command on ${host} ended without a status`, { host })
  return new OpsError(lost.code, `${lost.message} while a command ran: whether it finished is not known`, {
    ...lost.details,
    hint: `Look at ${host} before you run it again.`,
  })
}
