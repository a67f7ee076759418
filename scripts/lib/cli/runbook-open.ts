/** Opens what the commands of a run share: the incident that is meant, its session, and whoever has to be told meanwhile. */
import type { LoadedConfig } from '../config/index.ts'
import { OpsError } from '../core/errors.ts'
import { brokenRunbook } from '../runbook/complaint.ts'
import { readIdentity } from '../runbook/incident/identity.ts'
import { openStore, requireIncident } from '../runbook/incident/store.ts'
import { isTicking } from '../runbook/incident/timers.ts'
import type { Incident } from '../runbook/incident/types.ts'
import { parseRunbook } from '../runbook/read/parse.ts'
import { openSession, type RunTools, type Session } from '../runbook/run/session.ts'
import { readIncidents, readOpen } from '../runbook/run/start.ts'
import { fireDue } from '../runbook/run/tell.ts'
import type { Runbook } from '../runbook/types.ts'
import { CATALOG } from '../catalog.ts'
import { openContext, type CommonFlags, type OpenedContext } from './context.ts'
import { createSender } from './schedule-notify.ts'

export interface IncidentFlags extends CommonFlags {
  readonly incident?: string
}

/** @throws OpsError as openContext and openStore; USAGE for a name of an operator that is none */
export async function withTools<T>(
  flags: CommonFlags,
  signal: AbortSignal,
  work: (tools: RunTools, context: OpenedContext) => Promise<T>,
  loaded?: LoadedConfig,
): Promise<T> {
  await using context = await openContext(flags, { looksOnly: false, signal, ...(loaded && { loaded }) })
  const tools = { context, store: openStore(context.journal), who: readIdentity(process.env), actions: CATALOG }
  try {
    return await work(tools, context)
  } finally {
    // What is due is sent by a process of its own: nobody at a prompt waits for a mail server.
    if (context.configSource !== undefined) createSender(context.journal)(context.config, context.configSource)
  }
}

export interface Chosen {
  readonly session: Session
  /** What has to be typed behind a command to mean this incident: ` --incident ID`, or nothing. */
  readonly suffix: string
}

/** Opens the incident that is meant, and fires its timers. */
export async function withSession<T>(
  flags: IncidentFlags,
  signal: AbortSignal,
  work: (chosen: Chosen) => Promise<T>,
  choose: (tools: RunTools, named: string | undefined) => string = chooseOpen,
): Promise<T> {
  return withTools(flags, signal, async (tools) => {
    const id = choose(tools, flags.incident)
    const session = openSession({ ...tools, id, parse: parseStored })
    try {
      fireDue(session)
      return await work({ session, suffix: suffixFor(tools, flags, id) })
    } finally {
      session.close()
    }
  })
}

/** @throws OpsError USAGE when none is open, or several are */
export function chooseOpen(tools: RunTools, named: string | undefined): string {
  if (named !== undefined) return requireIncident(tools.store, named)
  const open = readOpen(tools)
  const [only] = open
  if (open.length === 1 && only) return only.id
  if (!only) throw new OpsError('USAGE', 'no incident is open', { hint: 'npx zx scripts/runbook.ts start RUNBOOK' })
  const list = open.map(
    ({ id, startedBy, subject }) => `${id} (${[subject, `by ${startedBy}`].filter(Boolean).join(', ')})`,
  )
  throw new OpsError('USAGE', `several incidents are open: ${list.join('; ')}`, {
    hint: `Say which: --incident ${only.id}`,
  })
}

/** As chooseOpen, and where none is open: the one that is still to be written down, else the last one. */
export function chooseLast(tools: RunTools, named: string | undefined): string {
  if (named !== undefined) return requireIncident(tools.store, named)
  if (readOpen(tools).length > 0) return chooseOpen(tools, named)
  const unresolved = readIncidents(tools, (id) => tools.store.isOver(id)).find(isTicking)
  const [last] = tools.store.ids()
  const id = unresolved?.id ?? last
  if (id !== undefined) return id
  throw new OpsError('USAGE', 'there has been no incident', { hint: 'npx zx scripts/runbook.ts start RUNBOOK' })
}

/** What has to be typed behind a command: the config that was named, and the incident when several are open. */
export function suffixFor(tools: RunTools, { config }: CommonFlags, id: string): string {
  const open: Incident[] = readOpen(tools)
  const isClear = open.length === 1 && open[0]?.id === id
  return `${isClear ? '' : ` --incident ${id}`}${config === undefined ? '' : ` --config ${config}`}`
}

/** @throws OpsError CONFIG_INVALID */
export function parseStored(text: string, file: string): Runbook {
  const { runbook, complaints } = parseRunbook(text, file, { actions: CATALOG })
  if (!runbook) throw brokenRunbook(complaints)
  return runbook
}
