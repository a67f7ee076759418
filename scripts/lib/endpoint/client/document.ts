/**
 * A list of endpoints as JSON, from a server or a QR code. Three forms are in use: single addresses (`api_url`,
 * `socketio_url`), lists of addresses (their order is the priority), and lists of `{url, priority}`. A list is taken whole
 * or not at all.
 */
import { OpsError } from '../../core/errors.ts'
import type { Endpoint, EndpointList } from './types.ts'
import { parseEndpointUrl, type UrlRules } from './url.ts'

/** A QR code holds at most 7,089 characters (ISO/IEC 18004). */
const MAX_QR_CHARS = 7_089
/** More endpoints than this would be tried one after the other for minutes. */
export const MAX_ENDPOINTS = 64
const MAX_PRIORITY = 1_000_000
const MAX_ROOM_CHARS = 256

type Fields = Readonly<Record<string, unknown>>

/**
 * @param subject what it is, as errors name it: `the QR code`
 * @throws OpsError DATA_MISMATCH naming the field that is not as it must be
 */
export function parseEndpointDocument(value: unknown, subject: string, rules: UrlRules = {}): EndpointList {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return refuse(`${subject} is not an object`)
  const fields = value as Fields
  const api = readKind(fields, 'api_endpoints', 'api_url', rules)
  const socketio = readKind(fields, 'socketio_endpoints', 'socketio_url', rules)
  if (!api?.length && !socketio?.length) return refuse(`${subject} names no endpoint`)
  const roomId = readRoom(fields['room_id'])
  return {
    ...(api && { api }),
    ...(socketio && { socketio }),
    ...(roomId !== undefined && { roomId }),
  }
}

/** @throws OpsError DATA_MISMATCH */
export function parseQr(text: string, rules: UrlRules = {}): EndpointList {
  if (text.length > MAX_QR_CHARS) return refuse(`the QR code is longer than ${MAX_QR_CHARS} characters`)
  return parseEndpointDocument(parseJson(text, 'the QR code'), 'the QR code', rules)
}

/** @throws OpsError DATA_MISMATCH */
export function parseJson(text: string, subject: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new OpsError('DATA_MISMATCH', `${subject} is not JSON`, { cause })
  }
}

/**
 *   single    the first endpoint of each kind, for old clients
 *   list      addresses in the order of their priority
 *   priority  addresses with their priorities
 */
export type QrForm = 'single' | 'list' | 'priority'

/** The text of a QR code. @throws OpsError USAGE when there is nothing to put into it, or too much for one */
export function formatQr(list: EndpointList, form: QrForm): string {
  const [api, socketio] = [sorted(list.api), sorted(list.socketio)]
  if (api.length + socketio.length === 0) throw new OpsError('USAGE', 'there are no endpoints to put into a QR code')
  const room = list.roomId === undefined ? {} : { room_id: list.roomId }
  const text = JSON.stringify({ ...shapes[form](api, socketio), ...room })
  // What fits in byte mode at the lowest error correction.
  const bytes = new TextEncoder().encode(text).length
  if (bytes > 2_953) {
    throw new OpsError('USAGE', `${bytes} bytes do not fit into a QR code, which holds 2,953`, {
      hint: 'Use fewer endpoints, or the form "list" or "single".',
    })
  }
  return text
}

const shapes: Readonly<Record<QrForm, (api: readonly Endpoint[], socketio: readonly Endpoint[]) => object>> = {
  single: ([api], [socketio]) => ({
    ...(api && { api_url: api.url }),
    ...(socketio && { socketio_url: socketio.url }),
  }),
  list: (api, socketio) => lists(api, socketio, ({ url }) => url),
  priority: (api, socketio) => lists(api, socketio, ({ url, priority }) => ({ url, priority })),
}

function lists(
  api: readonly Endpoint[],
  socketio: readonly Endpoint[],
  write: (endpoint: Endpoint) => unknown,
): object {
  return {
    ...(api.length > 0 && { api_endpoints: api.map(write) }),
    ...(socketio.length > 0 && { socketio_endpoints: socketio.map(write) }),
  }
}

function sorted(endpoints: readonly Endpoint[] = []): Endpoint[] {
  return [...endpoints].sort((a, b) => a.priority - b.priority)
}

function readKind(fields: Fields, many: string, single: string, rules: UrlRules): Endpoint[] | undefined {
  const list = fields[many]
  if (list === undefined || list === null) {
    const url = fields[single]
    return url === undefined || url === null ? undefined : [{ url: parseEndpointUrl(url, single, rules), priority: 0 }]
  }
  if (!Array.isArray(list)) return refuse(`${many} is not a list`)
  if (list.length > MAX_ENDPOINTS)
    return refuse(`${many} has ${list.length} endpoints; at most ${MAX_ENDPOINTS} are taken`)
  return withoutRepeats(
    list.map((item: unknown, index) => readItem(item, index, { place: `${many}[${index}]`, rules })),
  )
}

function readItem(item: unknown, index: number, { place, rules }: { place: string; rules: UrlRules }): Endpoint {
  if (typeof item === 'string') return { url: parseEndpointUrl(item, place, rules), priority: index }
  if (typeof item !== 'object' || item === null) return refuse(`${place} is neither an address nor an object`)
  const { url, priority = index } = item as { url?: unknown; priority?: unknown }
  return { url: parseEndpointUrl(url, `${place}.url`, rules), priority: readPriority(priority, `${place}.priority`) }
}

/** @throws OpsError DATA_MISMATCH when it is not a whole number from 0 to a million */
export function readPriority(value: unknown, place: string): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= MAX_PRIORITY) return value
  return refuse(`${place} is not a whole number from 0 to ${MAX_PRIORITY}`)
}

function withoutRepeats(endpoints: readonly Endpoint[]): Endpoint[] {
  return endpoints.filter(({ url }, index) => endpoints.findIndex((other) => other.url === url) === index)
}

function readRoom(value: unknown): string | undefined {
  if (value === undefined || value === null) return undefined
  if (typeof value === 'string' && value.length <= MAX_ROOM_CHARS) return value
  return refuse(`room_id is not text of at most ${MAX_ROOM_CHARS} characters`)
}

function refuse(message: string): never {
  throw new OpsError('DATA_MISMATCH', message)
}
