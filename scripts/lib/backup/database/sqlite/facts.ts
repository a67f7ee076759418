/** What a SQLite file holds, read from a copy that nobody writes. */
import { createHash } from 'node:crypto'
import { pathToFileURL } from 'node:url'
import type { DatabaseSync } from 'node:sqlite'
import type { DatabaseFacts, TableFacts } from '../../types.ts'

export interface SqliteFactsOptions {
  readonly name: string
  readonly rows: boolean
  readonly fingerprints: boolean
}

/**
 * @param path a copy: it is opened as a file that does not change, so that nothing is written beside it
 * @throws the error of SQLite when it is damaged
 */
export async function readSqliteFacts(path: string, options: SqliteFactsOptions): Promise<DatabaseFacts> {
  const { DatabaseSync } = await import('node:sqlite')
  const url = pathToFileURL(path)
  url.searchParams.set('immutable', '1')
  const database = new DatabaseSync(url, { readOnly: true })
  try {
    return readFacts(database, options)
  } finally {
    database.close()
  }
}

function readFacts(database: DatabaseSync, { name, rows, fingerprints }: SqliteFactsOptions): DatabaseFacts {
  const objects = database
    .prepare(
      `SELECT type, name, tbl_name, coalesce(sql, '') AS sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'`,
    )
    .all()
  const named = (type: string) =>
    objects
      .filter((object) => object['type'] === type)
      .map((object) => String(object['name']))
      .sort()
  const tables = objects.filter(({ type, sql }) => type === 'table' && !/^CREATE VIRTUAL/i.test(String(sql)))
  const foreignKeys = tables.flatMap(({ name: table }) =>
    database
      .prepare('SELECT id, seq, "table" FROM pragma_foreign_key_list(?)')
      .all(String(table))
      .map(({ id, seq, table: target }) => `${String(table)}.${Number(id)}.${Number(seq)} -> ${String(target)}`),
  )
  return {
    name,
    tables: tables
      .map(({ name: table }): TableFacts => {
        const from = quote(String(table))
        const count = rows ? Number(database.prepare(`SELECT count(*) AS n FROM ${from}`).get()?.['n']) : undefined
        return {
          name: String(table),
          ...(count === undefined ? {} : { rows: count }),
          ...(fingerprints ? { fingerprint: digest(database, from) } : {}),
        }
      })
      .sort((a, b) => (a.name < b.name ? -1 : 1)),
    views: named('view'),
    triggers: named('trigger'),
    routines: [],
    events: [],
    sequences: [],
    indexes: named('index'),
    foreignKeys: foreignKeys.sort(),
    extensions: [],
  }
}

function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** The sum of 64 bits of each row's hash: in any order. Type and value both count. */
function digest(database: DatabaseSync, from: string): string {
  const statement = database.prepare(`SELECT * FROM ${from}`)
  statement.setReadBigInts(true)
  let sum = 0n
  for (const row of statement.iterate()) {
    const hash = createHash('sha256')
    for (const value of Object.values(row)) {
      const bytes = value instanceof Uint8Array ? value : Buffer.from(String(value))
      hash.update(`${typeof value}:${bytes.byteLength}:`).update(bytes)
    }
    sum += hash.digest().readBigUInt64BE()
  }
  return sum.toString()
}
