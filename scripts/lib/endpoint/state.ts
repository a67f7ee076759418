/** Where this machine's client keeps its lists and its health (the journal's database), and how the config sets it up. */
import type { ActionContext } from '../action/types.ts'
import type { EndpointConfig } from '../config/types.ts'
import { messageOf } from '../core/errors.ts'
import type { EndpointOptions } from './client/options.ts'
import { readEndpointOptions } from './client/options.ts'
import { lookupAll } from './client/names.ts'
import { entriesOf, NO_LISTS, parseLists, type KeptLists, type ListEntry } from './client/lists.ts'
import type { Endpoint, EndpointKind, EndpointStorage, StoragePart } from './client/types.ts'

export type StateStore = Pick<ActionContext['journal'], 'getState' | 'setState'>

const KEYS: Readonly<Record<StoragePart, string>> = { list: 'endpoint.list', health: 'endpoint.health' }

export function createJournalStorage(journal: StateStore): EndpointStorage {
  return {
    read: async (part) => readText(journal, part),
    write: async (part, text) => journal.setState(KEYS[part], text),
  }
}

export function writeLists(journal: StateStore, text: string | undefined): void {
  journal.setState(KEYS.list, text)
}

/** The text of the kept lists, as it is written; undefined when none are kept. */
export function readListText(journal: StateStore): string | undefined {
  return readText(journal, 'list')
}

/** @returns the kept lists, and why they could not be read when they could not */
export function readLists(journal: StateStore, config: EndpointConfig): { lists: KeptLists; problem?: string } {
  const text = readListText(journal)
  if (text === undefined) return { lists: NO_LISTS }
  try {
    return { lists: parseLists(text, { allowPrivate: config.client.allow_private }) }
  } catch (error) {
    return { lists: NO_LISTS, problem: `the kept list is left aside: ${messageOf(error)}` }
  }
}

/** The endpoints of a kind that count now. */
export function listedEndpoints(lists: KeptLists, kind: EndpointKind, config: EndpointConfig): ListEntry[] {
  return entriesOf(lists[kind], initialEndpoints(config, kind))
}

/** @throws OpsError DATA_MISMATCH for an address in the config that must not be used */
export function initialEndpoints(config: EndpointConfig, kind: EndpointKind): readonly Endpoint[] {
  return readEndpointOptions(clientOptions(config)).initial[kind]
}

/** Everything but clock and storage. */
export function clientOptions({ client }: EndpointConfig): EndpointOptions {
  return {
    initial: { api: client.api, socketio: client.socketio },
    autoCheck: false,
    checkIntervalMs: client.interval,
    checkTimeoutMs: client.timeout,
    failures: client.failures,
    healthPath: client.health_path,
    allowPrivate: client.allow_private,
    lookup: lookupAll,
    updateTimeoutMs: client.update.timeout,
  }
}

function readText(journal: StateStore, part: StoragePart): string | undefined {
  const value = journal.getState(KEYS[part])
  return typeof value === 'string' ? value : undefined
}
