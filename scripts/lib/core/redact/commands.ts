/**
 * Secrets in the short flags of well-known tools. A short flag means something only together with its tool: `-p8080`
 * is a port to ssh and docker, a password to mysql.
 *
 * So a tool's name is looked for first, on the same command line. Without a tool in sight `-pVALUE` is masked only
 * when the value can hardly be anything but a password: six characters or more, with a letter and a digit or one of
 * `!@#$%^&*`, and not a known flag such as `-print0`. `-p8080`, `-p 8080`, `-p80:80/tcp` and `-pthread` stay.
 */
import { isFlag, isPlaceholder } from './names.ts'
import {
  closingAt,
  createSource,
  maskSpans,
  SHELL_SEPARATOR,
  skipBlanks,
  wordEnd,
  type Source,
  type Span,
} from './values.ts'

/** How a tool takes its secret: in the word after the flag (`next`), or glued to it. */
interface ShortFlag {
  readonly flag: RegExp
  /** Only what follows the first `:` (or `%`) is secret; the user before it stays. */
  readonly after?: ':' | '%'
  /** The flag counts only after this word: `docker login -p`. */
  readonly verb?: 'login'
  /** What follows the secret is another command: `sshpass -p SECRET ssh -p 22`. */
  readonly last?: true
}

const MYSQL: ShortFlag = { flag: /^-[a-oq-zA-OQ-Z]*p(?=.)/ }
const TOOLS: readonly (readonly [name: RegExp, flags: readonly ShortFlag[]])[] = [
  [/^(?:mysql\w*|mariadb[\w-]*|mycli|mydumper|myloader|xtrabackup)$/, [MYSQL]],
  [/^sshpass$/, [{ flag: /^-p/, last: true }]],
  [/^(?:mongo|mongosh|mongodump|mongorestore|mongoexport|mongoimport|mongostat)$/, [{ flag: /^-p/ }]],
  [/^(?:redis-cli|valkey-cli|keydb-cli)$/, [{ flag: /^-a/ }]],
  [
    /^(?:curl|wget|http|https|xh)$/,
    [{ flag: /^(?:-u|-U|--user|--proxy-user)=?/, after: ':' }, { flag: /^-b(?==|$|.)/ }],
  ],
  [/^ldap\w+$/, [{ flag: /^-w/ }]],
  [/^(?:smbclient|rpcclient|net)$/, [{ flag: /^-U/, after: '%' }]],
  [/^(?:zip|unzip|sqlcmd|bcp|ipmitool)$/, [{ flag: /^-P/ }]],
  [/^(?:7z|7za|7zr|rar|unrar)$/, [{ flag: /^-p(?=.)/ }]],
  [/^(?:docker|podman|nerdctl|helm|skopeo|buildah|oc|az|cf)$/, [{ flag: /^-p/, verb: 'login' }]],
]

const TOOL_NAME =
  /(?<![\w.-])(?:mysql\w{0,16}|mariadb[\w-]{0,24}|mycli|mydumper|myloader|xtrabackup|sshpass|mongo\w{0,8}|(?:redis|valkey|keydb)-cli|curl|wget|https?|xh|ldap\w{1,12}|smbclient|rpcclient|net|zip|unzip|sqlcmd|bcp|ipmitool|7z[ar]?|rar|unrar|docker|podman|nerdctl|helm|skopeo|buildah|oc|az|cf)(?=[ \t])/g

const BARE =
  /(?<![^\s"'`([])-p(?![\d.:/]+(?:tcp|udp|sctp)?(?![\w!@#$%^&*]))(?!(?:rint0|ython\d|roto\d|erl\d|hp\d|ostgres\d))(?=[^\s"'`]{0,63}[A-Za-z])([^\s"'`/.=:[-][^\s"'`=/]{5,127})/g

/** Masks what short flags of known tools carry, and bare `-pVALUE` as described above. */
export function maskCommands(text: string): string {
  return maskSpans(text, readCommands(text)).replace(BARE, (whole, value: string) =>
    /[\d!@#$%^&*]/.test(value) && !value.includes('[REDACTED]') ? '-p[REDACTED]' : whole,
  )
}

/** As `maskCommands` for an argument list: same length, words with their secrets masked. */
export function maskArgv(words: readonly string[]): string[] {
  const reader = createReader()
  return words.map((word) => {
    const span = reader(word)
    return span ? maskSpans(word, [span]) : word
  })
}

function readCommands(text: string): Span[] {
  const source = createSource(text)
  const spans: Span[] = []
  const names = new RegExp(TOOL_NAME)
  for (let match = names.exec(text); match; match = names.exec(text)) {
    names.lastIndex = readCommand(source, match.index, spans)
  }
  return spans
}

/** Reads the words of one command line, over `\`-continued lines. @returns where it ends */
function readCommand(source: Source, start: number, spans: Span[]): number {
  const { text } = source
  const reader = createReader()
  let at = start
  for (;;) {
    at = skipBlanks(text, at)
    if (/^\\\r?\n/.test(text.slice(at, at + 3))) at = skipBlanks(text, text.indexOf('\n', at) + 1)
    if (at >= source.lineEnd(at) || /^(?:[|;]|&&)/.test(text.slice(at, at + 2))) return Math.max(at, start + 1)
    const end = Math.max(wordEnd(source, at, '', SHELL_SEPARATOR), at + 1)
    const word = unquote(text, { start: at, end })
    const span = reader(text.slice(word.start, word.end))
    if (span) spans.push({ start: word.start + span.start, end: word.start + span.end })
    at = end
  }
}

/** Fed the words of a command in order, says which part of each is secret. */
function createReader(): (word: string) => Span | undefined {
  let flags: readonly ShortFlag[] = []
  let pending: ShortFlag | undefined
  let sawLogin = false
  return (word) => {
    if (pending) {
      const { after } = pending
      pending = undefined
      return secretPart(word, 0, after)
    }
    const tool = TOOLS.find(([name]) => name.test(word.slice(word.lastIndexOf('/') + 1)))
    if (tool) flags = tool[1]
    if (word === 'login') sawLogin = true
    for (const { flag, after, verb, last } of flags) {
      const match = flag.exec(word)
      if (!match || (verb && !sawLogin)) continue
      if (last) flags = []
      if (match[0].length < word.length) return secretPart(word, match[0].length, after)
      pending = { flag, ...(after === undefined ? {} : { after }) }
    }
    return undefined
  }
}

/** The secret in a word, from `from` on: inside its quotes when it is one quoted piece. */
function secretPart(word: string, from: number, after: string | undefined): Span | undefined {
  const isValue = from > 0 || !isFlag(word)
  const value = unquote(word, { start: from, end: word.length })
  const mark = after === undefined ? -1 : word.indexOf(after, value.start)
  if (!isValue || (after !== undefined && mark === -1)) return undefined
  // Of several quoted pieces everything goes: half of them would leave an open quote.
  const isPieces = value.start === from && /["']/.test(word.slice(from))
  const start = isPieces ? from : after === undefined ? value.start : mark + 1
  return isPlaceholder(word.slice(start, value.end)) ? undefined : { start, end: value.end }
}

/** Without the quotes, when one pair of them is around all of it. */
function unquote(text: string, { start, end }: Span): Span {
  const quote = text[start] ?? ''
  const isQuoted = (quote === '"' || quote === "'") && closingAt(text, start + 1, quote, end) === end - 1
  return isQuoted && end - start >= 2 ? { start: start + 1, end: end - 1 } : { start, end }
}
