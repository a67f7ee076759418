/** The actions that change this machine's list: `endpoint.add`, `.remove`, `.use`, `.update`. One lease, one step each. */
import { z } from 'zod'
import type { ActionContext, ChangeAction } from '../action/types.ts'
import { OpsError } from '../core/errors.ts'
import type { Plan } from '../plan/types.ts'
import { readPriority } from './client/document.ts'
import {
  addEndpoint,
  chooseEndpoint,
  formatLists,
  removeEndpoint,
  replaceLists,
  type KeptLists,
  type ListEntry,
} from './client/lists.ts'
import { fetchEndpointList } from './client/remote.ts'
import { KINDS, type EndpointKind } from './client/types.ts'
import { parseEndpointUrl } from './client/url.ts'
import { openClient } from './action-look.ts'
import { KIND_NAMES } from './describe.ts'
import { readEndpointOptions } from './client/options.ts'
import { clientOptions, listedEndpoints, readLists, readListText, writeLists } from './state.ts'

const kind = z.enum(['api', 'socketio']).default('api')
const lease = () => 'endpoint:list'

const addParams = z.strictObject({ url: z.string(), kind, priority: z.number().default(0) })

export const addAction: ChangeAction<z.output<typeof addParams>> = {
  name: 'endpoint.add',
  summary: 'Adds an endpoint by hand, or changes its priority; it stays whatever list is fetched',
  params: addParams,
  changes: true,
  lease,
  async plan(context, params) {
    const url = checkUrl(params.url, context)
    const priority = asUsage(() => readPriority(params.priority, 'the priority'))
    const title = `Add ${url} to the ${KIND_NAMES[params.kind]} endpoints with priority ${priority}`
    return planLists(context, title, (lists) => addEndpoint(lists, params.kind, { url, priority }))
  },
}

const urlParams = z.strictObject({ url: z.string(), kind })

export const removeAction: ChangeAction<z.output<typeof urlParams>> = {
  name: 'endpoint.remove',
  summary: 'Takes an endpoint out of the list',
  params: urlParams,
  changes: true,
  lease,
  async plan(context, params) {
    const entry = findListed(params, context)
    if (entry.source === 'initial') {
      throw new OpsError('USAGE', `${entry.url} stands in opskit.yaml`, {
        hint: `Take it out of endpoint.client.${params.kind} there.`,
      })
    }
    const title = `Remove ${entry.url} from the ${KIND_NAMES[params.kind]} endpoints`
    return planLists(context, title, (lists) => removeEndpoint(lists, params.kind, { url: entry.url }))
  },
}

/** `auto` goes back to priorities. */
export const useAction: ChangeAction<z.output<typeof urlParams>> = {
  name: 'endpoint.use',
  summary: 'Uses one endpoint while it answers, whatever its priority; "auto" goes back to priorities',
  params: urlParams,
  changes: true,
  lease,
  async plan(context, params) {
    const url = params.url === 'auto' ? undefined : findListed(params, context).url
    const name = KIND_NAMES[params.kind]
    const title = url === undefined ? `Use the ${name} endpoints by their priority` : `Use the ${name} endpoint ${url}`
    return planLists(context, title, (lists) => chooseEndpoint(lists, params.kind, url))
  },
}

const updateParams = z.strictObject({ url: z.string().optional(), fallbackUrl: z.string().optional() })

export const updateAction: ChangeAction<z.output<typeof updateParams>> = {
  name: 'endpoint.update',
  summary: 'Fetches the list from a server and takes it over; on any error the list stays',
  params: updateParams,
  changes: true,
  lease,
  async plan(context, params) {
    const { config, clock, signal, resolveSecret } = context
    const { update, allow_private: allowPrivate } = config.endpoint.client
    const token = update.token && (await resolveSecret(update.token)).reveal()
    const own = params.url ?? update.url
    const sources = [
      ...(own === undefined ? await readSources(context) : [own]),
      params.fallbackUrl ?? update.fallback_url,
    ]
    const { list, from } = await fetchEndpointList({
      sources: [...new Set(sources.filter((source) => source !== undefined))],
      token,
      fetch: readEndpointOptions(clientOptions(config.endpoint)).fetch,
      clock,
      timeoutMs: update.timeout,
      rules: { allowPrivate },
      signal,
    })
    return planLists(context, `Take over the list of ${from}`, (lists) => {
      const next = replaceLists(lists, list, { at: clock.now(), from })
      // The same list again is no change, whenever it was fetched.
      const isSame = formatLists({ ...next, updated: lists.updated }) === formatLists(lists)
      return isSame && lists.updated?.from === from ? lists : next
    })
  },
}

/** The endpoint in use, then the others. */
async function readSources(context: ActionContext): Promise<string[]> {
  const manager = await openClient(context, () => undefined, { readOnly: true })
  const current = manager.current('api')
  const others = manager.status('api').map(({ url }) => url)
  await manager.close()
  return [...new Set([...(current === undefined ? [] : [current]), ...others])].slice(0, 3)
}

/** A plan of one step, or of none when nothing would change. */
function planLists(context: ActionContext, title: string, change: (lists: KeptLists) => KeptLists): Plan {
  const { journal, config, log } = context
  const { lists, problem } = readLists(journal, config.endpoint)
  if (problem !== undefined) log.warn(problem)
  const before = readListText(journal)
  const next = change(lists)
  const after = formatLists(next)
  if (after === formatLists(lists)) return { title, because: 'it is so already', steps: [] }
  return {
    title,
    because: 'it was asked for',
    steps: [
      {
        on: 'localhost',
        title,
        preview: previewOf(lists, next, context),
        apply: async () => writeLists(journal, after),
        verify: async () =>
          readListText(journal) === after
            ? { ok: true, because: 'the list reads back as it was written' }
            : { ok: false, because: 'the list does not read back as it was written' },
        undo: async () => writeLists(journal, before),
      },
    ],
  }
}

function previewOf(before: KeptLists, after: KeptLists, { config }: ActionContext): string {
  const linesOf = (lists: KeptLists) =>
    KINDS.flatMap((one) => [
      ...listedEndpoints(lists, one, config.endpoint).map(({ url, priority }) => `${one} ${priority} ${url}`),
      ...(lists[one].chosen === undefined ? [] : [`${one} by hand: ${lists[one].chosen}`]),
    ])
  const [old, now] = [linesOf(before), linesOf(after)]
  const lines = [
    ...old.filter((line) => !now.includes(line)).map((line) => `- ${line}`),
    ...now.filter((line) => !old.includes(line)).map((line) => `+ ${line}`),
  ]
  return lines.length > 0 ? lines.join('\n') : 'the endpoints stay as they are'
}

function findListed(params: { url: string; kind: EndpointKind }, { journal, config }: ActionContext): ListEntry {
  const url = asUsage(() => parseEndpointUrl(params.url, 'the address', { allowPrivate: true }))
  const listed = listedEndpoints(readLists(journal, config.endpoint).lists, params.kind, config.endpoint)
  const found = listed.find((entry) => entry.url === url)
  if (found) return found
  const known = listed.map((entry) => entry.url).join(', ')
  throw new OpsError('USAGE', `${url} is not one of the ${KIND_NAMES[params.kind]} endpoints`, {
    hint: known === '' ? 'There are none; add one first.' : `Known: ${known}`,
  })
}

function checkUrl(text: string, { config }: ActionContext): string {
  const allowPrivate = config.endpoint.client.allow_private
  return asUsage(() => parseEndpointUrl(text, 'the address', { allowPrivate }))
}

/** What a person typed is a wrong usage, not wrong data. */
function asUsage<T>(read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof OpsError)) throw error
    const hint = error.message.includes('private')
      ? 'Set endpoint.client.allow_private in opskit.yaml.'
      : error.details.hint
    throw new OpsError('USAGE', error.message, { ...(hint !== undefined && { hint }), cause: error })
  }
}
