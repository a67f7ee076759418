/**
 * The lists a client keeps, as plain data: what was fetched or scanned, what a person added, and what a person chose.
 * Pure; whoever holds them replaces and writes them.
 */
import { createFieldReader, type Fields } from '../../core/fields.ts'
import { OpsError } from '../../core/errors.ts'
import { MAX_ENDPOINTS, parseJson, readPriority } from './document.ts'
import { KINDS, type Endpoint, type EndpointKind, type EndpointList, type EndpointSource } from './types.ts'
import { parseEndpointUrl, type UrlRules } from './url.ts'

export interface KeptList {
  /** Fetched or scanned; undefined while the list of the program counts. */
  readonly list: readonly Endpoint[] | undefined
  readonly manual: readonly Endpoint[]
  /** Chosen by hand: used first while it answers. */
  readonly chosen: string | undefined
}

export interface KeptLists {
  readonly api: KeptList
  readonly socketio: KeptList
  /** When and from where `list` came; undefined when it never did. Wall clock, milliseconds. */
  readonly updated: { readonly at: number; readonly from: string } | undefined
}

export type ListEntry = Endpoint & { readonly source: EndpointSource }

const NOTHING: KeptList = Object.freeze({ list: undefined, manual: Object.freeze([]), chosen: undefined })
export const NO_LISTS: KeptLists = Object.freeze({ api: NOTHING, socketio: NOTHING, updated: undefined })

/** The endpoints that count, lowest priority number first; what was added by hand wins over the same address in a list. */
export function entriesOf({ list, manual }: KeptList, initial: readonly Endpoint[] = []): ListEntry[] {
  const base = (list ?? initial).filter(({ url }) => !manual.some((other) => other.url === url))
  const source = list ? 'list' : 'initial'
  return [
    ...base.map(({ url, priority }): ListEntry => ({ url, priority, source })),
    ...manual.map(({ url, priority }): ListEntry => ({ url, priority, source: 'manual' })),
  ].sort((a, b) => a.priority - b.priority)
}

/** Takes over a fetched or scanned list; a kind that it does not name, or names as empty, keeps its endpoints. */
export function replaceLists(kept: KeptLists, list: EndpointList, updated: { at: number; from: string }): KeptLists {
  const next = { ...kept, updated }
  for (const kind of KINDS) if (list[kind]?.length) next[kind] = { ...kept[kind], list: list[kind] }
  return next
}

/** @throws OpsError USAGE when there are too many already */
export function addEndpoint(kept: KeptLists, kind: EndpointKind, endpoint: Endpoint): KeptLists {
  const manual = [...kept[kind].manual.filter(({ url }) => url !== endpoint.url), endpoint]
  if (manual.length > MAX_ENDPOINTS) {
    throw new OpsError('USAGE', `${MAX_ENDPOINTS} endpoints were added by hand already`, { hint: 'Remove one first.' })
  }
  return { ...kept, [kind]: { ...kept[kind], manual } }
}

/** Removes it wherever it came from: a list of the program counts as fetched, without it, from then on. */
export function removeEndpoint(
  kept: KeptLists,
  kind: EndpointKind,
  { url, initial = [] }: { readonly url: string; readonly initial?: readonly Endpoint[] },
): KeptLists {
  const { list, manual, chosen } = kept[kind]
  const without = (endpoints: readonly Endpoint[]) => endpoints.filter((endpoint) => endpoint.url !== url)
  const base = list ?? initial
  const next: KeptList = {
    list: base.some((endpoint) => endpoint.url === url) ? without(base) : list,
    manual: without(manual),
    chosen: chosen === url ? undefined : chosen,
  }
  return { ...kept, [kind]: next }
}

export function chooseEndpoint(kept: KeptLists, kind: EndpointKind, url: string | undefined): KeptLists {
  return { ...kept, [kind]: { ...kept[kind], chosen: url } }
}

export function formatLists(kept: KeptLists): string {
  return JSON.stringify({ version: 1, ...kept })
}

const read = createFieldReader('kept endpoints')

/** @throws OpsError DATA_MISMATCH for what `formatLists` did not write, or what the rules do not allow any more */
export function parseLists(text: string, rules: UrlRules): KeptLists {
  const record = read.object(parseJson(text, 'what was kept'), 'the document')
  if (read.number(record, 'version') !== 1) read.oneOf(record, 'version', [])
  const updated = record['updated'] === undefined ? undefined : read.object(record['updated'], 'updated')
  return {
    api: readKept(read.object(record['api'], 'api'), rules),
    socketio: readKept(read.object(record['socketio'], 'socketio'), rules),
    updated: updated && { at: read.number(updated, 'at'), from: read.text(updated, 'from') },
  }
}

function readKept(record: Fields, rules: UrlRules): KeptList {
  return {
    list: record['list'] === undefined ? undefined : readEndpoints(record, 'list', rules),
    manual: readEndpoints(record, 'manual', rules),
    chosen: record['chosen'] === undefined ? undefined : parseEndpointUrl(record['chosen'], 'chosen', rules),
  }
}

function readEndpoints(record: Fields, name: string, rules: UrlRules): Endpoint[] {
  const list = read.list(record, name)
  if (list.length > MAX_ENDPOINTS) throw new OpsError('DATA_MISMATCH', `kept endpoints: ${name} is too long`)
  return list.map((item, index) => {
    const place = `${name}[${index}]`
    const endpoint = read.object(item, place)
    return {
      url: parseEndpointUrl(endpoint['url'], `${place}.url`, rules),
      priority: readPriority(endpoint['priority'], `${place}.priority`),
    }
  })
}
