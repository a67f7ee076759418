/**
 * Which names announce a secret (`DB_PASSWORD`, `clientSecret`, `x-api-key`), and which values are plainly not one
 * (`true`, `${DB_PASSWORD}`, `***`). What is around a name in a text is read by pairs.ts.
 */
import { REDACTED } from '../secret.ts'

/** The last word of a name, when it says by itself that a secret follows. */
const SECRET_WORDS = new Set([
  ...[
    'password',
    'passwords',
    'passwd',
    'passwort',
    'passphrase',
    'passcode',
    'pass',
    'pwd',
    'pw',
    'secret',
    'secrets',
  ],
  ...['token', 'tokens', 'apikey', 'apikeys', 'credential', 'credentials', 'cookie', 'cookies', 'authorization'],
  ...['phpsessid', 'jsessionid', 'sessid', 'sessionid'],
])

/** How a name without separators ends: `PGPASSWORD`, `awssecretaccesskey`, `smtppass`, `bindpw`. */
const SECRET_ENDING =
  /(?:password|passwd|passphrase|secret|token|apikey|authkey|accesskey|secretkey|privatekey|accountkey|masterkey|encryptionkey|signingkey|sharedkey|secretid|webhook|webhookurl|(?:db|user|root|admin|smtp|mail|sql|my|pg|ftp|ldap|bind|http|proxy|redis|key)(?:pass|pw|pwd))$/

/** Words after the one that counts: `DB_PASSWORD_OLD`, `password_hash`, `TOKEN_2`. */
const QUALIFIERS =
  /^(?:\d+|old|new|current|previous|default|plain|raw|value|base64|b64|encoded|hash|hashed|string|text|prod|production|dev|staging|test|primary|secondary)$/

/** `max_tokens`, `has_password`: a name about secrets, not of one. */
const ABOUT = /^(?:no|has|is|requires?|needs?|allow|enable|disable|show|hide|max|min|num|count|total|n)$/

/** Names that carry a secret only as a parameter of a URL. */
const QUERY_NAMES =
  /^(?:sig|signature|sign|key|code|auth|ticket|sid|access_key|x-(?:amz|goog)-(?:signature|credential|security-token))$/i

/** 密码 password, 口令 passphrase, 密钥 key, 令牌 token: as the last part of a name. */
const CJK_ENDING = /(?:密码|口令|密钥|令牌)$/

/** Longest part of a name that is looked at; a longer one is judged by its end. */
const MAX_NAME = 128

/** True when a value under this name is a secret: `db.password`, `DB_PASSWORD_OLD`, `apiKey`, `Set-Cookie`, `密码`. */
export function isSecretName(name: string): boolean {
  const end = name.slice(-MAX_NAME)
  if (CJK_ENDING.test(end)) return true
  const words = wordsOf(end)
  while (words.length > 1 && QUALIFIERS.test(words.at(-1) ?? '')) words.pop()
  const last = (words.at(-1) ?? '').replace(/\d+$/, '')
  if (words.length > 1 && ABOUT.test(words[0] ?? '')) return false
  return SECRET_WORDS.has(last) || SECRET_ENDING.test([...words.slice(0, -1), last].join(''))
}

/** True when a URL parameter of this name is a secret: everything `isSecretName` knows, and `sig`, `key`, `sign`. */
export function isSecretParameter(name: string): boolean {
  return QUERY_NAMES.test(name) || isSecretName(name)
}

/** True for headers whose whole rest is secret, spaces included. */
export function isHeaderName(name: string): boolean {
  return /^(?:proxy-)?authorization$|^(?:set-)?cookie$/i.test(name)
}

/** True for a value that is no secret: empty, a switch, a reference to a variable, or already masked. */
export function isPlaceholder(value: string): boolean {
  const bare = value.trim()
  if (bare.length > MAX_NAME) return false
  return (
    bare === '' ||
    bare === REDACTED ||
    /^(?:true|false|yes|no|on|off|none|null|nil|undefined|unset|~|\*+|x{3,}|<[\w .-]*>|\.{3}|…)[,.;)\]]?$/i.test(
      bare,
    ) ||
    /^(?:\$[A-Z][A-Z_]*|\$\{[A-Za-z_]\w*\}|\{\{\s*[\w.]+\s*\}\}|%[A-Z_]+%)$/.test(bare)
  )
}

/**
 * True for a value that is something else under this name: `tokens: 512` and `pass 12` are counts, `PWD=/root` a
 * directory, `PASS: test_foo` at the beginning of a line a test run, `passwd: files` a source of nsswitch.conf.
 */
export function isOrdinary(name: string, value: string, before = ''): boolean {
  const bare = value.trim()
  if (/^\d+[,.;]?$/.test(bare) && /(?:s|S)$|^pass$/.test(name)) return true
  if (name === 'passwd' && /^(?:files|compat|db|sss|systemd|ldap)\b/.test(bare)) return true
  return (
    (/^(?:OLD)?PWD$/.test(name) && bare.startsWith('/')) ||
    (name === 'PASS' && before === '\n' && /^[\w.-]+$/.test(bare))
  )
}

/** True for a word that is the next flag and not the value of the one before: `--host`, `--host=db`, `-h`. */
export function isFlag(word: string): boolean {
  return /^(?:--[A-Za-z][\w-]*(?:=.*)?|-[A-Za-z])$/s.test(word)
}

function wordsOf(name: string): string[] {
  return name
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .replace(/([A-Z])([A-Z][a-z])/g, '$1 $2')
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter((word) => word !== '')
}
