/**
 * A digest of a table's rows that does not depend on their order: the sum of 64 bits of each row's MD5, over an explicit
 * list of columns. `CHECKSUM TABLE` will not do: with a VIRTUAL column it differs between identical tables. Virtual columns
 * are left out; they hold nothing of their own. The restored copy is read with the same function.
 */
import type { SqlSession } from '../session.ts'
import { literal, prepared, quoteName } from './connect.ts'

/** Their text is short and holds no `|`. */
const PLAIN = /^(?:tinyint|smallint|mediumint|int|bigint|decimal|float|double|date|time|datetime|timestamp|year)$/i

/** @returns per table `rows:digest`; the session's snapshot is what is read */
export async function fingerprintMysql(
  session: SqlSession,
  database: string,
  tables: readonly string[],
): Promise<Map<string, string>> {
  const columns = await session.query(
    `SELECT table_name, column_name, data_type FROM information_schema.columns
     WHERE table_schema = ${literal(database)} AND extra NOT LIKE '%VIRTUAL%' ORDER BY table_name, ordinal_position`,
  )
  const digests = new Map<string, string>()
  for (const table of tables) {
    const own = columns.filter(([name]) => name === table)
    const parts = own.map(([, name = '', type = '']) => columnText(quoteName(name), type))
    const row = `LEFT(MD5(CONCAT_WS('|', ${["''", ...parts].join(', ')})), 16)`
    const [answer] = await session.query(
      prepared(
        `SELECT COUNT(*), IFNULL(SUM(CAST(CONV(${row}, 16, 10) AS UNSIGNED)), 0)
         FROM ${quoteName(database)}.${quoteName(table)}`,
      ),
    )
    digests.set(table, `${answer?.[0]}:${answer?.[1]}`)
  }
  return digests
}

function columnText(column: string, type: string): string {
  return PLAIN.test(type) ? `IFNULL(CAST(${column} AS CHAR), '-')` : `IFNULL(MD5(${column}), '-')`
}
