/** A drill on a server that is there: into scratch databases with names that nobody chose, dropped at the end. */
import { randomBytes } from 'node:crypto'
import type { ActionContext } from '../../action/types.ts'
import { isOpsError, messageOf } from '../../core/errors.ts'
import { readChecksumProblems } from '../repository/checksums.ts'
import { compareFacts } from '../restore/compare.ts'
import { sourceOf, type OpenEngine } from '../restore/database.ts'
import { decideDestination, engineOpener } from '../restore/destination.ts'
import type { Replacement, RestoreEngine } from '../restore/engine.ts'
import { runChecks } from './checks.ts'
import { resultOf, type DatabaseDrill, type DrillResult } from './database.ts'

/** @param into a configured database source, or a host where the source's own address works; never the one the backup was taken of by accident: the name is always new */
export async function drillInto(context: ActionContext, drill: DatabaseDrill, into: string): Promise<DrillResult> {
  const { entry, clock, signal, progress } = drill
  const destination = decideDestination(context.config, entry, `${into}/`)
  const damaged = await readChecksumProblems(entry.path, entry.manifest.files, { signal, progress })
  if (damaged.length > 0) return { ok: false, because: damaged[0] ?? '', rtoMs: 0, differences: damaged }
  const open = await engineOpener(context, destination)
  const engine = await open(signal)
  try {
    const startedAt = clock.monotonic()
    const differences: string[] = []
    for (const facts of entry.manifest.databases ?? []) {
      const scratch = `opskit_drill_${randomBytes(6).toString('hex')}`
      const replacement: Replacement = { target: scratch, scratch, aside: '', existed: false }
      try {
        differences.push(...(await drillOne(engine, drill, replacement, facts.name)))
      } finally {
        await dropScratch(open, replacement)
      }
    }
    return resultOf(entry, differences, clock.monotonic() - startedAt)
  } finally {
    await engine.close()
  }
}

/** Also after an interruption, which has ended the engine that made it. */
async function dropScratch(open: OpenEngine, replacement: Replacement): Promise<void> {
  const engine = await open(AbortSignal.timeout(DROP_MS))
  try {
    await engine.undo(replacement, false)
  } finally {
    await engine.close()
  }
}

const DROP_MS = 60_000

async function drillOne(
  engine: RestoreEngine,
  drill: DatabaseDrill,
  replacement: Replacement,
  name: string,
): Promise<string[]> {
  const facts = drill.entry.manifest.databases?.find((one) => one.name === name)
  if (!facts) return []
  const source = sourceOf(drill, facts)
  await engine.preflight(source, replacement)
  try {
    await engine.load(source, replacement, drill.progress)
  } catch (error) {
    drill.signal.throwIfAborted()
    if (!isOpsError(error) || error.code === 'MISSING_TOOL' || error.code === 'CANNOT_WRITE') throw error
    return [`${name} cannot be restored: ${messageOf(error)}`]
  }
  const found = await engine.readFacts(replacement.scratch, facts)
  const { differences } = compareFacts(facts, found, { without: engine.notInScratch })
  if (differences.length > 0) return [...differences]
  const own = drill.checks.filter((check) => check.database === undefined || check.database === name)
  return runChecks(engine, own, () => replacement.scratch)
}
