/** The action `runbook.tick`: fires the timers of incidents that are open, when nobody is at a terminal. Run it every minute. */
import { z } from 'zod'
import type { ActionContext, LookAction } from '../action/types.ts'
import { formatDuration } from '../core/duration.ts'
import { messageOf } from '../core/errors.ts'
import type { Finding } from '../report/types.ts'
import { openIncidentJournal } from './incident/journal.ts'
import { openStore, type Store } from './incident/store.ts'
import { viewTimers } from './incident/timers.ts'
import { journalOptions } from './run/session.ts'
import { fireDue } from './run/tell.ts'

const params = z.strictObject({})

/** Acts on no machine, so it is a look, like a check that raises an alert. */
export const tickAction: LookAction<z.output<typeof params>> = {
  name: 'runbook.tick',
  summary: 'Fires the timers and the escalation of incidents that are open',
  changes: false,
  params,
  look: async (context) => {
    const startedAt = context.clock.now()
    const store = openStore(context.journal)
    const findings = store.ids().flatMap((id) => (store.isOver(id) ? [] : tickOne(context, store, id)))
    return { title: 'Timers of incidents', findings, startedAt, durationMs: context.clock.now() - startedAt }
  },
}

function tickOne(context: ActionContext, store: Store, id: string): Finding[] {
  const about = { check: 'runbook.timer', subject: id, host: context.localName }
  try {
    const journal = openIncidentJournal({ path: store.pathOf(id), ...journalOptions(context, 'opskit') })
    try {
      fireDue({ context, store, journal })
      const incident = journal.incident()
      store.saveHead(incident, journal.head())
      const now = context.clock.now()
      const next = `npx zx scripts/runbook.ts status ${id}`
      return viewTimers(incident, now).flatMap(({ state, timer, dueAt }): Finding[] => {
        if (state !== 'overdue') return []
        const title = `${id}: not in time: ${timer.title}`
        return [{ ...about, severity: 'warning', title, evidence: `due ${formatDuration(now - dueAt)} ago`, next }]
      })
    } finally {
      journal.close()
    }
  } catch (error) {
    return [{ ...about, severity: 'unknown', title: `${id} cannot be read`, evidence: messageOf(error) }]
  }
}
