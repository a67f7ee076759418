/**
 * nginx's configuration language, read well enough to find directives in it: words, quotes, comments, blocks
 * (nginx.org/en/docs/beginners_guide.html#conf_structure; ngx_conf_read_token for the details).
 * It is tolerant: whatever it can make sense of in a broken file it returns; `nginx -t` is the judge.
 */

export interface Directive {
  readonly name: string
  readonly args: readonly string[]
  readonly file: string
  /** Counted from 1. */
  readonly line: number
  /** What stands in its braces, for a block directive. */
  readonly block?: readonly Directive[]
}

type Token =
  | { readonly kind: 'word'; readonly text: string; readonly line: number }
  | { readonly kind: ';' | '{' | '}'; readonly line: number }

/** Levels of blocks that are followed; nginx itself needs four or five. */
const MAX_DEPTH = 32

/** @returns the directives of one file, in order, includes not followed; never throws */
export function parseDirectives(text: string, file: string): Directive[] {
  const tokens = tokenize(text)
  let next = 0

  const readBlock = (depth: number): Directive[] => {
    const directives: Directive[] = []
    let words: { text: string; line: number }[] = []
    while (next < tokens.length) {
      const token = tokens[next++] as Token
      if (token.kind === 'word') {
        words.push(token)
        continue
      }
      const block = token.kind === '{' && depth < MAX_DEPTH ? readBlock(depth + 1) : undefined
      const [first, ...rest] = words
      if (first && token.kind !== '}') {
        const args = rest.map((word) => word.text)
        directives.push({ name: first.text, args, file, line: first.line, ...(block && { block }) })
      }
      words = []
      if (token.kind === '}' && depth > 0) return directives
    }
    return directives
  }
  return readBlock(0)
}

function tokenize(text: string): Token[] {
  const tokens: Token[] = []
  let line = 1
  let at = text.startsWith('\ufeff') ? 1 : 0
  while (at < text.length) {
    const char = text[at] as string
    if (char === '\n') line += 1
    if (/\s/.test(char)) {
      at += 1
    } else if (char === '#') {
      const end = text.indexOf('\n', at)
      at = end === -1 ? text.length : end
    } else if (char === ';' || char === '}' || char === '{') {
      tokens.push({ kind: char, line })
      at += 1
      if (char === '{' && opensLua(tokens)) {
        const end = endOfLua(text, at)
        line += countLines(text, at, end)
        at = end
      }
    } else {
      const word = readWord(text, at)
      tokens.push({ kind: 'word', text: word.text, line })
      line += countLines(text, at, word.end)
      at = word.end
    }
  }
  return tokens
}

function readWord(text: string, start: number): { text: string; end: number } {
  const quote = text[start]
  if (quote === '"' || quote === "'") return readQuoted(text, start, quote)
  let word = ''
  let at = start
  while (at < text.length) {
    const char = text[at] as string
    if (/[\s;]/.test(char)) break
    // `${name}` is a variable and ends no word.
    if (char === '{' && text[at - 1] !== '$') break
    const length = char === '\\' && at + 1 < text.length ? 2 : 1
    word += text.slice(at, at + length)
    at += length
  }
  return { text: word, end: Math.max(at, start + 1) }
}

function readQuoted(text: string, start: number, quote: string): { text: string; end: number } {
  let word = ''
  let at = start + 1
  while (at < text.length && text[at] !== quote) {
    const escaped = text[at] === '\\' && /["'\\]/.test(text[at + 1] ?? '')
    word += escaped ? text[at + 1] : text[at]
    at += escaped ? 2 : 1
  }
  return { text: word, end: at + 1 }
}

/** `content_by_lua_block {`: what follows is Lua, whose braces and quotes are not nginx's. */
function opensLua(tokens: readonly Token[]): boolean {
  const before = tokens.at(-2)
  return before?.kind === 'word' && before.text.endsWith('_by_lua_block')
}

/** Where the brace stands that closes a Lua block opened just before `start`: strings and comments are stepped over. */
function endOfLua(text: string, start: number): number {
  const piece =
    /--\[(=*)\[[\s\S]*?\]\1\]|--[^\n]*|\[(=*)\[[\s\S]*?\]\2\]|"(?:\\[\s\S]|[^"\\\n])*"|'(?:\\[\s\S]|[^'\\\n])*'|[{}]/g
  piece.lastIndex = start
  let depth = 1
  for (let match = piece.exec(text); match; match = piece.exec(text)) {
    if (match[0] === '{') depth += 1
    if (match[0] === '}') depth -= 1
    if (depth === 0) return match.index
  }
  return text.length
}

function countLines(text: string, from: number, to: number): number {
  let lines = 0
  for (let at = text.indexOf('\n', from); at !== -1 && at < to; at = text.indexOf('\n', at + 1)) lines += 1
  return lines
}
