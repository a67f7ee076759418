/**
 * What a kind of host must be able to do: start a command and say how it ended. Everything else that a Host offers
 * (deadlines, bounds, errors, files) is made of this in machine.ts.
 */
import type { Readable, Writable } from 'node:stream'
import type { OpsError } from '../core/errors.ts'
import type { Argv } from '../core/quote.ts'

/** How a command ended. Only `code` is an answer; each other kind becomes an OpsError. */
export type Exit =
  | { readonly kind: 'code'; readonly code: number }
  | { readonly kind: 'signal'; readonly signal: string }
  /** There is no such program. */
  | { readonly kind: 'missing' }
  /** The program may not be executed. */
  | { readonly kind: 'denied' }
  /** The directory to run in cannot be entered. */
  | { readonly kind: 'no-cwd' }
  /** sudo asked for a password, refused, or failed before the command began. */
  | { readonly kind: 'sudo' }
  /** The far side ran something else than our sh: there is none, or the login shell or a ForceCommand does not let it. */
  | { readonly kind: 'no-shell'; readonly code: number }
  /** No status came: the connection or the engine went away. */
  | { readonly kind: 'lost'; readonly error: OpsError }

export interface StartSpec {
  readonly argv: Argv
  readonly env?: Readonly<Record<string, string>> | undefined
  readonly cwd?: string | undefined
  /** False gives the command an empty stdin. */
  readonly wantsInput: boolean
}

export interface Running {
  readonly stdin: Writable
  readonly stdout: Readable
  readonly stderr: Readable
  /** Never rejects. Resolves after stdout and stderr have been read to their end. */
  readonly exited: Promise<Exit>
  /**
   * Ends the command and its children: SIGTERM, a moment later SIGKILL.
   * @returns true when it is known to be gone
   */
  kill(): Promise<boolean>
}

export type Start = (spec: StartSpec, signal: AbortSignal) => Promise<Running>

/** How long a command that was told to end may take to remove its lock and temporary files. */
export const KILL_GRACE_MS = 250
/** How long to wait for the news of its end after SIGKILL, before it is given up. */
export const REAP_MS = 1_000

/** Programs of administrators are found although a login, cron or SSH session leaves sbin out of PATH. */
export function pathWithSbin(path = '/usr/local/bin:/usr/bin:/bin'): string {
  const dirs = path.split(':')
  return [...dirs, ...['/usr/local/sbin', '/usr/sbin', '/sbin'].filter((dir) => !dirs.includes(dir))].join(':')
}
