/** The first and last lines of a dump: what each database's own file begins and ends with, and the position in the logs. */
import { printableLine } from '../../../core/printable.ts'

/**
 * The preamble with this database's name in its heading, and its CREATE DATABASE as a comment. Dates that do not exist
 * (2026-02-31) are let in again: without that mode they come back as 0000-00-00 (tried on MariaDB 10.11).
 */
export function openingOf(preamble: string, database: string, create: string | undefined): Buffer {
  const named = preamble.replace(
    /^(-- Host: .* Database: ).*$/m,
    (_, start: string) => start + bytesOf(printableLine(database)),
  )
  const lenient = named.replace(
    "SQL_MODE='NO_AUTO_VALUE_ON_ZERO'",
    "SQL_MODE='NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES'",
  )
  const statement = create === undefined ? '' : `-- Create with: ${bytesOf(create.replaceAll('\n', '\n-- '))}\n`
  return Buffer.from(lenient + statement, 'latin1')
}

/** The preamble is kept as its bytes, one a character. */
function bytesOf(text: string): string {
  return Buffer.from(text).toString('latin1')
}

/**
 * Sets back every variable that the preamble set, as the tool's own footer does, and marks the end.
 * `/*!40014 SET @OLD_UNIQUE_CHECKS=@@UNIQUE_CHECKS, UNIQUE_CHECKS=0 *\/;` gives `/*!40014 SET UNIQUE_CHECKS=@OLD_UNIQUE_CHECKS *\/;`
 */
export function closingOf(preamble: string): Buffer {
  const lines = [...preamble.matchAll(/^(\/\*M?!\d+ )SET (?:.*?)@(OLD_\w+)=@@(\w+).*\*\/;$/gm)].map(
    ([, comment, old, variable]) => `${comment}SET ${variable}=@${old} */;`,
  )
  return Buffer.from(`\n${lines.join('\n')}\n\n-- Dump completed\n`)
}

/** What one comment line says about the position in the binary log. */
export function readPosition(line: string): Record<string, string> {
  const log = /(?:MASTER|SOURCE)_LOG_FILE='([^']+)', (?:MASTER|SOURCE)_LOG_POS=(\d+)/.exec(line)
  const gtid = /gtid_slave_pos='([^']*)'/.exec(line)
  return {
    ...(log?.[1] && log[2] ? { binlogFile: log[1], binlogPosition: log[2] } : {}),
    ...(gtid?.[1] ? { gtid: gtid[1] } : {}),
  }
}
