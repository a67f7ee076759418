/** How a failure looks to the person who meets it: what happened, where, and the next thing to try. */
import { messageOf, OpsError } from '../core/errors.ts'
import { printable, printableLine } from '../core/printable.ts'

/**
 * Lines for stderr. An unexpected error keeps its stack, so that it can be reported.
 * @param about which of several things it is about, when the message does not say so
 */
export function formatError(error: unknown, about = ''): string[] {
  if (!(error instanceof OpsError)) {
    const stack = error instanceof Error ? (error.stack ?? error.message) : messageOf(error)
    return [
      `error: ${printableLine(messageOf(error))}`,
      'This is a defect in opskit; please report it with these lines:',
      printable(stack),
    ]
  }
  const { hint, host } = error.details
  const where = host && !error.message.includes(host) ? `${host}: ` : ''
  const which = about === '' || error.message.includes(about) ? '' : `${about}: `
  return [`error: ${which}${where}${printable(error.message)}`, ...(hint ? [`  next: ${printable(hint)}`] : [])]
}

/** Writes a failure to stderr, red on a terminal. */
export async function writeError(error: unknown): Promise<void> {
  const [first = '', ...rest] = formatError(error)
  const color = process.stderr.isTTY && !process.env['NO_COLOR']
  const head = color ? (await import('chalk')).default.red(first) : first
  process.stderr.write([head, ...rest].join('\n') + '\n')
}
