/** A statement fit for a report: literals out (they may be a password or a customer), one line, bounded. */

const MAX_LENGTH = 120

/** Replaces strings, dollar quotes, numbers and comments. A string cut off by the server runs to the end. */
export function redactSql(text: string): string {
  const plain = text
    .replace(/\/\*[\s\S]*?(?:\*\/|$)|--[^\n]*/g, ' ')
    .replace(/\$(\w*)\$[\s\S]*?(?:\$\1\$|$)/g, '?')
    .replace(/'(?:[^'\\]|\\.|'')*(?:'|$)|"(?:[^"\\]|\\.|"")*(?:"|$)/g, '?')
    .replace(/\b\d[\w.]*/g, '?')
    .replace(/\s+/g, ' ')
    .trim()
  return plain.length > MAX_LENGTH ? `${plain.slice(0, MAX_LENGTH)}…` : plain
}
