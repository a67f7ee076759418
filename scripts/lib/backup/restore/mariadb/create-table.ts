/**
 * Which keys of a table can be built after its rows, and the table's definition without them.
 *
 * Rows of a table with secondary keys are inserted in primary-key order but land all over its other keys; built afterwards,
 * a key is sorted once. Reads what SHOW CREATE TABLE prints (sql/sql_show.cc): one item a line, names in backticks, but
 * cuts it by its syntax, since an expression may hold anything.
 */

export interface CreateTable {
  readonly name: string
  /** The statement to run before the rows. */
  readonly create: string
  /** Items for `ALTER TABLE … ADD …`: keys. Empty when all of them stay in `create`. */
  readonly keys: readonly string[]
  /** `CONSTRAINT … FOREIGN KEY …`, for when every key of every table is there. */
  readonly foreignKeys: readonly string[]
}

const HEAD = /^CREATE (?:OR REPLACE )?TABLE (?:IF NOT EXISTS )?`((?:[^`]|``)*)` \(/s

/**
 * @param sql one character a byte (latin1); the table's name comes back as text
 * @returns undefined for what is not a CREATE TABLE with a list of columns
 */
export function splitCreateTable(sql: string): CreateTable | undefined {
  const head = HEAD.exec(sql)
  if (!head) return undefined
  const body = readItems(sql, head[0].length)
  if (!body) return undefined
  const name = Buffer.from((head[1] ?? '').replaceAll('``', '`'), 'latin1').toString()
  const unchanged = { name, create: sql, keys: [], foreignKeys: [] }
  if (!/^\)\s*ENGINE=InnoDB\b/.test(sql.slice(body.end)) || /WITH SYSTEM VERSIONING/.test(sql.slice(body.end))) {
    return unchanged
  }
  const items = body.items.map((item) => item.trim())
  const fixed = namesThatKeepTheirKeys(items)
  const keys = items.filter((item) => isLaterKey(item, fixed))
  const foreignKeys = items.filter((item) => /^CONSTRAINT `(?:[^`]|``)*` FOREIGN KEY /s.test(item))
  const stay = items.filter((item) => !keys.includes(item) && !foreignKeys.includes(item))
  if (stay.length === items.length || stay.length === 0) return unchanged
  return { name, create: `${head[0]}\n  ${stay.join(',\n  ')}\n${sql.slice(body.end)}`, keys, foreignKeys }
}

/** An AUTO_INCREMENT column must have a key at once. */
function namesThatKeepTheirKeys(items: readonly string[]): ReadonlySet<string> {
  const special = items.filter((item) => item.startsWith('`') && /\bAUTO_INCREMENT\b/.test(withoutQuoted(item)))
  return new Set(special.map((item) => /^`(?:[^`]|``)*`/s.exec(item)?.[0] ?? ''))
}

function isLaterKey(item: string, fixed: ReadonlySet<string>): boolean {
  const key = /^(?:UNIQUE )?KEY `(?:[^`]|``)*` \(/s.exec(item)
  if (!key) return false
  const bare = withoutQuoted(item)
  if (/USING HASH|WITHOUT OVERLAPS/.test(bare)) return false
  const names = item.slice(key[0].length).match(/`(?:[^`]|``)*`/gs) ?? []
  // An expression in place of a column (MySQL 8) is left where it is.
  return names.length > 0 && !/\(\(/.test(bare) && !names.some((name) => fixed.has(name))
}

interface Items {
  readonly items: readonly string[]
  /** Where the closing parenthesis stands. */
  readonly end: number
}

function readItems(sql: string, from: number): Items | undefined {
  const items: string[] = []
  let depth = 1
  let start = from
  for (let at = from; at < sql.length; at += 1) {
    const char = sql[at]
    if (char === '`' || char === "'" || char === '"') at = skipQuoted(sql, at)
    else if (char === '(') depth += 1
    else if (char === ')') depth -= 1
    if ((char === ',' && depth === 1) || depth === 0) {
      items.push(sql.slice(start, at))
      start = at + 1
    }
    if (depth === 0) return { items, end: at }
  }
  return undefined
}

/** @returns where the closing quote stands */
function skipQuoted(sql: string, from: number): number {
  const quote = sql[from]
  for (let at = from + 1; at < sql.length; at += 1) {
    if (sql[at] === '\\' && quote !== '`') at += 1
    else if (sql[at] === quote) {
      if (sql[at + 1] !== quote) return at
      at += 1
    }
  }
  return sql.length
}

/** The syntax around what is quoted: a word for each quoted piece. */
function withoutQuoted(item: string): string {
  let bare = ''
  for (let at = 0; at < item.length; at += 1) {
    const char = item[at] ?? ''
    if (char === '`' || char === "'" || char === '"') {
      at = skipQuoted(item, at)
      bare += '_'
    } else bare += char
  }
  return bare
}
