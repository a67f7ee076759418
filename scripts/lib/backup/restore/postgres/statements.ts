/**
 * The statements that make a database itself (its encoding, owner, settings, comment, grants), cut out of what
 * `pg_restore --create` prints, where each stands under a comment that names it.
 */
import { quoteIdentifier } from '../../database/postgres/connect.ts'

export interface DatabaseStatements {
  readonly create: string
  /** To be run when it is filled: a setting (read-only, say) must not stand in the way of the restore. */
  readonly properties: string
}

export interface RenameOptions {
  readonly original: string
  readonly database: string
  /** Leave owner and grants out. */
  readonly ownOwner: boolean
}

const HEADER = /^-- Name: (.*); Type: (DATABASE|DATABASE PROPERTIES|COMMENT|ACL); Schema: -; Owner: .*$/
const ANY_HEADER = /^-- (?:Name: .*; Type: |PostgreSQL database dump complete)/

export function readStatements(text: string, { original, database, ownOwner }: RenameOptions): DatabaseStatements {
  // In a comment a name stands on one line.
  const named = original.replaceAll(/[\r\n]/g, ' ')
  const statements = readSections(text)
    .filter(({ name, type }) => name === (type === 'COMMENT' || type === 'ACL' ? `DATABASE ${named}` : named))
    .filter(({ type }) => !(ownOwner && type === 'ACL'))
    // A comment may hold anything; the others are a line each.
    .flatMap(({ type, body }) => (type === 'COMMENT' ? [body] : body.split('\n')))
    .map((statement) => statement.trim())
    .filter((statement) => statement !== '' && !(ownOwner && / OWNER TO /.test(statement)))
    .map((statement) => rename(statement, original, database))
  const create = statements.find((statement) => statement.startsWith('CREATE DATABASE '))
  return {
    create: create ?? `CREATE DATABASE ${quoteIdentifier(database)} TEMPLATE template0;`,
    properties: statements.filter((statement) => statement !== create).join('\n'),
  }
}

interface Section {
  readonly name: string
  readonly type: string
  readonly body: string
}

function readSections(text: string): Section[] {
  const sections: { name: string; type: string; body: string }[] = []
  let current: (typeof sections)[number] | undefined
  for (const line of text.split('\n')) {
    if (ANY_HEADER.test(line)) {
      const header = HEADER.exec(line)
      current = header ? { name: header[1] ?? '', type: header[2] ?? '', body: '' } : undefined
      if (current) sections.push(current)
      // `\connect`, and in newer dumps `\restrict`: psql's own, and where to connect is not the dump's to say.
    } else if (current && line !== '--' && !line.startsWith('\\')) current.body += `${line}\n`
  }
  return sections
}

/** The name as pg_dump writes it: bare, or quoted. */
function rename(statement: string, original: string, database: string): string {
  const forms = [quoteIdentifier(original), original]
  const found = forms.find((form) => statement.includes(`DATABASE ${form}`))
  if (found === undefined) return statement
  return statement.replace(`DATABASE ${found}`, () => `DATABASE ${quoteIdentifier(database)}`)
}
