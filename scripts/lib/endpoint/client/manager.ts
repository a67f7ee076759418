/**
 * The endpoint client: keeps the lists, checks the endpoints, says which is used, and sends requests that go on to the next
 * endpoint when one fails. `index.ts` is the door; docs/how-to/endpoint.md shows how it is used.
 */
import { messageOf, OpsError } from '../../core/errors.ts'
import { createEmitter } from '../../resilience/events.ts'
import type { Evidence } from '../../resilience/failover.ts'
import type { CallOptions, FailoverResult, Operation } from '../../resilience/types.ts'
import { createGroup, type Group } from './group.ts'
import {
  addEndpoint,
  chooseEndpoint,
  entriesOf,
  formatLists,
  NO_LISTS,
  removeEndpoint,
  replaceLists,
  type KeptLists,
} from './lists.ts'
import { readPriority } from './document.ts'
import { readEndpointOptions, type EndpointOptions } from './options.ts'
import { fetchEndpointList } from './remote.ts'
import { requestFrom, type EndpointRequest } from './request.ts'
import { formatHealth } from './saved.ts'
import { createWriter, restoreKept } from './keep.ts'
import {
  KINDS,
  type EndpointEvent,
  type EndpointKind,
  type EndpointList,
  type EndpointStatus,
  type StoragePart,
} from './types.ts'
import { parseEndpointUrl } from './url.ts'

export interface UpdateRequest {
  /** Who is asked first; default: the API endpoints, the one in use first. */
  readonly url?: string
  /** Asked when that gave no list. */
  readonly fallbackUrl?: string
  readonly token?: string
  readonly signal?: AbortSignal
}

export interface EndpointManager {
  /** The address to use now. When all are out, the last one that was used; undefined when there is none at all. */
  current(kind: EndpointKind): string | undefined
  /** All endpoints of a kind, lowest priority number first. */
  status(kind: EndpointKind): EndpointStatus[]
  /** When and from where the last list was taken over. */
  updated(): KeptLists['updated']
  /** As `fetch`, to a path of the API: the first endpoint that answers with less than 500. @throws what the last one failed with */
  fetch(path: string, request?: EndpointRequest): Promise<Response>
  /** Any operation on an endpoint of a kind; `instance.address` is its address. Bad news is in the result. */
  call<T>(kind: EndpointKind, operation: Operation<T>, options?: CallOptions): Promise<FailoverResult<T>>
  /** How a connection fared that was not made by `fetch` or `call`; of an address that is not listed (any more), nothing. */
  report(kind: EndpointKind, url: string, evidence: Evidence): void
  /** Checks all endpoints once, now. */
  check(signal?: AbortSignal): Promise<void>
  /** Adds one by hand, or changes its priority (default 0). @throws OpsError DATA_MISMATCH for an address that must not be used */
  add(kind: EndpointKind, url: string, priority?: number): Promise<void>
  /** @throws OpsError USAGE when it is not in the list */
  remove(kind: EndpointKind, url: string): Promise<void>
  /** Uses this one while it answers; undefined goes back to priorities. @throws OpsError USAGE when it is not in the list */
  use(kind: EndpointKind, url: string | undefined): Promise<void>
  /** Takes over a list, of a QR code for one (`parseQr`). Endpoints that were added by hand stay. */
  apply(list: EndpointList, from: string): Promise<void>
  /** Fetches a list and takes it over. @throws OpsError UNREACHABLE, and the list stays as it was, when nobody gives a valid one */
  update(request?: UpdateRequest): Promise<EndpointList>
  /** @returns a function that ends the subscription */
  on(listener: (event: EndpointEvent) => void): () => void
  /** Stops the checks and writes what must be kept. */
  close(): Promise<void>
}

/**
 * Reads what was kept and starts the checks. What cannot be read is a `problem`, and the client starts without it.
 * @param onEvent hears what happens while it opens, too
 * @throws OpsError USAGE or DATA_MISMATCH for wrong options
 */
export async function openEndpointManager(
  options: EndpointOptions = {},
  onEvent?: (event: EndpointEvent) => void,
): Promise<EndpointManager> {
  const settings = readEndpointOptions(options)
  // A listener that throws must not stop the failover that it listens to.
  const events = createEmitter<EndpointEvent>(() => undefined)
  if (onEvent) events.on(onEvent)
  const emit = (event: EndpointEvent) => {
    events.emit(event)
    if (event.type === 'health' || event.type === 'switch') save('health')
  }
  const groups = {
    api: createGroup({ kind: 'api', settings, emit }),
    socketio: createGroup({ kind: 'socketio', settings, emit }),
  }
  let lists: KeptLists = NO_LISTS
  let isOpen = false
  const texts: Readonly<Record<StoragePart, () => string>> = {
    list: () => formatLists(lists),
    health: () =>
      formatHealth({
        savedAt: settings.clock.now(),
        groups: { api: groups.api.save(), socketio: groups.socketio.save() },
      }),
  }
  const writer = createWriter(settings, texts, (because) => emit({ type: 'problem', because }))
  const save = (part: StoragePart) => void (isOpen && writer.write(part))
  const setLists = (next: KeptLists) => {
    lists = next
    for (const kind of KINDS) {
      groups[kind].setEntries(entriesOf(lists[kind], settings.initial[kind]), lists[kind].chosen)
    }
  }
  const change = async (next: KeptLists) => {
    setLists(next)
    await writer.write('list')
    if (settings.autoCheck && isOpen) void check()
  }
  const check = async (signal?: AbortSignal) => {
    await Promise.all(KINDS.map((kind) => groups[kind].check(signal)))
    await writer.write('health')
  }
  const rules = { allowPrivate: settings.allowPrivate }
  const requireListed = (kind: EndpointKind, text: string): string => {
    const url = parseEndpointUrl(text, 'the address', { allowPrivate: true })
    if (groups[kind].status().some((endpoint) => endpoint.url === url)) return url
    throw new OpsError('USAGE', `${url} is not in the ${kind} list`)
  }

  const apply = async (list: EndpointList, from: string) => {
    await change(replaceLists(lists, list, { at: settings.clock.now(), from }))
    emit({ type: 'updated', from, api: list.api?.length ?? 0, socketio: list.socketio?.length ?? 0 })
  }

  await restoreKept({ settings, groups, setLists, onProblem: (because) => emit({ type: 'problem', because }) })
  isOpen = true
  if (settings.autoCheck) for (const kind of KINDS) groups[kind].startChecks()

  return {
    current: (kind) => groups[kind].current(),
    status: (kind) => groups[kind].status(),
    updated: () => lists.updated,
    fetch: (path, request = {}) => requestFrom(groups[request.kind ?? 'api'], { path, request, settings }),
    call: (kind, operation, callOptions = {}) => groups[kind].call(operation, callOptions),
    report(kind, url, evidence) {
      if (groups[kind].status().some((endpoint) => endpoint.url === url)) groups[kind].report(url, evidence)
    },
    check,
    async add(kind, text, priority = 0) {
      const url = parseEndpointUrl(text, 'the address', rules)
      await change(addEndpoint(lists, kind, { url, priority: readPriority(priority, 'the priority') }))
    },
    async remove(kind, text) {
      await change(removeEndpoint(lists, kind, { url: requireListed(kind, text), initial: settings.initial[kind] }))
    },
    async use(kind, text) {
      await change(chooseEndpoint(lists, kind, text === undefined ? undefined : requireListed(kind, text)))
    },
    apply,
    async update({ url, fallbackUrl, token, signal } = {}) {
      const own = url === undefined ? sourcesOf(groups.api) : [url]
      const sources = [...new Set([...own, ...(fallbackUrl === undefined ? [] : [fallbackUrl])])]
      try {
        const { list, from } = await fetchEndpointList({
          ...{ sources, token, signal, rules },
          fetch: settings.fetch,
          clock: settings.clock,
          timeoutMs: settings.updateTimeoutMs,
        })
        await apply(list, from)
        return list
      } catch (error) {
        emit({ type: 'update-failed', because: messageOf(error) })
        throw error
      }
    },
    on: (listener) => events.on(listener),
    async close() {
      await Promise.all(KINDS.map((kind) => groups[kind].close()))
      await writer.write('health')
      isOpen = false
    },
  }
}

/** The endpoint in use, then the next two: more would make a client with a dead list wait for minutes. */
function sourcesOf(group: Group): string[] {
  const current = group.current()
  const others = group.status().flatMap(({ url }) => (url === current ? [] : [url]))
  return [...(current === undefined ? [] : [current]), ...others].slice(0, 3)
}
