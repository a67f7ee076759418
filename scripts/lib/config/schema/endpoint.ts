/** `endpoint:` — the list of addresses that clients fail over between: serving it, and using one. */
import { z } from 'zod'
import { duration, path, port, secretRef } from './values.ts'

const httpUrl = z.url({ protocol: /^https?$/ })

const endpoint = z
  .union([
    httpUrl.meta({ description: 'An address; its place in the list is its priority' }),
    z.strictObject({
      url: httpUrl.meta({ description: 'http:// or https://' }),
      priority: z.int().min(0).default(0).meta({ description: 'The lower number is used first (default 0)' }),
    }),
  ])
  .meta({ description: 'An address, or { url, priority }' })

const hook = z
  .strictObject({
    action: z.string().min(1).meta({ description: 'The name of an action: `upstream.disable`' }),
    params: z.record(z.string(), z.unknown()).default({}).meta({
      description: 'Its parameters; {kind}, {from}, {to}, {from_host} and {to_host} in texts are filled in',
    }),
  })
  .meta({ description: 'An action that is run by itself: { action, params }' })

const urlPath = z.string().regex(/^(?:\/[^\s?#]*)?$/, 'a path begins with / and has no query')

const serve = z
  .strictObject({
    file: path.default('config/endpoints.txt').meta({
      description: 'The list: DomainList: and IPList:, one host a line (default config/endpoints.txt)',
    }),
    address: z.string().default('127.0.0.1').meta({ description: 'Where it listens (default 127.0.0.1)' }),
    port: port.default(8600).meta({ description: 'Default 8600' }),
    path: urlPath.default('/api/v1/config/endpoints').meta({ description: 'Of the list' }),
    protocol: z.enum(['https', 'http']).default('https').meta({ description: 'Of the addresses in the list' }),
    api_path: urlPath.default('/api/v1').meta({ description: 'After the host of API addresses' }),
    socket_path: urlPath.default('').meta({
      description: 'After the host of Socket.io addresses; they get no default port then',
    }),
    default_port: port.optional().meta({ description: 'For hosts that name no port' }),
    token: secretRef.optional(),
    allow_empty: z.boolean().default(false).meta({
      description: 'true: an empty list may replace a full one',
    }),
    service: z.string().default('opskit-endpoint').meta({ description: 'The name that /health tells' }),
    version: z.string().default('1.0.0').meta({ description: 'The version that /health tells' }),
  })
  .prefault({})
  .meta({ description: 'endpoint.ts serve; the ENDPOINT_… variables of the environment go before these' })

const client = z
  .strictObject({
    api: z.array(endpoint).max(64).default([]).meta({
      description: 'API addresses, until a list is fetched or scanned',
    }),
    socketio: z.array(endpoint).max(64).default([]).meta({ description: 'Socket.io addresses' }),
    health_path: z.string().min(1).default('/health').meta({
      description: 'With a slash from the host, without below the endpoint (default /health)',
    }),
    interval: duration.prefault('5m').meta({ description: 'Between two checks (default 5m)' }),
    timeout: duration.prefault('5s').meta({ description: 'For one check (default 5s)' }),
    failures: z.int().min(1).default(3).meta({ description: 'In a row, that put an endpoint out (default 3)' }),
    allow_private: z.boolean().default(false).meta({
      description: 'true: loopback and private addresses may be in a list',
    }),
    update: z
      .strictObject({
        url: httpUrl.optional().meta({ description: 'Asked for a list first (default: the API endpoints)' }),
        fallback_url: httpUrl.optional().meta({ description: 'Asked when that gave none' }),
        token: secretRef.optional(),
        timeout: duration.prefault('10s').meta({ description: 'For one source (default 10s)' }),
      })
      .prefault({})
      .meta({ description: 'Where a new list comes from' }),
    on_switch: hook.optional(),
    on_all_down: hook.optional(),
    on_recovery: hook.optional(),
  })
  .prefault({})
  .meta({ description: 'The endpoints that this machine uses and watches' })

export const endpointSection = z.strictObject({ serve, client }).prefault({}).meta({
  description: 'Addresses under which the same service can be had',
})

export type EndpointConfig = z.output<typeof endpointSection>
export type EndpointHook = z.output<typeof hook>
