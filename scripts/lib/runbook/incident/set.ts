/** What setting params during an incident comes to, given how things stand. Pure, and asked under the lock. */
import { OpsError } from '../../core/errors.ts'
import { formatParamValue, parseRunbookParams, type ParamValues } from '../params.ts'
import type { Runbook } from '../types.ts'
import type { EventBody, Incident } from './types.ts'

export interface SetRequest {
  /** As typed: `{ move_to: '/mnt' }`. */
  readonly given: Readonly<Record<string, string>>
  /** The names of opskit.yaml. */
  readonly hosts: readonly string[]
}

export interface SetVerdict {
  /** All of them as they would be. */
  readonly params: ParamValues
  /** Empty: they have those values already. */
  readonly events: readonly EventBody[]
  readonly because: string
}

/** @throws OpsError USAGE as at the start, and for what the incident is about; FAILED when it is over */
export function decideSet(
  { runbook, incident }: { readonly runbook: Runbook; readonly incident: Incident },
  { given, hosts }: SetRequest,
): SetVerdict {
  refuseWhenOver(incident)
  const params = parseRunbookParams(runbook, given, { hosts, before: incident.params })
  const changed = runbook.params.filter(({ name }) => params[name] !== incident.params[name])
  refuseSubject(
    runbook,
    incident,
    changed.map(({ name }) => name),
  )
  const values = (name: string) => ({ from: incident.params[name] ?? '', to: params[name] ?? '' })
  const events = changed.map(({ name }): EventBody => ({ kind: 'param.set', param: name, ...values(name) }))
  const said = changed.map((param) => {
    const { from, to } = values(param.name)
    return `${param.name}: ${formatParamValue(param.type, to)} (before: ${formatParamValue(param.type, from)})`
  })
  return { params, events, because: said.length === 0 ? 'they have these values already' : said.join('; ') }
}

function refuseWhenOver({ id, closed, rollback }: Incident): void {
  if (closed) throw new OpsError('FAILED', `${id} was closed by ${closed.by}: ${closed.reason}`, { hint: 'status' })
  if (rollback) throw new OpsError('FAILED', `${id} is being rolled back`, { hint: 'status' })
}

/** Others are told by it that somebody is at it, and the timeline is about it. */
function refuseSubject({ id, subject }: Runbook, incident: Incident, changed: readonly string[]): void {
  const name = changed.find((one) => subject.includes(one))
  if (name === undefined) return
  throw new OpsError('USAGE', `${incident.id} is about ${incident.subject}: ${name} stays as it is`, {
    hint: `Another one: npx zx scripts/runbook.ts start ${id} --param ${name}=…, and abort this one when it is not needed.`,
  })
}
