/**
 * Text from outside (logs, names, headers) made inert for a terminal: no control characters, no escape sequences,
 * no bidirectional overrides (Trojan Source, CVE-2021-42574). HTML and Markdown escape again in their own renderer.
 */

// C0 and C1 controls but tab and newline; bidi embeddings, overrides and isolates; zero-width and other invisible
// characters, the tag characters of U+E0000 among them; line separators.
const UNSAFE =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu

/** Shows each unsafe character as an escape (`\x1b`, `\u202e`); keeps newlines and tabs. */
export function printable(text: string): string {
  return text.replace(UNSAFE, (char) => {
    const code = char.codePointAt(0) ?? 0
    const digits = code.toString(16)
    if (code > 0xffff) return `\\u{${digits}}`
    return code < 0x100 ? `\\x${digits.padStart(2, '0')}` : `\\u${digits.padStart(4, '0')}`
  })
}

/** As `printable`, on one line: newlines and tabs become single spaces; longer than `maxLength` is cut with `…`. */
export function printableLine(text: string, maxLength = Number.POSITIVE_INFINITY): string {
  const line = printable(text.replace(/[\r\n\t]+/g, ' ')).trim()
  const chars = [...line]
  return chars.length <= maxLength ? line : `${chars.slice(0, Math.max(0, maxLength - 1)).join('')}…`
}
