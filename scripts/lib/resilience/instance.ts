/** Instances as people write them: `host:port`, `[2001:db8::1]:443`, a URL, or a bare host; and where to connect to. */
import { OpsError } from '../core/errors.ts'
import type { Instance } from './types.ts'

export interface HostPort {
  readonly host: string
  readonly port: number
}

const DEFAULT_PORT: Readonly<Record<string, number>> = { 'http:': 80, 'https:': 443, 'ws:': 80, 'wss:': 443 }

/** An instance named by its own address. @throws OpsError USAGE when it is no address */
export function parseInstance(text: string): Instance {
  const address = text.trim()
  readHost(address)
  return { id: address, address }
}

/** Where an instance listens. @throws OpsError USAGE when its address names no port and has no scheme that implies one */
export function hostPortOf({ address }: Instance): HostPort {
  const { host, port } = readHost(address)
  if (port === undefined) {
    throw new OpsError('USAGE', `"${address}" names no port`, { hint: `Write it as ${address}:PORT or as a URL.` })
  }
  return { host, port }
}

/** The host of an address without brackets, and its port if it has one. @throws OpsError USAGE */
export function readHost(address: string): { readonly host: string; readonly port: number | undefined } {
  if (address.includes('://')) return readUrl(address)
  const match = /^(?:\[([^[\]\s]+)\]|([^[\]:\s/@?#]+))(?::(\d{1,5}))?$/.exec(address)
  const port = match?.[3] === undefined ? undefined : Number(match[3])
  const host = match?.[1] ?? match?.[2]
  if (host === undefined || (port !== undefined && (port < 1 || port > 65_535))) return refuse(address)
  return { host, port }
}

function readUrl(address: string): { readonly host: string; readonly port: number | undefined } {
  const url = URL.canParse(address) ? new URL(address) : undefined
  if (!url || url.hostname === '') return refuse(address)
  const port = url.port === '' ? DEFAULT_PORT[url.protocol] : Number(url.port)
  return { host: url.hostname.replace(/^\[|\]$/g, ''), port }
}

function refuse(address: string): never {
  throw new OpsError('USAGE', `"${address}" is not an address`, {
    hint: 'Write host:port, [2001:db8::1]:port, or a URL.',
  })
}
