/**
 * Which ports does this machine listen on, and which process holds each. Whether they ought to be open is for others.
 *
 * Source: proc_pid_net(5); socket states are those of include/net/tcp_states.h. Locally no process is started; elsewhere
 * it takes one `sh`. The owner of a socket is found through /proc/PID/fd, which only root sees for other people's
 * processes, so an owner may be absent.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { OpsError } from '../../core/errors.ts'
import type { HostReader } from '../../host/types.ts'
import { createMark, FRAME_SCRIPT, parseWholeFrames } from '../frames.ts'
import { formatIpv4, formatIpv6 } from '../network/defaults.ts'

export interface ListeningPort {
  readonly protocol: 'tcp' | 'udp'
  readonly family: 4 | 6
  /** `0.0.0.0` or `::` for every address; an IPv6 wildcard usually takes IPv4 as well. */
  readonly address: string
  readonly port: number
  /** True when only this machine can reach it (127.0.0.0/8, ::1). */
  readonly loopback: boolean
  readonly process?: { readonly pid: number; readonly name: string }
}

export interface ReadPortsOptions {
  readonly signal?: AbortSignal
  readonly timeoutMs?: number
  /** False leaves `process` out, which saves a walk over every open file of the machine. Default true. */
  readonly owners?: boolean
}

interface Socket extends ListeningPort {
  readonly inode: string
}

const TABLES = ['tcp', 'tcp6', 'udp', 'udp6'] as const
type Table = (typeof TABLES)[number]
/** TCP_LISTEN, and TCP_CLOSE, which is how an unconnected UDP socket shows. */
const LISTENING: Readonly<Record<'tcp' | 'udp', string>> = { tcp: '0A', udp: '07' }
/** Links followed at most in search of owners: some 100 ms, on a machine with very many open files. */
const MAX_LINKS = 40_000

/**
 * @returns each listening socket once, by port; the same port on two addresses is two entries
 * @throws OpsError UNREACHABLE, TIMEOUT; FAILED when /proc/net cannot be read
 */
export async function readListeningPorts(
  host: HostReader,
  options: ReadPortsOptions = {},
): Promise<readonly ListeningPort[]> {
  const { texts, owners } = host.kind === 'local' ? await readLocal(options) : await readRemote(host, options)
  if (!texts.has('tcp') && !texts.has('tcp6')) {
    throw new OpsError('FAILED', `${host.name} shows no socket table`, {
      host: host.name,
      hint: 'Is /proc mounted there? Try: cat /proc/net/tcp',
    })
  }
  const sockets = TABLES.flatMap((table) => parseSocketTable(texts.get(table) ?? '', table))
  const owned = owners(new Set(sockets.map(({ inode }) => inode)))
  return sockets
    .map(({ inode, ...port }) => {
      const process = owned.get(inode)
      return process ? { ...port, process } : port
    })
    .sort((a, b) => a.port - b.port || a.protocol.localeCompare(b.protocol) || a.family - b.family)
}

/** The listening sockets of one table of /proc/net. */
export function parseSocketTable(text: string, table: Table): Socket[] {
  const protocol = table.startsWith('tcp') ? 'tcp' : 'udp'
  return text.split('\n').flatMap((line): Socket[] => {
    const [, local, , state, , , , , , inode] = line.trim().split(/\s+/)
    const match = /^([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4})$/.exec(local ?? '')
    if (!match || state !== LISTENING[protocol] || inode === undefined) return []
    const [, hex = '', portHex = ''] = match
    const family = hex.length === 8 ? 4 : 6
    const address = family === 4 ? formatIpv4(hex) : formatIpv6(wordsReversed(hex))
    const loopback = /^(127\.|::1$|::ffff:7f)/.test(address)
    return [{ protocol, family, address, port: Number.parseInt(portHex, 16), loopback, inode }]
  })
}

/**
 * Finds socket owners in the output of `ls -l /proc/PID/fd`.
 * @param listing blocks headed `/proc/PID/fd:`; the link targets are `socket:[inode]`
 * @param names lines `PID name`
 */
export function parseOwners(listing: string, names: string): Map<string, { pid: number; name: string }> {
  const nameOf = new Map(names.split('\n').map((line) => [Number.parseInt(line, 10), line.replace(/^\d+ /, '')]))
  const owners = new Map<string, { pid: number; name: string }>()
  let pid = 0
  for (const line of listing.split('\n')) {
    const head = /^\/proc\/(\d+)\/fd:$/.exec(line)
    if (head) pid = Number(head[1])
    const inode = /-> socket:\[(\d+)\]$/.exec(line)?.[1]
    if (inode !== undefined && !owners.has(inode)) owners.set(inode, { pid, name: nameOf.get(pid) ?? '?' })
  }
  return owners
}

interface Looked {
  readonly texts: ReadonlyMap<string, string>
  readonly owners: (inodes: ReadonlySet<string>) => ReadonlyMap<string, { pid: number; name: string }>
}

async function readLocal({ owners = true }: ReadPortsOptions): Promise<Looked> {
  const texts = new Map<string, string>()
  await Promise.all(
    TABLES.map(async (table) => {
      const text = await readFile(`/proc/net/${table}`, 'utf8').catch(() => undefined)
      if (text !== undefined) texts.set(table, text)
    }),
  )
  return { texts, owners: owners ? findLocalOwners : () => new Map() }
}

/** Synchronous on purpose: /proc answers from memory, and a thread hop per link costs many times the link. */
function findLocalOwners(inodes: ReadonlySet<string>): Map<string, { pid: number; name: string }> {
  const found = new Map<string, { pid: number; name: string }>()
  let links = 0
  for (const pid of listOrNone('/proc').filter((name) => /^\d+$/.test(name))) {
    for (const fd of listOrNone(`/proc/${pid}/fd`)) {
      links += 1
      const inode = socketOf(`/proc/${pid}/fd/${fd}`)
      if (inode === undefined || !inodes.has(inode) || found.has(inode)) continue
      found.set(inode, { pid: Number(pid), name: nameOfProcess(pid) })
    }
    if (found.size === inodes.size || links > MAX_LINKS) break
  }
  return found
}

const REMOTE_SCRIPT = `${FRAME_SCRIPT}
pick() { begin "$1"; if has grep; then grep -e " $2 " /proc/net/$1; else cat /proc/net/$1; fi; }
for t in tcp tcp6; do [ -r /proc/net/$t ] && pick $t 0A; done
for t in udp udp6; do [ -r /proc/net/$t ] && pick $t 07; done
if [ "$2" = owners ]; then
  begin fds
  if has grep; then ls -l /proc/[0-9]*/fd | grep -e '^/proc' -e 'socket:'; else ls -l /proc/[0-9]*/fd; fi
  begin names
  for p in /proc/[0-9]*; do IFS= read -r name <$p/comm && printf '%s %s\\n' "\${p#/proc/}" "$name"; done
fi
begin end
`

async function readRemote(host: HostReader, { signal, timeoutMs, owners = true }: ReadPortsOptions): Promise<Looked> {
  const mark = createMark()
  const { stdout } = await host.read(['sh', '-c', REMOTE_SCRIPT, 'sh', mark, owners ? 'owners' : ''], {
    ...(signal && { signal }),
    ...(timeoutMs !== undefined && { timeoutMs }),
  })
  const texts = parseWholeFrames(stdout, mark, host.name)
  return { texts, owners: () => parseOwners(texts.get('fds') ?? '', texts.get('names') ?? '') }
}

/** /proc prints an IPv6 address as four 32-bit words, each in host order. */
function wordsReversed(hex: string): string {
  return (hex.match(/.{8}/g) ?? []).map((word) => (word.match(/../g) ?? []).reverse().join('')).join('')
}

function socketOf(path: string): string | undefined {
  try {
    return /^socket:\[(\d+)\]$/.exec(readlinkSync(path))?.[1]
  } catch {
    return undefined
  }
}

function nameOfProcess(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trimEnd()
  } catch {
    return '?'
  }
}

function listOrNone(path: string): string[] {
  try {
    return readdirSync(path)
  } catch {
    return []
  }
}
