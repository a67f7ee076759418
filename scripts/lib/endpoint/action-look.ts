/** The actions that look: `endpoint.check` (asks every endpoint), `endpoint.list` (says what is known), `endpoint.lint`. */
import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import type { ActionContext, LookAction } from '../action/types.ts'
import { OpsError, systemCode } from '../core/errors.ts'
import type { Finding, Report } from '../report/types.ts'
import { openEndpointManager, type EndpointManager } from './client/manager.ts'
import { KINDS, type EndpointEvent } from './client/types.ts'
import { describeFindings, describeTable } from './describe.ts'
import { lintEndpointFile } from './file/lint.ts'
import { planHooks, runHook, type RunAction } from './hooks.ts'
import { clientOptions, createJournalStorage } from './state.ts'

const checkParams = z.strictObject({
  /** Says what on_switch, on_all_down and on_recovery would do, and does not do it. */
  dryRun: z.boolean().default(false),
})

/** @param run finds an action by name and runs it; handed in by the catalog */
export function createCheckAction(run: RunAction): LookAction<z.output<typeof checkParams>> {
  return {
    name: 'endpoint.check',
    summary: 'Asks every endpoint for its health, and runs what is configured for a switch',
    params: checkParams,
    changes: false,
    async look(context, { dryRun }) {
      // Two at once would both see the same switch and act on it twice.
      const lease = context.journal.acquire({ name: 'endpoint:check', reason: 'endpoint.check' })
      try {
        return await check(context, { run, dryRun })
      } finally {
        lease.release()
      }
    },
  }
}

async function check(context: ActionContext, { run, dryRun }: { run: RunAction; dryRun: boolean }): Promise<Report> {
  const begun = startReport(context)
  const events: EndpointEvent[] = []
  const manager = await openClient(context, (event) => events.push(event), { readOnly: dryRun })
  try {
    await manager.check(context.signal)
    context.signal.throwIfAborted()
  } finally {
    await manager.close()
  }
  const found = KINDS.flatMap((kind) =>
    describeFindings(kind, manager.status(kind), { host: context.localName, check: `endpoint.${kind}` }),
  )
  const notes = events.flatMap((event) => noteOf(event, context))
  if (!dryRun) for (const event of events) record(event, context)
  const hooks: Finding[] = []
  for (const hook of planHooks(events, context.config.endpoint))
    hooks.push(await runHook(hook, { run, context, dryRun }))
  const none = found.length === 0 ? [noEndpoints(context)] : []
  return begun.end('Endpoints', {
    findings: [...found, ...notes, ...hooks, ...none],
    tables: tablesOf(manager, context),
  })
}

const listParams = z.strictObject({})

export const listAction: LookAction<z.output<typeof listParams>> = {
  name: 'endpoint.list',
  summary: 'The endpoints of this machine, as they were found last',
  params: listParams,
  changes: false,
  async look(context) {
    const begun = startReport(context)
    const problems: EndpointEvent[] = []
    const manager = await openClient(context, (event) => problems.push(event), { readOnly: true })
    const findings = problems.flatMap((event) => (event.type === 'problem' ? noteOf(event, context) : []))
    await manager.close()
    return begun.end('Endpoints', { findings, tables: tablesOf(manager, context) })
  },
}

const lintParams = z.strictObject({ file: z.string().optional() })

export const lintAction: LookAction<z.output<typeof lintParams>> = {
  name: 'endpoint.lint',
  summary: 'Reads the file of a list strictly: what is lost, doubled or no host, by line',
  params: lintParams,
  changes: false,
  async look(context, { file = context.config.endpoint.serve.file }) {
    const begun = startReport(context)
    const { file: list, problems } = lintEndpointFile(await readList(file))
    const finding = { check: 'endpoint.file', host: context.localName }
    const found = problems.map(({ line, severity, message, hint }): Finding => {
      const subject = line === 0 ? file : `${file}:${line}`
      const level = severity === 'error' ? 'critical' : 'warning'
      return { ...finding, subject, severity: level, title: message, ...(hint !== undefined && { next: hint }) }
    })
    const count = list.domains.length + list.ips.length
    const evidence = `${list.domains.length} domains, ${list.ips.length} addresses`
    const whole: Finding =
      count === 0
        ? { ...finding, subject: file, severity: 'critical', title: 'the list names no host', evidence }
        : { ...finding, subject: file, severity: 'ok', title: `${count} hosts are valid`, evidence }
    return begun.end(`The list ${file}`, { findings: [...found, whole] })
  },
}

/** This machine's client; `readOnly` writes nothing back. */
export async function openClient(
  { config, journal, clock }: Pick<ActionContext, 'config' | 'journal' | 'clock'>,
  onEvent: (event: EndpointEvent) => void,
  { readOnly }: { readonly readOnly: boolean },
): Promise<EndpointManager> {
  const storage = createJournalStorage(journal)
  return openEndpointManager(
    {
      ...clientOptions(config.endpoint),
      clock,
      storage: readOnly ? { read: storage.read.bind(storage), write: async () => undefined } : storage,
    },
    onEvent,
  )
}

function tablesOf(manager: EndpointManager, { clock }: ActionContext) {
  return KINDS.map((kind) => describeTable(kind, manager.status(kind), clock.now())).filter(
    ({ rows }) => rows.length > 0,
  )
}

/** Events that a reader of the report must know of beside the state of each endpoint. */
function noteOf(event: EndpointEvent, { localName: host }: ActionContext): Finding[] {
  if (event.type === 'switch') {
    const { kind, from, to, because } = event
    const title = `${kind} switched from ${from} to ${to}`
    return [{ check: 'endpoint.switch', subject: kind, host, severity: 'warning', title, cause: because }]
  }
  if (event.type !== 'problem') return []
  return [{ check: 'endpoint.state', host, severity: 'warning', title: event.because }]
}

const JOURNAL_KINDS = {
  switch: 'endpoint.switched',
  'all-down': 'endpoint.all-down',
  recovered: 'endpoint.recovered',
} as const

function record(event: EndpointEvent, { journal }: ActionContext): void {
  if (event.type !== 'switch' && event.type !== 'all-down' && event.type !== 'recovered') return
  const message =
    event.type === 'switch'
      ? `${event.kind}: ${event.to} in place of ${event.from}, because ${event.because}`
      : event.type === 'all-down'
        ? `${event.kind}: every endpoint is out: ${event.urls.join(', ')}`
        : `${event.kind}: ${event.url} answers again`
  journal.record({ kind: JOURNAL_KINDS[event.type], action: 'endpoint.check', message, details: { ...event } })
}

function noEndpoints({ localName: host }: ActionContext): Finding {
  return {
    check: 'endpoint.api',
    host,
    severity: 'skipped',
    title: 'there are no endpoints',
    evidence: 'opskit.yaml names none, none was added and no list was fetched',
    next: 'npx zx scripts/endpoint.ts add https://api.example.com',
  }
}

function startReport({ clock }: ActionContext) {
  const startedAt = clock.now()
  const began = clock.monotonic()
  return {
    end: (title: string, parts: Pick<Report, 'findings' | 'tables'>): Report => ({
      title,
      ...parts,
      startedAt,
      durationMs: clock.monotonic() - began,
    }),
  }
}

/** @throws OpsError USAGE when it cannot be read, DATA_MISMATCH when it is no text */
export async function readList(path: string): Promise<string> {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(await readFile(path))
  } catch (cause) {
    const code = systemCode(cause)
    if (code === 'ERR_ENCODING_INVALID_ENCODED_DATA') {
      throw new OpsError('DATA_MISMATCH', `${path} is not text in UTF-8`, { hint: 'Save it as UTF-8.', cause })
    }
    throw new OpsError(code === 'EACCES' ? 'NOT_PERMITTED' : 'USAGE', `cannot read ${path}: ${code ?? 'failed'}`, {
      hint: 'Name the list with --file FILE.',
      cause,
    })
  }
}
