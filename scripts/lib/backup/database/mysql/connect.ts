/**
 * How MariaDB's and MySQL's tools are told where to go: an option file that nobody else sees, and no other option file, so
 * that a `[mysqldump]` section of the machine cannot change what is saved. Their error numbers are those of errmsg-utf8.txt
 * (server) and errmsg.h (client).
 */
import { OpsError } from '../../../core/errors.ts'
import { nearestName } from '../../../core/nearest.ts'
import { missingTool, said, stageError } from '../../pipeline/failure.ts'
import { CREDENTIAL_PATH, runTool, type Place, type ToolEnd, type ToolSpec } from '../../pipeline/place.ts'
import { mysqlTlsOptions, TLS_HINT, type DatabaseTls } from '../tls.ts'
import { openSession, type Dialect, type SqlSession } from '../session.ts'

/** Where the server is, as seen from the place of the tools. */
export interface MysqlAddress {
  readonly host?: string | undefined
  readonly port?: number | undefined
  readonly socket?: string | undefined
  readonly user?: string | undefined
  readonly password?: string | undefined
  readonly tls?: DatabaseTls | undefined
}

/** Whose client tool it is: they have different options for the same. */
export type ToolFamily = 'mariadb' | 'mysql'

/** Must be the first argument of every tool. */
export const ONLY_OUR_OPTIONS = `--defaults-file=${CREDENTIAL_PATH}`

export function formatOptionFile(address: MysqlAddress, family: ToolFamily): string {
  const { host, port, socket, user, password, tls } = address
  const encryption = tls ? mysqlTlsOptions(tls, host, family) : {}
  const lines = Object.entries({ host, port, socket, user, password, ...encryption })
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key}="${escapeOption(String(value))}"`)
  return `[client]\n${lines.join('\n')}\n`
}

function escapeOption(value: string): string {
  const escapes: Readonly<Record<string, string>> = { '\\': '\\\\', '"': '\\"', '\n': '\\n', '\r': '\\r', '\t': '\\t' }
  return value.replace(/[\\"\n\r\t]/g, (char) => escapes[char] ?? char)
}

/** A text as a literal that no client, character set or quoting can change. */
export function literal(text: string): string {
  return text === '' ? "''" : `CONVERT(0x${Buffer.from(text).toString('hex')} USING utf8mb4)`
}

export function quoteName(name: string): string {
  return `\`${name.replaceAll('`', '``')}\``
}

/** A statement whose names the client's own reader never sees: it takes a backslash before a quote for an escape. */
export function prepared(statement: string): string {
  return `SET @s = ${literal(statement)};\nPREPARE s FROM @s;\nEXECUTE s`
}

export interface FoundProgram {
  readonly program: string
  readonly said: string
  readonly family: ToolFamily
}

/** The first of the programs that is there: MariaDB's name first, the old one that both brought second. */
export async function findProgram(place: Place, names: readonly string[]): Promise<FoundProgram> {
  for (const program of names) {
    try {
      const { stdout } = await runTool(place, { argv: [program, '--version'] })
      return { program, said: stdout, family: /mariadb/i.test(stdout) ? 'mariadb' : 'mysql' }
    } catch (error) {
      if (!(error instanceof OpsError) || error.code !== 'MISSING_TOOL') throw error
    }
  }
  throw missingTool(names[0] ?? 'mariadb', place.host)
}

export interface MysqlAccess {
  readonly place: Place
  readonly address: MysqlAddress
  /** `mariadb` or `mysql`. */
  readonly client: string
  readonly family: ToolFamily
}

/** @throws OpsError NOT_PERMITTED, UNREACHABLE, MISSING_TOOL */
export async function openMysqlSession({ place, address, client, family }: MysqlAccess): Promise<SqlSession> {
  const spec: ToolSpec = {
    argv: [
      client,
      ONLY_OUR_OPTIONS,
      '--batch',
      '--skip-column-names',
      '--unbuffered',
      '--skip-reconnect',
      '--connect-timeout=10',
      '--default-character-set=utf8mb4',
    ],
    credentials: formatOptionFile(address, family),
  }
  const dialect: Dialect = {
    client: spec,
    mark: (line) => `SELECT '${line}';`,
    parse: parseBatch,
    errorOf: (end) => mysqlError(end, place),
  }
  const session = await openSession(place, dialect)
  // Quotes mean what they mean here, whatever the server's default; and a table that somebody alters does not hold a
  // question up for a day (the default of lock_wait_timeout).
  await session.query("SET SESSION sql_mode = '', lock_wait_timeout = 60, time_zone = '+00:00'")
  if (address.tls) await refuseUnencrypted(session, place)
  return session
}

async function refuseUnencrypted(session: SqlSession, place: Place): Promise<void> {
  const [status] = await session.query("SHOW SESSION STATUS LIKE 'Ssl_cipher'")
  if ((status?.[1] ?? '') !== '') return
  await session.close()
  throw new OpsError('UNREACHABLE', 'the database server does not encrypt its connections, and `tls` asks for it', {
    host: place.host,
    hint: 'Give the server a certificate (ssl_cert, ssl_key), or take `tls` out of this source.',
  })
}

/** `--batch` writes a row a line, columns apart by tabs, and escapes what would break that. NULL is the word NULL. */
export function parseBatch(output: string): string[][] {
  const escapes: Readonly<Record<string, string>> = { n: '\n', t: '\t', '0': '\0', '\\': '\\' }
  const plain = (field: string) => field.replace(/\\([nt0\\])/g, (_, char: string) => escapes[char] ?? char)
  return output
    .split('\n')
    .slice(0, -1)
    .map((line) => line.split('\t').map(plain))
}

const CODES: Readonly<Record<number, 'NOT_PERMITTED' | 'UNREACHABLE' | 'LOCKED' | 'CANNOT_WRITE'>> = {
  1044: 'NOT_PERMITTED',
  1045: 'NOT_PERMITTED',
  1142: 'NOT_PERMITTED',
  1143: 'NOT_PERMITTED',
  1227: 'NOT_PERMITTED',
  1370: 'NOT_PERMITTED',
  1698: 'NOT_PERMITTED',
  3159: 'NOT_PERMITTED',
  1040: 'UNREACHABLE',
  1053: 'UNREACHABLE',
  1129: 'UNREACHABLE',
  2002: 'UNREACHABLE',
  2003: 'UNREACHABLE',
  2005: 'UNREACHABLE',
  2006: 'UNREACHABLE',
  2013: 'UNREACHABLE',
  2026: 'UNREACHABLE',
  2055: 'UNREACHABLE',
  1205: 'LOCKED',
  1206: 'LOCKED',
  1213: 'LOCKED',
  1021: 'CANNOT_WRITE',
  1026: 'CANNOT_WRITE',
  1114: 'CANNOT_WRITE',
}

const HINTS: Readonly<Record<number, string>> = {
  1045: 'Check user and password; the account needs SELECT, SHOW VIEW, TRIGGER, EVENT and RELOAD.',
  1698: 'Check user and password; the account may only log in over the socket as that system user.',
  2002: 'Is the server running, and is its socket or address right?',
  2003: 'Is the server running, and is its address right?',
  2026: TLS_HINT,
  3159: 'Set `tls: require` or `tls: verify` for this source.',
  2013: 'The server went away or ended the session; look into its error log.',
  1021: 'The disk of the server is full: free space there.',
  1026: 'Is the disk of the server full? Look into its error log.',
  1114: 'Is the disk of the server full? Free space there, and try again.',
  1412: 'A table was altered while it was saved; run the backup again.',
}

/** Tools print `ERROR 1045 (28000)`, `Got error: 1045:`, `Error 2013:` or `… (1142)`; the number decides. */
export function mysqlErrorNumber(stderr: string): number | undefined {
  const found = /\bERROR (\d{4,5})\b|\berror:? (\d{4,5}):|\((\d{4,5})\)\s*$/im.exec(stderr)
  const digits = found?.[1] ?? found?.[2] ?? found?.[3]
  return digits === undefined ? undefined : Number(digits)
}

export function mysqlError(end: ToolEnd, place: Place): OpsError {
  if (end.error) return end.error
  const number = mysqlErrorNumber(end.stderr)
  if (number === undefined) return stageError(end, place.host, place.redact)
  const hint = HINTS[number]
  const code = CODES[number] ?? 'FAILED'
  // In batch mode a client prints the statement too, which may be a megabyte of somebody's rows.
  const lines = end.stderr.split('\n').filter((line) => mysqlErrorNumber(line) !== undefined)
  return new OpsError(code, `the database server refused or failed${said(lines.join('\n'), place.redact)}`, {
    host: place.host,
    ...(hint ? { hint } : {}),
    transient: number !== 2026 && (code === 'UNREACHABLE' || code === 'LOCKED' || number === 1412 || number === 1927),
  })
}

const SYSTEM = new Set(['information_schema', 'performance_schema', 'mysql', 'sys'])

/**
 * The databases to save, sorted.
 * @throws OpsError FAILED naming one that is asked for and not there, with the nearest
 */
export async function readDatabaseNames(session: SqlSession, wanted: 'all' | readonly string[]): Promise<string[]> {
  const rows = await session.query('SELECT schema_name FROM information_schema.schemata')
  const there = rows.map(([name = '']) => name)
  // `#mysql50#lost+found`: a directory in the data directory that is no database.
  if (wanted === 'all') return there.filter((name) => !SYSTEM.has(name.toLowerCase()) && !name.startsWith('#')).sort()
  return chooseNames(there, wanted)
}

export function chooseNames(there: readonly string[], wanted: readonly string[]): string[] {
  for (const name of wanted) {
    if (there.includes(name)) continue
    const near = nearestName(name, there)
    throw new OpsError('FAILED', `there is no database ${JSON.stringify(name)} on the server`, {
      hint: near === undefined ? 'Check `databases` of this source.' : `Did you mean ${JSON.stringify(near)}?`,
    })
  }
  return [...new Set(wanted)].sort()
}
