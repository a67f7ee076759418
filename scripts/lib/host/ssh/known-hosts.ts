/**
 * known_hosts: which keys a machine is known by, and whether the key it shows is one of them. Pure but for reading files.
 * Source: sshd(8) "SSH_KNOWN_HOSTS FILE FORMAT"; the order of questions is OpenSSH's check_host_key().
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { messageOf, OpsError, systemCode } from '../../core/errors.ts'
import { matchesPatterns } from './patterns.ts'

export interface KnownHostLine {
  readonly file: string
  /** From 1. */
  readonly line: number
  readonly marker: 'revoked' | 'cert-authority' | undefined
  /** Patterns, or one hashed name. */
  readonly hosts: string
  /** `ssh-ed25519`, `ssh-rsa`, `ecdsa-sha2-nistp256`, … */
  readonly type: string
  readonly key: Buffer
}

export type HostKeyVerdict =
  | { readonly kind: 'known'; readonly by: KnownHostLine }
  | { readonly kind: 'unknown' }
  /** Known, by other keys of the same or of another type. */
  | { readonly kind: 'changed'; readonly known: readonly KnownHostLine[] }
  | { readonly kind: 'revoked'; readonly by: KnownHostLine }
  /** Known only through a certificate authority, which is not supported. */
  | { readonly kind: 'authority'; readonly by: KnownHostLine }

const DEFAULT_SSH_PORT = 22

/** Files that do not exist know nobody. @throws OpsError NOT_PERMITTED when one cannot be read */
export async function readKnownHosts(files: readonly string[]): Promise<readonly KnownHostLine[]> {
  const all = await Promise.all(
    files.map(async (file) => {
      try {
        return parseKnownHosts(await readFile(file, 'utf8'), file)
      } catch (error) {
        if (['ENOENT', 'ENOTDIR'].includes(systemCode(error) ?? '')) return []
        throw new OpsError('NOT_PERMITTED', `cannot read ${file}: ${messageOf(error)}`, { place: file, cause: error })
      }
    }),
  )
  return all.flat()
}

/** Lines that are no entries (comments, unknown markers, damaged keys) are passed over, as OpenSSH does. */
export function parseKnownHosts(text: string, file: string): KnownHostLine[] {
  return text.split('\n').flatMap((raw, index) => {
    const words = raw.trim().split(/\s+/)
    const marked = words[0]?.startsWith('@')
    const marker = marked ? words.shift()?.slice(1) : undefined
    const [hosts = '', type = '', base64 = ''] = words
    if (hosts === '' || hosts.startsWith('#') || !/^[A-Za-z0-9+/]+=*$/.test(base64)) return []
    if (marker !== undefined && marker !== 'revoked' && marker !== 'cert-authority') return []
    return [{ file, line: index + 1, marker, hosts, type, key: Buffer.from(base64, 'base64') }]
  })
}

/** `example.com`, or `[example.com]:2222` for another port than 22. */
export function lookupName(host: string, port: number): string {
  return port === DEFAULT_SSH_PORT ? host.toLowerCase() : `[${host.toLowerCase()}]:${port}`
}

export function matchesHost(hosts: string, name: string): boolean {
  const hashed = /^\|1\|([^|]+)\|(.+)$/.exec(hosts)
  if (!hashed) return matchesPatterns(hosts.split(','), name)
  const want = Buffer.from(hashed[2] ?? '', 'base64')
  const have = createHmac('sha1', Buffer.from(hashed[1] ?? '', 'base64'))
    .update(name)
    .digest()
  return want.length === have.length && timingSafeEqual(want, have)
}

export interface HostKeyQuestion {
  readonly host: string
  readonly port: number
  /** The key that was shown, as it goes over the wire. */
  readonly key: Buffer
}

export function decideHostKey(lines: readonly KnownHostLine[], { host, port, key }: HostKeyQuestion): HostKeyVerdict {
  const byPort = lines.filter(({ hosts }) => matchesHost(hosts, lookupName(host, port)))
  const byName = port === DEFAULT_SSH_PORT ? [] : lines.filter(({ hosts }) => matchesHost(hosts, host.toLowerCase()))
  const revoked = [...byPort, ...byName].find((line) => line.marker === 'revoked' && line.key.equals(key))
  if (revoked) return { kind: 'revoked', by: revoked }
  const plain = byPort.filter(({ marker }) => marker === undefined)
  const known = plain.find((line) => line.key.equals(key))
  if (known) return { kind: 'known', by: known }
  if (plain.length > 0) return { kind: 'changed', known: plain }
  // As OpenSSH: a host on another port is accepted by the key that its name has, but not refused because of it.
  const elsewhere = byName.find((line) => line.marker === undefined && line.key.equals(key))
  if (elsewhere) return { kind: 'known', by: elsewhere }
  const authority = byPort.find(({ marker }) => marker === 'cert-authority')
  return authority ? { kind: 'authority', by: authority } : { kind: 'unknown' }
}

/** ssh-rsa names the key; the signature is asked for with SHA-2 first (RFC 8332). */
const ALGORITHMS_OF: Readonly<Record<string, readonly string[]>> = {
  'ssh-rsa': ['rsa-sha2-512', 'rsa-sha2-256', 'ssh-rsa'],
}

/** The offered algorithms, those first for which the host has a known key, so that it shows one we can check. */
export function preferKnownTypes(
  lines: readonly KnownHostLine[],
  { host, port }: Omit<HostKeyQuestion, 'key'>,
  offered: readonly string[],
): string[] {
  const names = [lookupName(host, port), host.toLowerCase()]
  const types = lines
    .filter(({ marker, hosts }) => marker === undefined && names.some((name) => matchesHost(hosts, name)))
    .flatMap(({ type }) => ALGORITHMS_OF[type] ?? [type])
  const known = offered.filter((algorithm) => types.includes(algorithm))
  return [...known, ...offered.filter((algorithm) => !known.includes(algorithm))]
}

/** As `ssh-keygen -l` prints it. */
export function fingerprintOf(key: Buffer): string {
  return `SHA256:${createHash('sha256').update(key).digest('base64').replace(/=+$/, '')}`
}

/** The type that a key names itself: its first string (RFC 4253, 6.6). */
export function typeOf(key: Buffer): string {
  const length = key.length >= 4 ? key.readUInt32BE(0) : 0
  return length > 0 && length <= 64 ? key.subarray(4, 4 + length).toString('latin1') : 'unknown'
}
