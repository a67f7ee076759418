/**
 * Secrets that give themselves away by their shape, whatever stands around them: PEM blocks, JWTs, keys of cloud
 * services, credentials in URLs and headers, webhook addresses, password hashes.
 * Every pattern starts at a word edge and holds no nested repetition, so a scan is linear in the text.
 * Sources: the services' own documents on token formats; RFC 7468 (PEM), RFC 7519 (JWT), crypt(5) (hashes).
 */
import { REDACTED } from '../secret.ts'
import { createSource, maskSpans, type Source, type Span } from './values.ts'

/** Whole tokens, by their fixed beginnings. */
const TOKENS: readonly RegExp[] = [
  /(?<![A-Za-z0-9])(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{16}(?![A-Za-z0-9])/g,
  /(?<![A-Za-z0-9])gh[opusr]_[A-Za-z0-9]{20,255}/g,
  /(?<![A-Za-z0-9])github_pat_\w{22,255}/g,
  /(?<![A-Za-z0-9])gl(?:pat|dt|rt|ptt)-[\w-]{20,255}/g,
  /(?<![A-Za-z0-9])(?:xox[abeoprs]|xapp)-[\w-]{10,255}/g,
  /(?<![A-Za-z0-9])AIza[\w-]{35}/g,
  /(?<![A-Za-z0-9])ya29\.[\w-]{20,2048}/g,
  /(?<![A-Za-z0-9])(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{10,255}/g,
  /(?<![A-Za-z0-9])(?:whsec|npm|dop_v1)_[A-Za-z0-9+/=]{24,255}/g,
  /(?<![A-Za-z0-9])sk-[A-Za-z0-9][\w-]{19,255}/g,
  /(?<![A-Za-z0-9])SG\.[\w-]{16,64}\.[\w-]{16,128}/g,
  /(?<![A-Za-z0-9])(?:hvs|hvb)\.[\w-]{20,255}/g,
  /(?<![A-Za-z0-9])pypi-[\w-]{50,1024}/g,
  /(?<![A-Za-z0-9-])AGE-SECRET-KEY-(?:PQ-)?1[0-9A-Z]{20,4096}/gi,
  /(?<![A-Za-z0-9])\d{8,10}:[A-Za-z0-9_-]{35}(?![\w-])/g,
  // JWS and JWE in compact form: two to five parts, the first an object.
  /(?<![\w-])eyJ[\w-]{4,}\.[\w-]{4,}(?:\.[\w-]*){0,3}/g,
  // Hashes of crypt(5), and of PostgreSQL's SCRAM.
  /\$(?:[1567y]|2[abxy]|gy|argon2(?:id|i|d)|scrypt)\$[\w./$=,+-]{20,512}/g,
  /SCRAM-SHA-256\$\d{1,9}:[A-Za-z0-9+/=]{4,128}\$[A-Za-z0-9+/=]{4,128}:[A-Za-z0-9+/=]{4,128}/g,
]

/** What stands before a secret; only the last group is masked. */
const AFTER: readonly RegExp[] = [
  /(\bbearer +)((?=[\w.~+/=-]{0,64}\d|[\w.~+/=-]{20})[\w.~+/=-]{8,8192})/gi,
  /(\b(?:hooks\.slack\.com\/(?:services|workflows|triggers)|(?:discord|discordapp)\.com\/api\/webhooks|open\.(?:feishu\.cn|larksuite\.com)\/open-apis\/bot\/(?:v2\/)?hook|webhook\.office\.com\/webhookb2|outlook\.office\.com\/webhook)\/)([^\s"'<>\\?#]{4,512})/g,
  /(\bapi\.telegram\.org\/bot)([^\s"'<>\\?#/]{8,128})/g,
  /(\btemporary password is generated for [^\s:]{1,255}: )(\S{1,512})/g,
  /(\blogin [^\s]{1,255} password )(\S{1,512})/g,
  /(^[ \t]{0,64}(?:requirepass|masterauth|bindpw|rootpw) +)([^\s#][^\n\r]{0,512})/gm,
]

const BASIC = /(\bbasic +)([A-Za-z0-9+/_-]{6,4096}={0,2})/gi

/** A line of a PEM or OpenSSH key that has lost its frame: base64 of exactly the width that those tools write. */
const KEY_LINE =
  /(?<![A-Za-z0-9+/=])(?:[A-Za-z0-9+/]{76}|[A-Za-z0-9+/]{70}|[A-Za-z0-9+/]{64})(?=\\n|["']?[ \t\r]{0,8}$)/gm

/** Masks every secret that is known by its shape, except PEM blocks. */
export function maskShapes(text: string): string {
  let masked = maskDriverDsn(maskUserinfo(text))
  for (const pattern of TOKENS) masked = masked.replace(pattern, REDACTED)
  for (const pattern of AFTER)
    masked = masked.replace(pattern, (_, lead: string, secret: string) => lead + keepMasked(secret))
  masked = masked.replace(BASIC, (whole, lead: string, secret: string) => (isBasic(secret) ? lead + REDACTED : whole))
  return masked.replace(KEY_LINE, (line) => (isKeyText(line) ? REDACTED : line))
}

/**
 * Masks what stands between BEGIN and END of PEM-like blocks, also when each line carries a log prefix, when line
 * breaks are written `\n`, and when the END was cut off (then as long as lines still end like a key's).
 */
export function maskPem(text: string): string {
  const source = createSource(text)
  const spans: Span[] = []
  const begin = /-{4,5} ?BEGIN [A-Z0-9 ]{2,64}-{4,5}/g
  for (let match = begin.exec(text); match; match = begin.exec(text)) {
    const start = match.index + match[0].length
    const end = pemEnd(source, start)
    if (text.slice(start, end).trim() !== '') spans.push({ start, end })
    begin.lastIndex = end
  }
  return maskSpans(text, spans)
}

/** Longer than any key or chain that tools print: 64 KiB. */
const MAX_PEM = 65_536

function pemEnd({ text, lineEnd }: Source, start: number): number {
  const next = /-{4,5} ?(?:END|BEGIN) /.exec(text.slice(start, start + MAX_PEM))
  if (next?.[0].includes('END')) return start + next.index
  const limit = next ? start + next.index : Math.min(text.length, start + MAX_PEM)
  let end = Math.min(lineEnd(start), limit)
  while (end < limit) {
    const line = text.indexOf('\n', end) + 1
    if (line === 0 || lineEnd(line) > limit || !isKeyLine(text.slice(line, lineEnd(line)))) break
    end = lineEnd(line)
  }
  return end
}

function isKeyLine(line: string): boolean {
  return (
    /(?:^|\s)(?:[A-Za-z0-9+/=]{16,}|[A-Za-z0-9+/]{1,64}={1,2})\s*$/.test(line.slice(-1024)) ||
    /(?:Proc-Type|DEK-Info): /.test(line.slice(0, 1024)) ||
    line.trim() === '' ||
    line.trim() === REDACTED
  )
}

/** A URL's authority runs to the first of these; a password that was not percent-encoded may hold `/`, `?` and `#`. */
const AUTHORITY_END = /[/?#]/

/** `scheme://user:password@host`: masks the password; a lone user only when it is as long as a token. */
export function maskUserinfo(text: string): string {
  const spans: Span[] = []
  let sign = text.indexOf('@')
  for (let at = text.indexOf('://'); at !== -1 && sign !== -1;) {
    const next = text.indexOf('://', at + 3)
    if (sign < at) sign = text.indexOf('@', at)
    const found = sign !== -1 && (next === -1 || sign < next) ? readUserinfo(text, at + 3, next) : undefined
    if (found) spans.push(found)
    at = next
  }
  return maskSpans(text, spans)
}

function readUserinfo(text: string, start: number, next: number): Span | undefined {
  const rest = text.slice(start, Math.min(next === -1 ? text.length : next, start + 4096))
  const span = /^[^\s"<>`]*/.exec(rest)?.[0] ?? ''
  const authority = span.slice(0, AUTHORITY_END.exec(span)?.index ?? span.length)
  const colon = span.indexOf(':')
  const looseEnd = authority.includes('@') || /^[^:]*(?::\d*)?$/.test(authority) || authority.startsWith('[')
  const at = (looseEnd ? authority : span).lastIndexOf('@')
  if (at === -1) return undefined
  if (colon !== -1 && colon < at) return at > colon + 1 ? { start: start + colon + 1, end: start + at } : undefined
  const user = span.slice(0, at)
  return /^(?=.*\d)[\w.~-]{16,}$/.test(user) ? { start, end: start + at } : undefined
}

/** Go's MySQL driver: `user:password@tcp(host:port)/db`. */
function maskDriverDsn(text: string): string {
  const spans: Span[] = []
  for (const { index } of text.matchAll(/@(?:tcp|unix|udp)6?\(/g)) {
    const from = Math.max(0, index - 320, spans.at(-1)?.end ?? 0)
    const match = /(?:^|[\s"'`=])[\w.-]{1,64}:([^\s"'`]{1,255})$/.exec(text.slice(from, index))
    if (match) spans.push({ start: index - (match[1]?.length ?? 0), end: index })
  }
  return maskSpans(text, spans)
}

function isKeyText(line: string): boolean {
  return /[a-z]/.test(line) && /[A-Z]/.test(line) && /\d/.test(line) && !line.startsWith('/')
}

function isBasic(text: string): boolean {
  return /^[^\x00-\x1f:]*:/.test(Buffer.from(text, 'base64').toString('latin1'))
}

function keepMasked(secret: string): string {
  return secret.startsWith(REDACTED) ? secret : REDACTED
}
