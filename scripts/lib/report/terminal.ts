/**
 * What the place we write to can show: colour, width, Unicode; and the paint and glyphs that follow from it.
 * NO_COLOR: no-color.org. Locale order (LC_ALL, LC_CTYPE, LANG): POSIX XBD 8.2.
 */
import { SYMBOL_OF } from './severity.ts'
import type { Severity } from './types.ts'

export interface TerminalOptions {
  readonly color: boolean
  /** Columns to wrap at; absent for pipes and files, which are never wrapped. */
  readonly width?: number
  readonly unicode: boolean
}

export interface Paint {
  readonly severity: (severity: Severity, text: string) => string
  readonly bold: (text: string) => string
  readonly dim: (text: string) => string
}

export interface Glyphs {
  readonly symbol: Readonly<Record<Severity, string>>
  readonly dash: string
  readonly dot: string
  readonly bar: string
  readonly rule: string
  readonly arrow: string
  readonly times: string
}

const UNICODE: Glyphs = { symbol: SYMBOL_OF, dash: '—', dot: '·', bar: '│', rule: '─', arrow: '→', times: '×' }
const ASCII: Glyphs = {
  symbol: { critical: 'X', warning: '!', unknown: '?', ok: '+', skipped: '-' },
  dash: '-',
  dot: '|',
  bar: '|',
  rule: '-',
  arrow: '->',
  times: 'x',
}

const PLAIN: Paint = { severity: (_, text) => text, bold: (text) => text, dim: (text) => text }

/** What `stream` (stdout) can show, from the environment alone; nothing is written or asked. */
export function decideTerminal(
  stream: { readonly isTTY?: boolean; readonly columns?: number },
  env: Readonly<Record<string, string | undefined>>,
): TerminalOptions {
  const isTerminal = stream.isTTY === true
  const locale = env.LC_ALL || env.LC_CTYPE || env.LANG || ''
  return {
    color: isTerminal && !env.NO_COLOR && env.TERM !== 'dumb',
    ...(isTerminal && stream.columns ? { width: stream.columns } : {}),
    // The Linux console speaks UTF-8, but its font lacks the symbols.
    unicode: /utf-?8/i.test(locale) && env.TERM !== 'linux',
  }
}

/** Loads chalk only when there is something to paint. */
export async function createPaint(color: boolean): Promise<Paint> {
  if (!color) return PLAIN
  const { Chalk } = await import('chalk')
  const chalk = new Chalk({ level: 1 })
  const paintOf = { critical: chalk.red, warning: chalk.yellow, unknown: chalk.magenta, ok: chalk.green } as const
  return {
    severity: (severity, text) => (severity === 'skipped' ? chalk.dim(text) : paintOf[severity].bold(text)),
    bold: (text) => chalk.bold(text),
    dim: (text) => chalk.dim(text),
  }
}

export function glyphsOf(unicode: boolean): Glyphs {
  return unicode ? UNICODE : ASCII
}

/** Our own sentences carry a dash and an ellipsis; a terminal without Unicode gets them in ASCII. */
export function withGlyphs(text: string, unicode: boolean): string {
  return unicode ? text : text.replaceAll('—', '-').replaceAll('…', '...')
}
