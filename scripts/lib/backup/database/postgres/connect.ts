/**
 * How PostgreSQL's tools are told where to go: by the environment, with the password in a file that nobody else sees (the
 * names of databases go that way too: as an argument, `a=b` would be a connection string). Psql prints no error code when
 * it cannot connect; `pg_isready`, whose exit status is documented, tells a refused login from a silent server.
 */
import { OpsError } from '../../../core/errors.ts'
import type { Argv } from '../../../core/quote.ts'
import { said, stageError } from '../../pipeline/failure.ts'
import { CREDENTIAL_PATH, runTool, type Place, type ToolEnd, type ToolSpec } from '../../pipeline/place.ts'
import { openSession, type SqlSession } from '../session.ts'
import { postgresTlsEnv, TLS_HINT, type DatabaseTls } from '../tls.ts'

export interface PostgresAddress {
  readonly host?: string | undefined
  readonly port?: number | undefined
  /** The directory of its socket. */
  readonly socket?: string | undefined
  readonly user?: string | undefined
  readonly password?: string | undefined
  readonly tls?: DatabaseTls | undefined
}

export interface PostgresAccess {
  readonly place: Place
  readonly address: PostgresAddress
  /** Milliseconds to wait for a table that somebody holds. */
  readonly lockWaitMs: number
}

/** Any database of the server, for questions about all of them. */
export const MAINTENANCE = 'postgres'

/** @returns the tool with its way to a database */
export function connected(argv: Argv, { address, lockWaitMs }: PostgresAccess, database: string): ToolSpec {
  const { host, port, socket, user, password, tls } = address
  const where = socket ?? host
  return {
    argv,
    env: {
      PGDATABASE: database,
      ...(where === undefined ? {} : { PGHOST: where }),
      ...(port === undefined ? {} : { PGPORT: String(port) }),
      ...(user === undefined ? {} : { PGUSER: user }),
      ...(tls ? postgresTlsEnv(tls, host) : {}),
      PGCONNECT_TIMEOUT: '10',
      PGAPPNAME: 'opskit',
      PGCLIENTENCODING: 'UTF8',
      PGOPTIONS: `-c lock_timeout=${lockWaitMs}`,
      ...(password === undefined ? {} : { PGPASSFILE: CREDENTIAL_PATH }),
    },
    ...(password === undefined ? {} : { credentials: formatPassFile(password) }),
  }
}

/** @throws OpsError CONFIG_INVALID for a password that a password file cannot hold */
export function formatPassFile(password: string): string {
  if (/[\r\n\0]/.test(password)) {
    throw new OpsError('CONFIG_INVALID', 'a PostgreSQL password cannot hold a line break')
  }
  return `*:*:*:*:${password.replace(/[\\:]/g, '\\$&')}\n`
}

export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** With standard_conforming_strings, which every session of ours sets. */
export function quoteLiteral(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}

/** Separators that no name holds: NUL would be refused, the last two control characters are not. */
const FIELD = '\u001f'
const RECORD = '\u001e'

/** @throws OpsError NOT_PERMITTED, UNREACHABLE, MISSING_TOOL */
export async function openPostgresSession(access: PostgresAccess, database: string): Promise<SqlSession> {
  const argv: Argv = [
    'psql',
    '-X',
    '-q',
    '-A',
    '-t',
    '-w',
    '-v',
    'ON_ERROR_STOP=1',
    '-v',
    'VERBOSITY=verbose',
    '-F',
    FIELD,
    '-R',
    RECORD,
  ]
  const session = await openSession(access.place, {
    client: connected(argv, access, database),
    mark: (line) => `\\echo '${line}'`,
    parse: parseUnaligned,
    errorOf: (end) => postgresError(end, access),
  })
  await session.query('SET standard_conforming_strings = on; SET search_path = pg_catalog')
  return session
}

function parseUnaligned(output: string): string[][] {
  if (output === '') return []
  return output
    .replace(/\n$/, '')
    .split(RECORD)
    .map((record) => record.split(FIELD))
}

/** Exit codes of pg_isready(1). */
const NO_RESPONSE = new Set([1, 2])

const STATES: Readonly<Record<string, 'NOT_PERMITTED' | 'LOCKED' | 'CANNOT_WRITE'>> = {
  '42501': 'NOT_PERMITTED',
  '53100': 'CANNOT_WRITE',
  '55P03': 'LOCKED',
}

/** Psql's and libpq's own words, in the language that we start them in. */
const LOST = /connection to server was lost|server closed the connection unexpectedly/

/** From the error on, without places in sources and scripts, and without what stood in the rows. */
function essence(stderr: string): string {
  const lines = stderr
    .replaceAll(/^psql:<stdin>:\d+: /gm, '')
    .replaceAll(/^LOCATION: .*$/gm, '')
    .replaceAll(/^(CONTEXT: +COPY .*, line \d+(?:, column [^"]*?)?): ".*$/gm, '$1')
    // In the language of a server that speaks another one.
    .replaceAll(/^(?!CONTEXT: +COPY .*, line \d)(\S+ ?: +COPY .*?, \S+ \d+).*$/gm, '$1')
    .replaceAll(/^(DETAIL: +Failing row contains) .*$/gm, '$1 (not shown)')
    .split('\n')
    .filter((line) => line.trim() !== '')
  const first = lines.findIndex((line) => /\b(?:ERROR|FATAL|PANIC): /.test(line))
  return (first === -1 ? lines : lines.slice(first, first + LINES_SAID)).join('\n')
}

const LINES_SAID = 3

/** What went wrong with a tool of PostgreSQL that ended without success. */
export async function postgresError(end: ToolEnd, access: PostgresAccess): Promise<OpsError> {
  const { place } = access
  if (end.error) return end.error
  if (end.cannotStart !== undefined || end.code === 127 || end.signal !== null) {
    return stageError(end, place.host, place.redact)
  }
  // Whether somebody is there, whatever his certificate is.
  const anybody = { ...access, address: { ...access.address, tls: undefined } }
  const ready = await runTool(place, connected(['pg_isready', '-q', '-t', '5'], anybody, MAINTENANCE))
  const words = said(essence(end.stderr), place.redact)
  if (ready.code !== null && NO_RESPONSE.has(ready.code)) {
    return new OpsError('UNREACHABLE', `the PostgreSQL server does not answer${words}`, {
      host: place.host,
      transient: true,
      hint: 'Is the server running, and is its address right? Look into its log.',
    })
  }
  if (LOST.test(end.stderr)) {
    return new OpsError('UNREACHABLE', `the PostgreSQL server has ended a session${words}`, {
      host: place.host,
      transient: true,
      hint: 'It runs; its log says why, if words here do not.',
    })
  }
  // 2 of psql: the connection to the server went bad or could not be made.
  if (end.program.endsWith('psql') && end.code === 2) {
    return new OpsError('NOT_PERMITTED', `the PostgreSQL server answers and does not let us in${words}`, {
      host: place.host,
      hint: `Check user, password, database and pg_hba.conf.${access.address.tls ? ` ${TLS_HINT}` : ''}`,
    })
  }
  // `ERROR:  42501: …`, appendix A of the manual; pg_dump prints no codes.
  const state = /^(?:psql:<stdin>:\d+: )?(?:ERROR|FATAL): +(\w{5}):/m.exec(end.stderr)?.[1]
  return new OpsError(
    STATES[state ?? ''] ?? 'FAILED',
    `${end.program} on ${place.host} ended with status ${end.code}${words}`,
    {
      host: place.host,
    },
  )
}
