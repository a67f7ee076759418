/** One incident, opened: its journal, its runbook as it was when it began, and what a run needs to act. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ActionContext, ActionEntry } from '../../action/types.ts'
import { OpsError } from '../../core/errors.ts'
import { sha256 } from '../incident/chain.ts'
import { openIncidentJournal, type IncidentJournal } from '../incident/journal.ts'
import type { Store } from '../incident/store.ts'
import { viewOf, type View } from '../incident/view.ts'
import type { Runbook, Task } from '../types.ts'

/** What every part of a run is handed. */
export interface RunTools {
  readonly context: ActionContext
  readonly store: Store
  /** Who acts; see identity.ts. */
  readonly who: string
  /** The catalog: a step names one of these. */
  readonly actions: readonly ActionEntry[]
}

export interface Session extends RunTools {
  readonly id: string
  readonly runbook: Runbook
  readonly journal: IncidentJournal
  view(): View
  /** Leaves behind how long the journal is, for `audit`. */
  close(): void
}

/** Reads the text of a runbook. */
export type ParseRunbook = (text: string, file: string) => Runbook

export interface OpenOptions extends RunTools {
  readonly id: string
  readonly parse: ParseRunbook
}

/** @throws OpsError USAGE, DATA_MISMATCH (journal or stored runbook were changed), CANNOT_WRITE, NOT_PERMITTED */
export function openSession({ id, parse, ...tools }: OpenOptions): Session {
  const { store, context, who } = tools
  const journal = openIncidentJournal({ path: store.pathOf(id), ...journalOptions(context, who) })
  try {
    const { runbook: ref } = journal.incident()
    const file = join(store.dirOf(id), ref.copy)
    const bytes = readFileSync(file)
    if (sha256(bytes) !== ref.sha256) {
      throw new OpsError('DATA_MISMATCH', `${file} is not the runbook that this incident began with`, {
        hint: 'npx zx scripts/runbook.ts audit. Close this one with abort, and start again.',
      })
    }
    return sessionOf({ ...tools, id, journal, runbook: parse(bytes.toString('utf8'), file) })
  } catch (error) {
    journal.close()
    throw error
  }
}

export function journalOptions({ journal, clock, redact }: ActionContext, who: string) {
  return { lock: <T>(work: () => T) => journal.transaction(work), clock, redact, who }
}

export function sessionOf(parts: Omit<Session, 'view' | 'close'>): Session {
  const { journal, runbook, id, store, context } = parts
  return {
    ...parts,
    view: () => viewOf(runbook, journal.incident(), (fencing) => isLive(context, id, fencing)),
    close() {
      try {
        store.saveHead(journal.incident(), journal.head())
      } finally {
        journal.close()
      }
    },
  }
}

/** The lease under which steps of an incident run. */
export function leaseNameOf(id: string): string {
  return `runbook:${id}`
}

function isLive({ journal }: ActionContext, id: string, fencing: number): boolean {
  return journal.leases().some(({ name, fencingToken }) => name === leaseNameOf(id) && fencingToken === fencing)
}

/** True for a step that changes no machine. */
export function isLook({ task, readOnly }: { readonly task?: Task | undefined; readonly readOnly: boolean }): boolean {
  return task === undefined || readOnly
}
