/**
 * How a command ended, as a result or as the error an operator reads. Pure; decides by exit kind and status, never by
 * the text a tool printed.
 */
import { OpsError } from '../core/errors.ts'
import { printableLine } from '../core/printable.ts'
import { quoteArgv, type Argv } from '../core/quote.ts'
import type { Exit } from './running.ts'
import type { RunOptions, RunResult } from './types.ts'

export interface Ended {
  readonly argv: Argv
  readonly exit: Exit
  readonly stdout: string
  readonly stderr: string
  /** The last part of stderr, for the message. */
  readonly stderrTail: string
  readonly durationMs: number
  readonly truncated: boolean
}

export interface OutcomeContext {
  readonly host: string
  readonly cwd?: string | undefined
  readonly okCodes: NonNullable<RunOptions['okCodes']>
  readonly redact: (text: string) => string
}

/** @throws OpsError FAILED, MISSING_TOOL, NOT_PERMITTED, UNREACHABLE */
export function decideResult(ended: Ended, context: OutcomeContext): RunResult {
  const { exit, argv, stdout, stderr, durationMs, truncated } = ended
  if (exit.kind !== 'code') throw exitError(ended, exit, context)
  if (context.okCodes !== 'any' && !context.okCodes.includes(exit.code)) {
    const said = lastLines(ended.stderrTail, context.redact)
    throw new OpsError('FAILED', `${commandText(argv, context)} ended with status ${exit.code}${said}`, {
      host: context.host,
    })
  }
  return { argv, exitCode: exit.code, stdout, stderr, durationMs, truncated }
}

function exitError(ended: Ended, exit: Exclude<Exit, { kind: 'code' }>, context: OutcomeContext): OpsError {
  const { host, cwd = '', redact } = context
  const program = redact(printableLine(ended.argv[0], 80))
  const said = lastLines(ended.stderrTail, redact)
  switch (exit.kind) {
    case 'signal':
      return new OpsError('FAILED', `${commandText(ended.argv, context)} was killed by ${exit.signal}${said}`, { host })
    case 'missing':
      return new OpsError('MISSING_TOOL', `${program} is not installed on ${host}`, {
        host,
        hint: `Install ${program} on ${host}, or check its path.`,
      })
    case 'denied':
      return new OpsError('NOT_PERMITTED', `${program} may not be executed on ${host}`, {
        host,
        hint: `Check its permissions: ls -l ${program}`,
      })
    case 'no-cwd':
      return new OpsError('FAILED', `cannot enter the directory ${printableLine(cwd, 120)} on ${host}`, { host })
    case 'sudo':
      return new OpsError('NOT_PERMITTED', `sudo on ${host} does not run ${program} without a password${said}`, {
        host,
        hint: `Allow it there (visudo -f /etc/sudoers.d/opskit: "USER ALL=(root) NOPASSWD: ALL"), or log in as root.`,
      })
    case 'no-shell':
      return noShell(exit.code, lastLines(ended.stderrTail || ended.stdout, redact), host)
    case 'lost':
      return exit.error
  }
}

/** 126 and 127: a shell or a container engine found no program (POSIX XCU 2.8.2); else the account refuses. */
function noShell(code: number, said: string, host: string): OpsError {
  if (code === 126 || code === 127) {
    return new OpsError('MISSING_TOOL', `there is no sh to run commands with on ${host}${said}`, {
      host,
      hint: 'opskit needs sh, cat and the like there; an image without a shell cannot be entered.',
    })
  }
  return new OpsError('NOT_PERMITTED', `the account on ${host} does not run commands (status ${code})${said}`, {
    host,
    hint: 'Check the login shell of the user and ForceCommand in the sshd_config.',
  })
}

/** `"nginx -t" on web-1`, redacted and bounded. */
export function commandText(argv: Argv, { host, redact }: Pick<OutcomeContext, 'host' | 'redact'>): string {
  const line = argv.some((word) => word.includes('\0')) ? argv[0].replaceAll('\0', '') : quoteArgv(argv)
  return `"${printableLine(redact(line), 120)}" on ${host}`
}

/** `: ` and the last three lines, on one line; empty when there were none. */
export function lastLines(text: string, redact: (text: string) => string): string {
  const lines = redact(text)
    .split(/\r?\n/)
    .map((line) => printableLine(line, 300))
    .filter((line) => line !== '')
  return lines.length === 0 ? '' : `: ${lines.slice(-3).join(' | ')}`
}
