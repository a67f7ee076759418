/**
 * Restoring databases, told once for all families: look, load into a scratch database, compare it with the manifest,
 * swap it in, keep what was there before under another name. What cannot be proved is taken back.
 */
import { randomBytes } from 'node:crypto'
import { formatDuration, formatSize } from '../../core/duration.ts'
import { isOpsError, OpsError } from '../../core/errors.ts'
import type { Progress } from '../../core/progress.ts'
import { quoteWord } from '../../core/quote.ts'
import type { Journal } from '../../journal/types.ts'
import type { Plan, Step, Verdict } from '../../plan/types.ts'
import { formatStamp } from '../repository/names.ts'
import { plural } from '../plural.ts'
import { acquireUse } from '../run/in-use.ts'
import type { BackupEntry, DatabaseFacts } from '../types.ts'
import { refuseDamaged } from './checks.ts'
import { compareFacts, nameOfTable } from './compare.ts'
import type { Preflight, Replacement, RestoreEngine, RestoreSource } from './engine.ts'
import { explainFailedLoad } from './room.ts'
import { forgetAside, keptOf, noteKept } from './kept.ts'
import { forgetUnfinished, noteUnfinished, refuseUnfinished, type Unfinished } from './unfinished.ts'
import type { AgeIdentity } from './identity.ts'

/** Opens the engine anew: steps get a host that ends with them. */
export type OpenEngine = (signal: AbortSignal) => Promise<RestoreEngine>

export interface DatabaseRestore {
  readonly entry: BackupEntry
  readonly identity: AgeIdentity | undefined
  /** The configured source whose server is restored into, and its host. */
  readonly source: string
  readonly on: string
  readonly open: OpenEngine
  /** Databases of the backup; absent: all of them. */
  readonly databases?: readonly string[]
  /** Another name; for one database only. */
  readonly name?: string
  /** SQLite: the configured file. */
  readonly file?: string
  readonly tables?: readonly string[]
  /** False: what was there before is removed when the restore is proved. */
  readonly keep: boolean
  readonly journal: Journal
  /** Wall clock milliseconds. */
  readonly now: number
  readonly timeoutMs: number
  readonly signal: AbortSignal
  readonly progress: Progress
  readonly warn: (message: string) => void
}

/** @throws OpsError DATA_MISMATCH, USAGE, LOCKED, and whatever the engine refuses */
export async function planDatabaseRestore(restore: DatabaseRestore): Promise<Plan> {
  const { entry, on, signal, progress } = restore
  const chosen = chooseDatabases(restore)
  const replacements = chosen.map((facts) => nameReplacement(restore, facts))
  for (const { target } of replacements) {
    refuseUnfinished(restore.journal, (one) => one.on === on && one.replacement?.target === target)
  }
  const sources = chosen.map((facts) => sourceOf(restore, facts))
  // Both only look, and both take a while.
  const undamaged = refuseDamaged(
    entry,
    sources.flatMap(({ files }) => files),
    { signal, progress },
  )
  const preflight = preflightAll(restore, sources, replacements)
  await Promise.allSettled([undamaged, preflight])
  await undamaged
  const works = await preflight
  return { title: titleOf(restore, replacements), steps: stepsOf(restore, works), because: becauseOf(entry) }
}

async function preflightAll(
  { open, signal }: DatabaseRestore,
  sources: readonly RestoreSource[],
  replacements: readonly Replacement[],
): Promise<Work[]> {
  const engine = await open(signal)
  try {
    const works: Work[] = []
    for (const [index, source] of sources.entries()) {
      const planned = replacements[index]
      if (!planned) continue
      const found = await engine.preflight(source, planned)
      works.push({ source, found, planned: { ...planned, existed: found.existed }, state: {} })
    }
    return works
  } finally {
    await engine.close()
  }
}

/** One database on its way. */
interface Work {
  readonly source: RestoreSource
  readonly found: Preflight
  readonly planned: Replacement
  /** What is known after each step. */
  readonly state: { replacement?: Replacement; seen?: string }
}

/** Every database is loaded and compared before the first of them is swapped, and all are proved before one is dropped. */
function stepsOf(restore: DatabaseRestore, works: readonly Work[]): Step[] {
  const replaced = works.filter(({ planned }) => planned.existed)
  return [
    ...works.map((work) => loadStep(restore, work)),
    ...works.map((work) => swapStep(restore, work)),
    ...(restore.keep || replaced.length === 0 ? [] : [discardStep(restore, replaced)]),
  ]
}

function chooseDatabases({ entry, databases, name, tables }: DatabaseRestore): DatabaseFacts[] {
  const all = entry.manifest.databases ?? []
  const unknown = (databases ?? []).filter((one) => !all.some((facts) => facts.name === one))
  if (unknown.length > 0 || all.length === 0) {
    throw new OpsError('USAGE', `${entry.id} has no database ${unknown.join(', ') || 'at all'}`, {
      hint: `It has: ${all.map((facts) => facts.name).join(', ') || 'none'}.`,
    })
  }
  const chosen = all.filter((facts) => databases?.includes(facts.name) ?? true)
  if (chosen.length > 1 && (name !== undefined || tables !== undefined)) {
    throw new OpsError('USAGE', `${entry.id} has ${chosen.length} databases: say which one with --database`, {
      hint: `It has: ${chosen.map((facts) => facts.name).join(', ')}.`,
    })
  }
  return chosen
}

/** Names of databases hold 63 bytes (PostgreSQL) or 64 characters (MariaDB). */
const LONGEST_ASIDE_STEM = 38

function nameReplacement({ entry, name, file, tables, now }: DatabaseRestore, facts: DatabaseFacts): Replacement {
  if (entry.manifest.server?.family === 'sqlite') return nameFiles(name ?? file, now)
  const target = name ?? facts.name
  return {
    target,
    scratch: `opskit_restore_${randomBytes(6).toString('hex')}`,
    aside: asideOf(target, now),
    existed: false,
    ...(tables ? { tables } : {}),
  }
}

/** The name under which is kept what was there before; a file's stands beside it. */
export function asideOf(target: string, now: number): string {
  if (target.startsWith('/')) return `${target}.before-${formatStamp(now)}`
  const stem = Buffer.from(target).subarray(0, LONGEST_ASIDE_STEM).toString()
  return `${stem.replace(/\ufffd+$/, '')}_before_${formatStamp(now)}`
}

/** A SQLite database is a file; the others lie beside it. */
function nameFiles(target: string | undefined, now: number): Replacement {
  if (target === undefined || !target.startsWith('/')) {
    throw new OpsError('USAGE', `"${target ?? ''}" is not the absolute path of a file`, {
      hint: 'Write --to /path/of/the/file.',
    })
  }
  const scratch = `${target}.opskit-restore-${randomBytes(6).toString('hex')}`
  return { target, scratch, aside: asideOf(target, now), existed: false }
}

export function sourceOf(
  { entry, identity }: Pick<DatabaseRestore, 'entry' | 'identity'>,
  facts: DatabaseFacts,
): RestoreSource {
  const files = entry.manifest.files.filter(({ database }) => database === facts.name)
  return { entry, facts, files, identity }
}

function loadStep(restore: DatabaseRestore, work: Work): Step {
  const { on, timeoutMs } = restore
  const { source, found, planned, state } = work
  return {
    on,
    timeoutMs,
    title: `Load ${describeSource(source)} into the scratch database ${planned.scratch} and compare it with the manifest`,
    preview: [`into ${found.version}`, describeSize(source), ...found.notes].join('\n'),
    apply: (_host, signal) => inEngine(restore, signal, (engine) => loadAndCompare(restore, work, engine)),
    // Comparing is the last thing that loading does: here it is said what it saw.
    verify: async () => verdictOf(state),
    undo: (_host, signal) =>
      inEngine(restore, signal, async (engine) => {
        await undo(engine, state.replacement ?? planned, { swapped: false })
        forgetUnfinished(restore.journal, planned.scratch)
      }),
  }
}

function swapStep(restore: DatabaseRestore, { source, planned, state }: Work): Step {
  const { on, timeoutMs, keep } = restore
  return {
    on,
    timeoutMs,
    title: describeSwap(planned, keep),
    apply: (_host, signal) =>
      inEngine(restore, signal, async (engine) => {
        delete state.seen
        const prepared = await engine.prepare(state.replacement ?? planned)
        // What is known now is what an undo needs, wherever the swap fails.
        state.replacement = prepared
        // Durably, before the first change: from here on a crash leaves something to resume or to undo.
        noteUnfinished(restore.journal, unfinishedOf(restore, source, prepared, 'swapping'))
        await completeSwap(restore, source, prepared, engine).catch(async (error: unknown) => {
          throw await explainFailedLoad(error, on, () => engine.freeBytes())
        })
        state.seen = describeSwapped(planned, keep)
      }),
    verify: async () => verdictOf(state),
    undo: (_host, signal) =>
      inEngine(restore, signal, async (engine) => {
        await undo(engine, state.replacement ?? planned, { swapped: true })
        forgetAside(restore, planned)
        forgetUnfinished(restore.journal, planned.scratch)
      }),
  }
}

/** One that fails (the disk is still full, say) can be repeated, and says how. */
async function undo(
  engine: RestoreEngine,
  replacement: Replacement,
  { swapped }: { readonly swapped: boolean },
): Promise<void> {
  try {
    await engine.undo(replacement, swapped)
  } catch (error) {
    if (!isOpsError(error)) throw error
    const again = `npx zx scripts/restore.ts --undo ${quoteWord(replacement.scratch)}`
    throw new OpsError(error.code, `${error.message}; when that is mended: ${again}`, error.details)
  }
}

/** There is no way back from here; so it comes when everything is proved, and only when it was asked for. */
function discardStep(restore: DatabaseRestore, works: readonly Work[]): Step {
  return {
    on: restore.on,
    timeoutMs: restore.timeoutMs,
    title: `Remove what was in the place of ${works.map(({ planned }) => planned.target).join(', ')} before`,
    verify: async () => ({ ok: true, because: 'what was there before is removed' }),
    apply: (_host, signal) =>
      inEngine(restore, signal, async (engine) => {
        for (const { state, planned } of works) {
          await engine.discard(state.replacement ?? planned)
          forgetAside(restore, planned)
        }
      }),
  }
}

function verdictOf({ seen }: Work['state']): Verdict {
  return seen === undefined ? { ok: false, because: 'it was not compared' } : { ok: true, because: seen }
}

/** While it is read, prune leaves the backup alone. */
async function inEngine(
  { open, journal, entry }: Pick<DatabaseRestore, 'open' | 'journal' | 'entry'>,
  signal: AbortSignal,
  work: (engine: RestoreEngine) => Promise<void>,
): Promise<void> {
  const use = acquireUse(journal, entry.id, 'restore.database')
  try {
    const engine = await open(signal)
    try {
      await work(engine)
    } finally {
      await engine.close()
    }
  } finally {
    use.release()
  }
}

type Story = Pick<DatabaseRestore, 'journal' | 'entry' | 'on' | 'source' | 'now' | 'progress' | 'warn'>

async function loadAndCompare(restore: Story, { source, planned, state }: Work, engine: RestoreEngine): Promise<void> {
  const { scratch, tables } = planned
  noteUnfinished(restore.journal, unfinishedOf(restore, source, planned, 'loading'))
  state.replacement = await engine.load(source, planned, restore.progress).catch(async (error: unknown) => {
    throw await explainFailedLoad(error, restore.on, () => engine.freeBytes())
  })
  const found = await engine.readFacts(scratch, source.facts)
  const { equal, differences } = compareFacts(source.facts, found, {
    without: engine.notInScratch,
    ...(tables ? { tables } : {}),
  })
  if (equal) {
    state.seen = `${describeFound(found, tables)} are as they were backed up`
    return
  }
  throw new OpsError(
    'DATA_MISMATCH',
    `the copy of ${source.facts.name} is not what was backed up: ${differences.join('; ')}`,
  )
}

/** The part that may be repeated. */
export async function completeSwap(
  restore: Story,
  source: RestoreSource,
  replacement: Replacement,
  engine: RestoreEngine,
): Promise<void> {
  const { target, tables, scratch } = replacement
  await engine.apply(replacement, source)
  // Its rows were compared in the scratch copy; by now its users may be writing again.
  const uncounted = {
    ...source.facts,
    tables: source.facts.tables.map(({ rows: _rows, fingerprint: _, ...table }) => table),
  }
  const found = await engine.readFacts(target, uncounted)
  const { equal, differences } = compareFacts(uncounted, found, { isLive: true, ...(tables ? { tables } : {}) })
  if (!equal) throw new OpsError('DATA_MISMATCH', `${target} is not what was backed up: ${differences.join('; ')}`)
  for (const warning of await engine.finish(replacement)) restore.warn(warning)
  restore.journal.transaction(() => {
    forgetUnfinished(restore.journal, scratch)
    if (replacement.existed)
      noteKept(restore.journal, keptOf({ ...restore, backup: restore.entry.id, by: 'restore' }, replacement))
  })
}

function unfinishedOf(
  { entry, on, source: name, now }: Story,
  source: RestoreSource,
  replacement: Replacement,
  phase: Unfinished['phase'],
): Unfinished {
  return {
    id: replacement.scratch,
    kind: 'database',
    phase,
    backup: entry.id,
    startedAt: now,
    on,
    source: name,
    database: source.facts.name,
    replacement,
  }
}

function titleOf({ entry, on }: DatabaseRestore, replacements: readonly Replacement[]): string {
  return `Restore ${entry.id} into ${replacements.map(({ target }) => target).join(', ')} on ${on}`
}

function becauseOf({ drilledAt, rtoMs, manifest }: BackupEntry): string {
  const taken = `it was asked for; the backup is of ${manifest.startedAt}`
  if (drilledAt === undefined || rtoMs === undefined) return `${taken} and was never drilled`
  return `${taken}, its drill of ${new Date(drilledAt).toISOString()} took ${formatDuration(rtoMs)}`
}

function describeSource({ entry, facts }: RestoreSource): string {
  return `${facts.name} of ${entry.id}`
}

function describeSize({ facts, files }: RestoreSource): string {
  const bytes = files.reduce((sum, file) => sum + (file.plainBytes ?? file.sizeBytes), 0)
  return `${describeFound(facts)}, ${formatSize(bytes)}`
}

function describeFound({ tables: all }: DatabaseFacts, only?: readonly string[]): string {
  const tables = all.filter((table) => only === undefined || only.includes(nameOfTable(table)))
  const rows = tables.reduce((sum, table) => sum + (table.rows ?? 0), 0)
  return `${plural(tables.length, 'table')}, ${plural(rows, 'row')}`
}

function describeTarget({ target, tables }: Replacement): string {
  return tables ? `the tables ${tables.join(', ')} of ${target}` : target
}

function describeSwap(replacement: Replacement, keep: boolean): string {
  if (!replacement.existed) return `Name it ${replacement.target}`
  const before = keep
    ? `what is there now is kept as ${replacement.aside}`
    : 'what is there now is removed when it is proved'
  return `Put it in the place of ${describeTarget(replacement)}; ${before}`
}

function describeSwapped(replacement: Replacement, keep: boolean): string {
  const before = replacement.existed && keep ? `; what was there before is ${replacement.aside}` : ''
  return `${describeTarget(replacement)} is what was backed up${before}`
}
