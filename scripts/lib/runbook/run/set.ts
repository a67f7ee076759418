/** Sets params during an incident: checked as at the start, machines that come in by it reached, then written down. */
import { decideSet, type SetVerdict } from '../incident/set.ts'
import type { ParamValues } from '../params.ts'
import { createRenderer } from '../render.ts'
import { hostsOf, reachHosts, type HostsInUse } from './reach.ts'
import type { Session } from './session.ts'
import { refuseSecrets } from './start.ts'

/**
 * @param given as typed: `{ move_to: '/mnt' }`
 * @returns what it came to; `events` is empty when they had these values already
 * @throws OpsError USAGE (wrong, a secret, what the incident is about), FAILED (it is over), UNREACHABLE and the like
 */
export async function setParams(session: Session, given: Readonly<Record<string, string>>): Promise<SetVerdict> {
  const { context, journal, runbook } = session
  const request = { given, hosts: Object.keys(context.config.hosts) }
  const decide = () => decideSet({ runbook, incident: journal.incident() }, request)
  const before = journal.incident().params
  const { params, events } = decide()
  refuseSecrets(params, context)
  if (events.length > 0) {
    for (const warning of await reachHosts(context, newHosts(session, before, params))) context.log.warn(warning)
  }
  let verdict: SetVerdict | undefined
  journal.change(() => {
    verdict = decide()
    return verdict.events
  })
  return verdict ?? decide()
}

/** Those that the run did not touch with the values before. */
function newHosts({ runbook }: Session, before: ParamValues, after: ParamValues): HostsInUse {
  const [old, now] = [before, after].map((params) => hostsOf(runbook, createRenderer(runbook, params)))
  const known = [...(old?.changed ?? []), ...(old?.looked ?? [])]
  return {
    changed: (now?.changed ?? []).filter((name) => !old?.changed.includes(name)),
    looked: (now?.looked ?? []).filter((name) => !known.includes(name)),
  }
}
