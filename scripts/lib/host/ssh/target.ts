/**
 * Where to connect and how: the opskit host's own settings first, then `~/.ssh/config` and `/etc/ssh/ssh_config` where
 * they are silent, then OpenSSH's defaults. Pure; the files are read by others. Source: ssh_config(5).
 */
import { homedir, hostname, userInfo } from 'node:os'
import { join } from 'node:path'
import { parseDuration } from '../../core/duration.ts'
import { OpsError } from '../../core/errors.ts'
import type { Secret } from '../../core/secret.ts'
import { settingsFor, type SshConfigFile, type SshSettingLines } from './config-file.ts'

/** A host as the operator wrote it down; every other setting comes from the ssh config files. */
export interface SshSettings {
  /** An address or an alias. */
  readonly host: string
  readonly port?: number | undefined
  readonly user?: string | undefined
  readonly identityFile?: string | undefined
  readonly passphrase?: Secret | undefined
  readonly password?: Secret | undefined
  /** Names of hosts or `user@host:port`, comma-separated, first hop first; `none` turns an inherited one off. */
  readonly proxyJump?: string | undefined
  readonly knownHosts?: string | undefined
  /** False: no agent. */
  readonly agent?: boolean | undefined
  readonly connectTimeoutMs?: number | undefined
  readonly keepAliveMs?: number | undefined
}

export interface SshTarget {
  /** For messages: the opskit name, or the alias of a hop. */
  readonly name: string
  readonly host: string
  readonly port: number
  readonly user: string
  /** The name to look up in known_hosts. */
  readonly keyName: string
  /** Configured keys; the default ones when there are none. */
  readonly identityFiles: readonly string[]
  readonly identitiesOnly: boolean
  readonly agentSocket: string | undefined
  readonly passphrase: Secret | undefined
  readonly password: Secret | undefined
  /** The user's first, then the system's. */
  readonly knownHostsFiles: readonly string[]
  readonly connectTimeoutMs: number
  readonly keepAliveMs: number
  readonly keepAliveCount: number
  readonly family: 0 | 4 | 6
  readonly bindAddress: string | undefined
  /** Hops as written, first one first. */
  readonly jumps: readonly string[]
}

export interface TargetContext {
  readonly files: readonly SshConfigFile[]
  readonly env: NodeJS.ProcessEnv
}

const DEFAULT_CONNECT_TIMEOUT_MS = 5_000
const DEFAULT_KEEP_ALIVE_MS = 15_000
/** OpenSSH's ServerAliveCountMax. */
const DEFAULT_KEEP_ALIVE_COUNT = 3
const DEFAULT_IDENTITIES = ['id_ed25519', 'id_ecdsa', 'id_rsa']

/** @throws OpsError CONFIG_INVALID for a setting that cannot be honoured */
export function resolveTarget(name: string, settings: SshSettings, { files, env }: TargetContext): SshTarget {
  const lines = settingsFor(files, settings.host, settings.user)
  const first = (keyword: string) => firstWord(lines, keyword)
  const address = expandTokens(first('hostname') ?? '%h', { h: settings.host })
  const port = settings.port ?? portOf(first('port'), name)
  const user = settings.user ?? first('user') ?? userInfo().username
  const tokens = tokensFor({ address, alias: settings.host, port, user })
  const path = (text: string) => expandPath(text, tokens, env)
  return {
    name,
    host: address,
    port,
    user,
    keyName: first('hostkeyalias') ?? address,
    identityFiles: identitiesOf(settings, lines).map(path),
    identitiesOnly: isYes(first('identitiesonly')),
    agentSocket: agentOf(settings, first('identityagent'), { env, path }),
    passphrase: settings.passphrase,
    password: settings.password,
    knownHostsFiles: knownHostsOf(settings, lines).map(path),
    connectTimeoutMs: settings.connectTimeoutMs ?? seconds(first('connecttimeout')) ?? DEFAULT_CONNECT_TIMEOUT_MS,
    keepAliveMs: settings.keepAliveMs ?? seconds(first('serveraliveinterval')) ?? DEFAULT_KEEP_ALIVE_MS,
    keepAliveCount: Number(first('serveralivecountmax') ?? DEFAULT_KEEP_ALIVE_COUNT),
    family: ({ inet: 4, inet6: 6 } as const)[first('addressfamily') ?? ''] ?? 0,
    bindAddress: first('bindaddress'),
    jumps: jumpsOf(settings, lines, name),
  }
}

function firstWord(lines: SshSettingLines, keyword: string): string | undefined {
  return lines.get(keyword)?.[0]?.[0]
}

/** Every IdentityFile line counts, unlike other settings. */
function identitiesOf(settings: SshSettings, lines: SshSettingLines): string[] {
  if (settings.identityFile !== undefined) return [settings.identityFile]
  const configured = lines.get('identityfile')?.map((words) => words.join(' ')) ?? []
  const files = configured.length > 0 ? configured : DEFAULT_IDENTITIES.map((file) => `~/.ssh/${file}`)
  return files.filter((file) => file.toLowerCase() !== 'none')
}

function knownHostsOf(settings: SshSettings, lines: SshSettingLines): string[] {
  const user = settings.knownHosts === undefined ? lines.get('userknownhostsfile')?.[0] : [settings.knownHosts]
  const system = lines.get('globalknownhostsfile')?.[0]
  const files = [
    ...(user ?? ['~/.ssh/known_hosts', '~/.ssh/known_hosts2']),
    ...(system ?? ['/etc/ssh/ssh_known_hosts', '/etc/ssh/ssh_known_hosts2']),
  ]
  return files.filter((file) => file.toLowerCase() !== 'none')
}

function agentOf(
  settings: SshSettings,
  configured: string | undefined,
  { env, path }: { env: NodeJS.ProcessEnv; path: (text: string) => string },
): string | undefined {
  if (settings.agent === false || configured?.toLowerCase() === 'none') return undefined
  if (configured === undefined || configured === 'SSH_AUTH_SOCK') return env['SSH_AUTH_SOCK'] || undefined
  return configured.startsWith('$') && !configured.startsWith('${') ? env[configured.slice(1)] : path(configured)
}

/** ProxyJump and ProxyCommand compete: the first of the two that is set counts. */
function jumpsOf(settings: SshSettings, lines: SshSettingLines, name: string): string[] {
  const jump = settings.proxyJump ?? firstWord(lines, 'proxyjump')
  if (jump === undefined) {
    const command = lines.get('proxycommand')?.[0]?.join(' ')
    if (command === undefined || command.toLowerCase() === 'none') return []
    throw new OpsError(
      'CONFIG_INVALID',
      `the ssh config reaches ${name} by a ProxyCommand, which opskit does not run`,
      {
        host: name,
        hint: 'Use ProxyJump there, or proxy_jump in opskit.yaml (proxy_jump: none connects directly).',
      },
    )
  }
  return jump.toLowerCase() === 'none'
    ? []
    : jump
        .split(',')
        .map((hop) => hop.trim())
        .filter(Boolean)
}

/** `user@host:port`, `[::1]:22`, `ssh://user@host:port` or an alias. */
export function parseHop(text: string): Pick<SshSettings, 'host' | 'port' | 'user'> {
  const match = /^(?:ssh:\/\/)?(?:([^@]+)@)?(?:\[([^\]]+)\]|([^:]+))(?::(\d+))?$/.exec(text)
  const host = match?.[2] ?? match?.[3]
  if (!match || host === undefined) {
    throw new OpsError('CONFIG_INVALID', `"${text}" is not a host to jump through`, {
      hint: 'Write [user@]host[:port].',
    })
  }
  return { host, user: match[1], port: match[4] === undefined ? undefined : Number(match[4]) }
}

function portOf(text: string | undefined, name: string): number {
  const port = Number(text ?? 22)
  if (Number.isInteger(port) && port > 0 && port < 65_536) return port
  throw new OpsError('CONFIG_INVALID', `the ssh config gives ${name} the port "${text}"`, { host: name })
}

/** sshd_config(5) TIME FORMATS: a bare number is seconds. 0 and `none` mean: not set. */
function seconds(text: string | undefined): number | undefined {
  if (text === undefined || text === 'none') return undefined
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : parseDuration(text)
  return ms > 0 ? ms : undefined
}

function isYes(text: string | undefined): boolean {
  return text?.toLowerCase() === 'yes'
}

interface Names {
  readonly address: string
  readonly alias: string
  readonly port: number
  readonly user: string
}

/** ssh_config(5) TOKENS, those that mean something here. */
function tokensFor({ address, alias, port, user }: Names): Readonly<Record<string, string>> {
  const me = userInfo()
  const own = { d: homedir(), i: String(me.uid), u: me.username, l: hostname(), L: hostname().split('.')[0] ?? '' }
  return { ...own, h: address, n: alias, p: String(port), r: user }
}

function expandTokens(text: string, tokens: Readonly<Record<string, string>>): string {
  return text.replace(/%(.)/g, (whole, token: string) => (token === '%' ? '%' : (tokens[token] ?? whole)))
}

function expandPath(text: string, tokens: Readonly<Record<string, string>>, env: NodeJS.ProcessEnv): string {
  const home = text === '~' || text.startsWith('~/') ? join(homedir(), text.slice(1)) : text
  return expandTokens(home, tokens).replace(/\$\{(\w+)\}/g, (whole, key: string) => env[key] ?? whole)
}
