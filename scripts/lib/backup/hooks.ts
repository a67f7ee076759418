/**
 * The operator's commands around a backup: a service is quieted before, and woken after, whatever happened in between.
 * A failed `before` means no backup; `after` runs even then, and every one of it runs although one fails.
 */
import type { BackupHook } from '../config/types.ts'
import { messageOf, OpsError } from '../core/errors.ts'
import type { Argv } from '../core/quote.ts'
import type { Host } from '../host/types.ts'

export interface HookedWork {
  /** The source's host. */
  readonly host: Host
  readonly hooks: { readonly before: readonly BackupHook[]; readonly after: readonly BackupHook[] }
  readonly signal: AbortSignal
  /** Hears of each `after` that failed. */
  readonly onWarning: (message: string) => void
}

/**
 * @returns what `work` returns
 * @throws OpsError of the failed `before` or of the work; a failed `after` is a warning
 */
export async function withHooks<T>({ host, hooks, signal, onWarning }: HookedWork, work: () => Promise<T>): Promise<T> {
  try {
    for (const hook of hooks.before) await runHook(host, hook, signal)
    return await work()
  } finally {
    // An aborted backup wakes the service too.
    for (const hook of hooks.after) await runHook(host, hook).catch((error: unknown) => onWarning(messageOf(error)))
  }
}

async function runHook(host: Host, { run, timeout }: BackupHook, signal?: AbortSignal): Promise<void> {
  const [program, ...args] = run
  if (program === undefined) throw new OpsError('CONFIG_INVALID', 'a hook has no command')
  const argv: Argv = [program, ...args]
  await host.run(argv, { timeoutMs: timeout, ...(signal ? { signal } : {}) })
}
