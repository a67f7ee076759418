/** `runbook start`, `next` and `resume`: opens an incident or comes back to it, and goes on with it. */
import { readFile } from 'node:fs/promises'
import { parseDuration } from '../core/duration.ts'
import { OpsError, systemCode } from '../core/errors.ts'
import { sha256 } from '../runbook/incident/chain.ts'
import { openRunbook } from '../runbook/lint/index.ts'
import { parsePairs, parseRunbookParams } from '../runbook/params.ts'
import { runbookDirs } from '../runbook/read/find.ts'
import { answerStep } from '../runbook/run/answer.ts'
import { parseAnswers, type PreparedAnswers } from '../runbook/run/answers-file.ts'
import type { Session } from '../runbook/run/session.ts'
import { startIncident } from '../runbook/run/start.ts'
import type { Runbook } from '../runbook/types.ts'
import { CATALOG } from '../catalog.ts'
import { openContext, type OpenedContext } from './context.ts'
import { print } from './output.ts'
import { drive } from './runbook-drive.ts'
import { chooseOpen, suffixFor, withSession, withTools, type Chosen, type IncidentFlags } from './runbook-open.ts'

export interface DriveFlags extends IncidentFlags {
  readonly answers?: string
  readonly yes?: boolean
}

export interface StartFlags extends DriveFlags {
  readonly param?: readonly string[]
  readonly lang?: string
  readonly drill?: boolean
  readonly again?: boolean
  readonly dryRun?: boolean
  readonly detectedAt?: string
}

/** @returns the exit code */
export async function startRunbook(name: string, flags: StartFlags, signal: AbortSignal): Promise<number> {
  if (flags.dryRun) return dryRun(name, flags, signal)
  return withTools(flags, signal, async (tools, context) => {
    const { runbook, params } = await readFor(name, flags, context)
    const drill = flags.drill ?? false
    const prepared = await readAnswers(flags, runbook, drill)
    const detectedAt = flags.detectedAt === undefined ? undefined : parseMoment(flags.detectedAt, context.clock.now())
    const session = await startIncident({
      ...tools,
      ...{ runbook, params, drill, again: flags.again ?? false },
      ...(detectedAt !== undefined && { detectedAt }),
    })
    try {
      return await goOn({ session, suffix: suffixFor(tools, flags, session.id) }, flags, signal, prepared)
    } finally {
      session.close()
    }
  })
}

/** Goes on without asking, whatever the terminal. @returns the exit code */
export function nextSteps(flags: DriveFlags, signal: AbortSignal): Promise<number> {
  return withSession(flags, signal, async ({ session, suffix }) => {
    await warnOfEdit(session)
    return driveOn({ session, suffix }, flags, signal)
  })
}

/** Runs a step again, and goes on. @returns the exit code */
export function redoStep(step: string, flags: DriveFlags, signal: AbortSignal): Promise<number> {
  return withSession(flags, signal, async (chosen) => {
    await answerStep(chosen.session, { step, answer: 'redo' }, signal)
    return driveOn(chosen, flags, signal)
  })
}

/** Comes back to an incident. @returns the exit code */
export function resumeIncident(id: string | undefined, flags: DriveFlags, signal: AbortSignal): Promise<number> {
  const about = id === undefined ? flags : { ...flags, incident: id }
  return withSession(
    about,
    signal,
    async (chosen) => {
      await warnOfEdit(chosen.session)
      const { runbook, journal } = chosen.session
      return goOn(chosen, flags, signal, await readAnswers(flags, runbook, journal.incident().drill))
    },
    chooseOpen,
  )
}

async function goOn(
  chosen: Chosen,
  flags: DriveFlags,
  signal: AbortSignal,
  prepared: PreparedAnswers | undefined,
): Promise<number> {
  const { yes = false, json = false } = flags
  if (!json && process.stdin.isTTY && process.stdout.isTTY) {
    return (await import('./runbook-walk.ts')).walk(chosen, { signal, yes, prepared })
  }
  return drive(chosen, { signal, yes, json, prepared })
}

async function driveOn(chosen: Chosen, flags: DriveFlags, signal: AbortSignal): Promise<number> {
  const { runbook, journal } = chosen.session
  const prepared = await readAnswers(flags, runbook, journal.incident().drill)
  return drive(chosen, { signal, yes: flags.yes ?? false, json: flags.json ?? false, prepared })
}

/** @throws OpsError USAGE, CONFIG_INVALID (the runbook is broken) */
async function readFor(name: string, flags: StartFlags, { config }: OpenedContext) {
  const { lang: language } = flags
  const runbook = await openRunbook(name, { dirs: runbookDirs(config.runbook.dirs), actions: CATALOG, language })
  const params = parseRunbookParams(runbook, parsePairs(flags.param ?? [], '--param '), {
    hosts: Object.keys(config.hosts),
  })
  return { runbook, params }
}

async function readAnswers(
  { answers }: DriveFlags,
  runbook: Runbook,
  drill: boolean,
): Promise<PreparedAnswers | undefined> {
  if (answers === undefined) return undefined
  const text = await readFile(answers, 'utf8').catch((error: unknown) => {
    throw new OpsError('USAGE', `cannot read the answers ${answers}: ${systemCode(error) ?? 'failed'}`, {
      cause: error,
    })
  })
  return parseAnswers(text, answers, { runbook, drill })
}

/** `2026-11-21T03:05Z`, or how long ago: `10m`. */
function parseMoment(text: string, now: number): number {
  const at = /^\d{4}-\d{2}-\d{2}/.test(text)
    ? Date.parse(text.replace(' ', 'T'))
    : now - parseDuration(text.replace(/ ago$/, ''))
  if (Number.isFinite(at) && at <= now) return at
  throw new OpsError('USAGE', `--detected-at ${text} is no moment that has been`, {
    hint: 'Write 2026-11-21T03:05Z, or how long ago: 10m.',
  })
}

/** The file may have been mended meanwhile; a run goes on with what it began with, and says so once. */
async function warnOfEdit(session: Session): Promise<void> {
  const { runbook, editedTo } = session.journal.incident()
  const bytes = await readFile(runbook.file).catch(() => undefined)
  if (!bytes) return
  const hash = sha256(bytes)
  if (hash === runbook.sha256) return
  session.context.log.warn(`${runbook.file} was edited since this run began; it goes on with the copy it began with`)
  if (editedTo !== hash) session.journal.change(() => [{ kind: 'runbook.edited', sha256: hash }])
}

async function dryRun(name: string, flags: StartFlags, signal: AbortSignal): Promise<number> {
  await using context = await openContext(flags, { looksOnly: true, signal })
  const { openMemoryJournal } = await import('../journal/index.ts')
  const { previewRun } = await import('../runbook/run/preview.ts')
  const { previewLines, previewHead } = await import('./runbook-preview.ts')
  const { runbook, params } = await readFor(name, flags, context)
  // Nothing of it is written down: a dry run leaves no trace.
  const traceless = { ...context, journal: openMemoryJournal({ clock: context.clock }) }
  const steps = previewRun({ runbook, params, context: traceless, actions: CATALOG })
  if (flags.json) {
    const all: unknown[] = []
    for await (const step of steps) all.push(step)
    await print(JSON.stringify({ runbook: runbook.id, params, steps: all }, null, 2))
    return 0
  }
  await print(previewHead(runbook, params).join('\n'))
  for await (const step of steps) await print(previewLines(step).join('\n'))
  return 0
}
