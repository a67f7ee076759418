/** What finished restores keep: looked at where it lies, and removed for good when it is no longer wanted. */
import { basename } from 'node:path'
import type { ActionContext } from '../../action/types.ts'
import { isOpsError, messageOf, OpsError } from '../../core/errors.ts'
import { mapLimited } from '../../core/map-limited.ts'
import type { Plan, Step } from '../../plan/types.ts'
import { hasFailed, said } from '../pipeline/failure.ts'
import { openPlace, runTool, type Place } from '../pipeline/place.ts'
import { openerOf } from './destination.ts'
import type { KeptFacts, RestoreEngine } from './engine.ts'
import { forgetKept, nameKept, type Kept, type KeptDatabase, type KeptFiles } from './kept.ts'
import { describeFacts } from './take-back.ts'

const TIMEOUT_MS = 30 * 60_000
/** Each is a session of a server, or a connection. */
const LOOKS_AT_ONCE = 8

/** @throws OpsError of a server or host that cannot be reached */
export async function planDiscard(context: ActionContext, kept: Kept): Promise<Plan> {
  const facts = await readKeptFacts(context, kept)
  return {
    title: `Remove ${nameKept(kept)} on ${kept.on} for good`,
    because: `it was asked for; it is what was there before the ${kept.by} of ${new Date(kept.at).toISOString()}`,
    steps: [facts ? removeStep(context, kept, facts) : forgetStep(context, kept)],
  }
}

/** @returns undefined when it is not there any more */
export async function readKeptFacts(context: ActionContext, kept: Kept): Promise<KeptFacts | undefined> {
  if (kept.kind === 'files') return readKeptFiles(context, kept)
  return inEngine(context, kept, context.signal, (engine) => engine.readKept(kept.replacement))
}

export interface Looked {
  readonly kept: Kept
  /** How large it is, that it is gone, or why that is not known: a few words. */
  readonly state: string
  readonly sizeBytes?: number
}

/** A server that does not answer takes nothing from the list but what it would say. */
export function lookAtKept(context: ActionContext, all: readonly Kept[]): Promise<Looked[]> {
  return mapLimited(all, LOOKS_AT_ONCE, async (kept): Promise<Looked> => {
    try {
      const facts = await readKeptFacts(context, kept)
      if (!facts) return { kept, state: 'gone' }
      const { sizeBytes } = facts
      return { kept, state: describeFacts(facts), ...(sizeBytes === undefined ? {} : { sizeBytes }) }
    } catch (error) {
      if (!isOpsError(error)) throw error
      context.signal.throwIfAborted()
      return { kept, state: `not known: ${messageOf(error)}` }
    }
  })
}

/** There is no way back from it. */
function removeStep(context: ActionContext, kept: Kept, facts: KeptFacts): Step {
  return {
    on: kept.on,
    timeoutMs: TIMEOUT_MS,
    title: `Remove ${nameKept(kept)}`,
    preview: describeFacts(facts),
    async apply(host, signal) {
      if (kept.kind === 'database') {
        await inEngine(context, kept, signal, (engine) => engine.discard(kept.replacement))
      } else {
        const place = openPlace({ host, redact: context.redact, signal, timeoutMs: TIMEOUT_MS })
        for (const path of kept.paths) await removeFiles(place, path)
      }
      if (await readKeptFacts({ ...context, signal }, kept))
        throw new OpsError('FAILED', `${nameKept(kept)} is still there`)
      forgetKept(context.journal, ({ id }) => id === kept.id)
    },
    verify: async () => ({ ok: true, because: `${nameKept(kept)} is gone` }),
  }
}

function forgetStep(context: ActionContext, kept: Kept): Step {
  return {
    on: kept.on,
    title: `Forget ${nameKept(kept)}: it is not there any more`,
    apply: async () => forgetKept(context.journal, ({ id }) => id === kept.id),
  }
}

async function inEngine<T>(
  context: ActionContext,
  kept: Kept & KeptDatabase,
  signal: AbortSignal,
  work: (engine: RestoreEngine) => Promise<T>,
): Promise<T> {
  const engine = await (await openerOf(context, kept))(signal)
  try {
    return await work(engine)
  } finally {
    await engine.close()
  }
}

async function readKeptFiles(context: ActionContext, { paths, on }: Kept & KeptFiles): Promise<KeptFacts | undefined> {
  const { signal, redact } = context
  const host = await context.hosts.open(on, { signal })
  const place = openPlace({ host, redact, signal, timeoutMs: TIMEOUT_MS })
  const script = 'for p do if [ -d "$p" ]; then du -sk -- "$p"; fi; done'
  const end = await runTool(place, { argv: ['sh', '-c', script, 'opskit', ...paths] })
  if (end.error) throw end.error
  if (hasFailed(end))
    throw new OpsError('FAILED', `cannot look at ${paths.join(', ')} on ${on}${said(end.stderr, redact)}`)
  const kib = end.stdout.match(/^\d+/gm) ?? []
  return kib.length === 0 ? undefined : { tables: [], sizeBytes: kib.reduce((sum, one) => sum + Number(one) * 1024, 0) }
}

async function removeFiles(place: Place, path: string): Promise<void> {
  // The journal is data: what it names is removed only where a restore would have put it.
  if (!basename(path).startsWith('.opskit-before-')) {
    throw new OpsError('FAILED', `${path} is no directory that a restore has made`)
  }
  const end = await runTool(place, { argv: ['rm', '-rf', '--', path] })
  if (end.error) throw end.error
  if (hasFailed(end)) {
    throw new OpsError('CANNOT_WRITE', `cannot remove ${path} on ${place.host}${said(end.stderr, place.redact)}`)
  }
}
