/**
 * Actions that are run when something happens to the endpoints: a switch, all down, up again. Domains know no other
 * actions, so whoever can find and run one by name is handed in.
 */
import type { ActionContext } from '../action/types.ts'
import type { EndpointConfig, EndpointHook } from '../config/types.ts'
import { messageOf } from '../core/errors.ts'
import type { Finding } from '../report/types.ts'
import type { EndpointEvent } from './client/types.ts'

/** Runs an action of the catalog; with `dryRun` only says what it would do. */
export type RunAction = (
  name: string,
  params: Readonly<Record<string, unknown>>,
  context: ActionContext,
  options: { readonly dryRun: boolean; readonly reason: string },
) => Promise<{ readonly summary: string }>

export interface PlannedHook {
  readonly name: 'on_switch' | 'on_all_down' | 'on_recovery'
  readonly action: string
  readonly params: Readonly<Record<string, unknown>>
  /** Why it is run. */
  readonly because: string
}

/** What the events ask for, in their order. */
export function planHooks(events: readonly EndpointEvent[], { client }: EndpointConfig): PlannedHook[] {
  return events.flatMap((event): PlannedHook[] => {
    switch (event.type) {
      case 'switch':
        return planned('on_switch', client.on_switch, event, `${event.kind}: ${event.because}`)
      case 'all-down':
        return planned(
          'on_all_down',
          client.on_all_down,
          event,
          `${event.kind}: all ${event.urls.length} endpoints are out`,
        )
      case 'recovered':
        return planned('on_recovery', client.on_recovery, event, `${event.kind}: ${event.url} answers again`)
      default:
        return []
    }
  })
}

/** Runs one; what came of it is a finding, because the check itself has done its work. */
export async function runHook(
  { name, action, params, because }: PlannedHook,
  { run, context, dryRun }: { readonly run: RunAction; readonly context: ActionContext; readonly dryRun: boolean },
): Promise<Finding> {
  const finding = { check: 'endpoint.hook', subject: name, host: context.localName }
  try {
    const { summary } = await run(action, params, context, { dryRun, reason: `${name}: ${because}` })
    return {
      ...finding,
      severity: 'ok',
      title: `${dryRun ? 'Would run' : 'Ran'} ${action}`,
      evidence: summary,
      cause: because,
    }
  } catch (error) {
    return { ...finding, severity: 'critical', title: `${action} failed`, evidence: messageOf(error), cause: because }
  }
}

type HookEvent = Extract<EndpointEvent, { type: 'switch' | 'all-down' | 'recovered' }>

function planned(
  name: PlannedHook['name'],
  hook: EndpointHook | undefined,
  event: HookEvent,
  because: string,
): PlannedHook[] {
  if (!hook) return []
  const from = event.type === 'switch' ? event.from : undefined
  const to = event.type === 'switch' ? event.to : event.type === 'recovered' ? event.url : undefined
  const words: Readonly<Record<string, string>> = {
    kind: event.kind,
    ...(from !== undefined && { from, from_host: new URL(from).hostname }),
    ...(to !== undefined && { to, to_host: new URL(to).hostname }),
  }
  return [{ name, action: hook.action, params: fill(hook.params, words) as PlannedHook['params'], because }]
}

/** Words in braces that are known are filled in, in texts at any depth; others stay. */
function fill(value: unknown, words: Readonly<Record<string, string>>): unknown {
  if (typeof value === 'string') return value.replace(/\{(\w+)\}/g, (whole, word: string) => words[word] ?? whole)
  if (Array.isArray(value)) return value.map((item) => fill(item, words))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, fill(item, words)]))
}
