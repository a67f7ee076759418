/** Hosts to the document that clients fetch: `{"api_endpoints":[{"url","priority"}],"socketio_endpoints":[…]}`. */
import type { EndpointFile } from './parse.ts'

export interface ConvertSettings {
  /** `https` or `http`. */
  readonly protocol: string
  /** After the host of API addresses: `/api/v1`. */
  readonly apiPath: string
  /** After the host of Socket.io addresses; when it is set, these get no default port. */
  readonly socketPath: string
  /** For hosts that name no port. */
  readonly defaultPort: number | undefined
}

export const DEFAULT_CONVERT: ConvertSettings = Object.freeze({
  protocol: 'https',
  apiPath: '/api/v1',
  socketPath: '',
  defaultPort: undefined,
})

export interface ServedEndpoint {
  readonly url: string
  readonly priority: number
}

export interface EndpointDocument {
  readonly api_endpoints: readonly ServedEndpoint[]
  readonly socketio_endpoints: readonly ServedEndpoint[]
}

/** Domains first, then addresses; the place in the list is the priority. */
export function convertEndpoints({ domains, ips }: EndpointFile, settings: ConvertSettings): EndpointDocument {
  const { protocol, apiPath, socketPath, defaultPort } = settings
  const hosts = [...domains, ...ips]
  const withPort = (host: string) => (defaultPort && !hasPort(host) ? `${host}:${defaultPort}` : host)
  return {
    api_endpoints: hosts.map((host, priority) => ({ url: `${protocol}://${withPort(host)}${apiPath}`, priority })),
    socketio_endpoints: hosts.map((host, priority) => ({
      url: socketPath ? `${protocol}://${host}${socketPath}` : `${protocol}://${withPort(host)}`,
      priority,
    })),
  }
}

/** The bytes that the reference server sends: compact JSON in UTF-8, nothing escaped that need not be. */
export function formatDocument(document: EndpointDocument): string {
  return JSON.stringify(document)
}

function hasPort(host: string): boolean {
  return /^(?:\[[^\]]*\]|[^:]*):\d+$/.test(host)
}

export interface ReadSettings {
  readonly settings: ConvertSettings
  readonly file: string | undefined
  /** Sentences about variables that were not taken. */
  readonly warnings: readonly string[]
}

/**
 * The environment variables of the reference server over other settings: `ENDPOINT_CONFIG_FILE`, `ENDPOINT_PROTOCOL`,
 * `ENDPOINT_API_PATH`, `ENDPOINT_SOCKET_PATH`, `ENDPOINT_DEFAULT_PORT`. As there, a port that is no port means none.
 */
export function readEnvironment(
  env: Readonly<Record<string, string | undefined>>,
  base: ConvertSettings = DEFAULT_CONVERT,
): ReadSettings {
  const warnings: string[] = []
  const protocol = env['ENDPOINT_PROTOCOL'] ?? base.protocol
  const isKnown = protocol === 'https' || protocol === 'http'
  if (!isKnown) warnings.push(`ENDPOINT_PROTOCOL is "${protocol}", not https or http: ${base.protocol} is used`)
  return {
    settings: {
      protocol: isKnown ? protocol : base.protocol,
      apiPath: env['ENDPOINT_API_PATH'] ?? base.apiPath,
      socketPath: env['ENDPOINT_SOCKET_PATH'] ?? base.socketPath,
      defaultPort: readPort(env['ENDPOINT_DEFAULT_PORT'], base.defaultPort, warnings),
    },
    file: env['ENDPOINT_CONFIG_FILE'],
    warnings,
  }
}

function readPort(text: string | undefined, base: number | undefined, warnings: string[]): number | undefined {
  if (text === undefined) return base
  if (text === '') return undefined
  const port = /^\s*\d{1,5}\s*$/.test(text) ? Number(text) : Number.NaN
  if (port >= 1 && port <= 65_535) return port
  if (port !== 0) warnings.push(`ENDPOINT_DEFAULT_PORT is "${text}", not a port from 1 to 65535: none is used`)
  return undefined
}
