/**
 * Talk for the person at the terminal: progress and warnings, on stderr, never on stdout.
 * Findings go through `report`, facts through `journal`; this is only for what is of interest while a command runs.
 */
import { printableLine } from './printable.ts'

export interface Log {
  /** Shown with `--verbose` only. */
  debug(message: string): void
  info(message: string): void
  warn(message: string): void
}

export interface LogOptions {
  readonly verbose?: boolean
  readonly write?: (line: string) => void
}

/** A log that writes one printable line per message, `warning:` before warnings. */
export function createLog({ verbose = false, write = toStderr }: LogOptions = {}): Log {
  return {
    debug: (message) => {
      if (verbose) write(printableLine(message))
    },
    info: (message) => write(printableLine(message)),
    warn: (message) => write(`warning: ${printableLine(message)}`),
  }
}

/** Says nothing: for libraries and tests. */
export const silentLog: Log = { debug() {}, info() {}, warn() {} }

function toStderr(line: string): void {
  process.stderr.write(`${line}\n`)
}
