/**
 * Argument lists to POSIX shell text, in one place.
 * zx's own quoting writes `$'…'`, which dash (Debian's /bin/sh) does not know; POSIX single quotes work everywhere.
 */

/** A command as a program and its arguments; never one string. */
export type Argv = readonly [program: string, ...args: string[]]

/** Read as syntax, not as a program, where a command begins (XCU 2.4, and what bash and zsh add). */
const RESERVED =
  /^(?:case|coproc|do|done|elif|else|end|esac|fi|for|foreach|function|if|in|nocorrect|repeat|select|then|time|until|while)$/

/** One word, quoted so that any POSIX shell reads it back unchanged (XCU 2.2.2). NUL cannot be passed and throws. */
export function quoteWord(word: string): string {
  if (word.includes('\0')) throw new TypeError('a command argument cannot hold a NUL byte')
  if (/^[\w@%+=:,./-]+$/.test(word) && !/^\w*=/.test(word) && !RESERVED.test(word)) return word
  return `'${word.replaceAll("'", `'\\''`)}'`
}

/** A whole command line for `sh -c` or an SSH exec. */
export function quoteArgv(argv: Argv): string {
  return argv.map(quoteWord).join(' ')
}
