/**
 * Opens what an action needs (config, journal, hosts) and closes it whatever happens. Heavy rooms are imported here and
 * not before, so that `--help` stays fast.
 */
import { hostname } from 'node:os'
import type { ActionContext } from '../action/types.ts'
import type { LoadedConfig } from '../config/index.ts'
import type { Secret } from '../core/secret.ts'
import { systemClock } from '../core/clock.ts'
import { createLog, type Log } from '../core/log.ts'
import type * as JournalRoom from '../journal/index.ts'
import type { JournalOptions } from '../journal/index.ts'
import { redactText, redactValue } from '../core/redact.ts'

/** The flags that every command understands. */
export interface CommonFlags {
  readonly config?: string
  readonly json?: boolean
  readonly verbose?: boolean
}

export interface OpenedContext extends ActionContext, AsyncDisposable {
  /** The file the config came from; undefined when there is none and the defaults hold. */
  readonly configSource: string | undefined
}

export interface ContextOptions {
  /** A command that only looks works without a place to write: its journal is then kept in memory, and it says so. */
  readonly looksOnly: boolean
  readonly signal: AbortSignal
  /** A config that was read already, in place of the one that the flags name. */
  readonly loaded?: LoadedConfig
}

/** @throws OpsError CONFIG_INVALID, NOT_PERMITTED, CANNOT_WRITE */
export async function openContext(
  flags: CommonFlags,
  { looksOnly, signal, loaded }: ContextOptions,
): Promise<OpenedContext> {
  const [{ loadConfig, resolveSecret }, journalRoom, { createHosts }] = await Promise.all([
    import('../config/index.ts'),
    import('../journal/index.ts'),
    import('../host/index.ts'),
  ])
  const log = createLog({ verbose: flags.verbose ?? false })
  const { config, source, warnings } =
    loaded ?? (await loadConfig({ ...(flags.config ? { path: flags.config } : {}), env: process.env }))
  for (const warning of warnings) log.warn(warning)

  const known: Secret[] = []
  const resolve = async (ref: Parameters<typeof resolveSecret>[0]): Promise<Secret> => {
    const secret = await resolveSecret(ref, { env: process.env })
    known.push(secret)
    return secret
  }
  const redact = (text: string) => redactText(text, known)
  const dir = config.state.dir ?? journalRoom.defaultStateDir(process.env, process.getuid?.())
  const options = { dir, clock: systemClock, redact: (value: unknown) => redactValue(value, known) }
  const journal = looksOnly ? journalOrMemory(journalRoom, options, log) : journalRoom.openJournal(options)
  const hosts = createHosts({ config, resolveSecret: resolve, redact })

  return {
    config,
    configSource: source,
    localName: config.name ?? hostname(),
    hosts,
    journal,
    clock: systemClock,
    log,
    signal,
    resolveSecret: resolve,
    redact,
    async [Symbol.asyncDispose]() {
      await hosts.close()
      journal.close()
    },
  }
}

/** A look shares the journal with others for half a second at most: it has a deadline of its own. */
const LOOK_BUSY_MS = 500

function journalOrMemory(room: typeof JournalRoom, options: JournalOptions, log: Log): ActionContext['journal'] {
  const { journal, problem } = room.openJournalOrMemory({ ...options, busyTimeoutMs: LOOK_BUSY_MS })
  if (problem) {
    const message = `nothing is remembered of this run: ${problem.message}`
    if (problem.code === 'NOT_PERMITTED') log.debug(message)
    else log.warn(message)
  }
  return journal
}
