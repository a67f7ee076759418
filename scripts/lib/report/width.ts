/**
 * How many terminal columns a text takes, and how to fit it: Chinese, Japanese and Korean characters and emoji take two.
 * Wide ranges: Unicode Standard Annex #11, EastAsianWidth W and F. Ambiguous characters count as one, as in xterm. Agrees with glibc's wcwidth but for
 * lone marks and format characters.
 * Input is plain text that has passed `printable`; colour is applied after measuring.
 */

const WIDE =
  /^(?:[\u1100-\u115f\u2329\u232a\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe10-\ufe19\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{16fe0}-\u{18dff}\u{1aff0}-\u{1b2ff}\u{1f200}-\u{1f265}\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}|\p{Emoji}\ufe0f)/u
const ZERO = /[\p{Mn}\p{Me}\p{Cf}\u1160-\u11ff]/gu
/** What can join with its neighbours into one character; without any, the segmenter and its 20 ms of loading are spared. */
const COMPOSED = /[\p{M}\p{Cf}\p{Emoji_Presentation}\u1100-\u11ff\ua960-\ua97c\ud7b0-\ud7fb]/u
/** Punctuation that must not begin a line of Chinese text (a small part of JIS X 4051 and GB/T 15834). */
const CLOSING = /^[、。，．：；？！）」』】》〉”’…]/

/** Columns of `text` in a terminal. */
export function displayWidth(text: string): number {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length
  return graphemes(text).reduce((total, grapheme) => total + graphemeWidth(grapheme), 0)
}

/** `text` with spaces up to `width` columns; longer text is left as it is. */
export function padTo(text: string, width: number, align: 'left' | 'right' = 'left'): string {
  const space = ' '.repeat(Math.max(0, width - displayWidth(text)))
  return align === 'left' ? text + space : space + text
}

/**
 * Breaks `text` into lines of at most `width` columns: at spaces, between wide characters, and inside a word only when
 * it is longer than a line.
 * @param restWidth columns of every line but the first, for a hanging indent that the caller adds
 * @returns at least one line; only a single character wider than `width` can be wider than it
 */
export function wrapText(text: string, width: number, restWidth = width): string[] {
  if (displayWidth(text) <= width) return [text]
  const lines: string[] = []
  let line = ''
  let used = 0
  /** Where `line` may be cut, and where it could be before the last character. */
  let [cut, cutBefore] = [0, 0]
  for (const grapheme of graphemes(text)) {
    const columns = graphemeWidth(grapheme)
    if (columns === 2 && !CLOSING.test(grapheme)) cut = line.length
    if (CLOSING.test(grapheme) && cut === line.length) cut = cutBefore
    while (used + columns > (lines.length === 0 ? width : restWidth) && line !== '' && grapheme !== ' ') {
      const at = line.slice(0, cut).trim() === '' ? line.length : cut
      if (line.slice(0, at).trim() !== '') lines.push(line.slice(0, at).trimEnd())
      line = line.slice(at).trimStart()
      used = displayWidth(line)
      cut = 0
    }
    line += grapheme
    used += columns
    cutBefore = cut
    if (grapheme === ' ' || columns === 2) cut = line.length
  }
  if (line.trim() !== '' || lines.length === 0) lines.push(line.trimEnd())
  return lines
}

/** Puts short items on as few lines as fit, without breaking inside an item that fits on a line of its own. */
export function wrapItems(items: readonly string[], separator: string, width: number): string[] {
  if (width === Number.POSITIVE_INFINITY) return items.length === 0 ? [] : [items.join(separator)]
  const lines: string[] = []
  for (const item of items) {
    const joined = lines.length === 0 ? item : `${lines.at(-1)}${separator}${item}`
    if (lines.length > 0 && displayWidth(joined) <= width) lines[lines.length - 1] = joined
    else lines.push(...wrapText(item, width))
  }
  return lines
}

function graphemes(text: string): string[] {
  if (!COMPOSED.test(text)) return [...text]
  return Array.from(new Intl.Segmenter('en', { granularity: 'grapheme' }).segment(text), ({ segment }) => segment)
}

function graphemeWidth(grapheme: string): number {
  return WIDE.test(grapheme) ? 2 : [...grapheme.replace(ZERO, '')].length
}
