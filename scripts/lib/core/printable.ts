/**
 * Text from outside (logs, names, headers) made inert for a terminal: no control characters, no escape sequences,
 * no bidirectional overrides (Trojan Source, CVE-2021-42574). HTML and Markdown escape again in their own renderer.
 */

// C0 and C1 controls but tab and newline; bidi embeddings, overrides and isolates; zero-width characters; line separators.
const UNSAFE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g

/** Shows each unsafe character as an escape (`\x1b`, `\u202e`); keeps newlines and tabs. */
export function printable(text: string): string {
  return text.replace(UNSAFE, (char) => {
    const code = char.codePointAt(0) ?? 0
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`
  })
}

/** As `printable`, on one line: newlines and tabs become single spaces; longer than `maxLength` is cut with `…`. */
export function printableLine(text: string, maxLength = Number.POSITIVE_INFINITY): string {
  const line = printable(text.replace(/[\r\n\t]+/g, ' ')).trim()
  const chars = [...line]
  return chars.length <= maxLength ? line : `${chars.slice(0, maxLength - 1).join('')}…`
}
