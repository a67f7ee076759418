/**
 * A SQLite file on another machine: `sqlite3 .backup` into a private directory there, facts and bytes of that copy in one
 * stream, and the directory gone at the end, also when the connection breaks.
 */
import { OpsError } from '../../../core/errors.ts'
import { hasFailed, said } from '../../pipeline/failure.ts'
import { runTool } from '../../pipeline/place.ts'
import { writeTo } from '../../pipeline/pump.ts'
import { parseToolVersion } from '../../pipeline/tools.ts'
import type { DatabaseFacts, SourceResult, TableFacts } from '../../types.ts'
import { fileStem, type FamilyRun } from '../request.ts'

/**
 * $1 the file, $2 SQL that lists the objects, $3 SQL that makes the SQL which counts rows. Prints JSON, JSON or nothing, a
 * NUL, and the file. 66 (EX_NOINPUT): there is no such file. 65 (EX_DATAERR): it could not be copied.
 */
const SCRIPT = `umask 077
[ -f "$1" ] || exit 66
d=$(mktemp -d) || exit 73
trap 'rm -rf "$d"' 0
trap 'exit 143' 1 2 15
sqlite3 -bail -cmd '.timeout 30000' -readonly "$1" ".backup '$d/copy'" >&2 || exit 65
sqlite3 -bail -json "$d/copy" "$2" || exit 65
echo ';'
q=$(sqlite3 -bail "$d/copy" "$3") || exit 65
[ -z "$q" ] || sqlite3 -bail -json "$d/copy" "$q" || exit 65
printf '\\0'
cat "$d/copy"`

const OBJECTS = `SELECT type, name, coalesce(sql, '') AS sql FROM sqlite_master WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY 1, 2`
const COUNTS = `SELECT group_concat('SELECT ' || quote(name) || ' AS name, count(*) AS rows FROM "' || replace(name, '"', '""') || '"', ' UNION ALL ') FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND sql NOT LIKE 'CREATE VIRTUAL%'`

/** Facts of one database; longer is a mistake. */
const FACTS_BYTES = 64 * 1024 ** 2

export async function backUpFarSqlite(run: FamilyRun, path: string): Promise<SourceResult> {
  const { place, name, source } = run
  const version = parseToolVersion((await runTool(place, { argv: ['sqlite3', '--version'] })).stdout)
  await run.atSnapshot?.()
  const counts = source.row_counts ? COUNTS : `SELECT ''`
  const tool = await place.start({ argv: ['sh', '-c', SCRIPT, 'opskit', path, OBJECTS, counts] })
  const sink = await run.files.open({ stem: `${fileStem(name)}.sqlite`, role: 'dump', database: name })
  let head: Buffer | undefined = Buffer.alloc(0)
  let facts: DatabaseFacts | undefined
  let plainBytes = 0
  for await (const piece of tool.output ?? []) {
    let bytes = piece as Buffer
    if (head) {
      head = Buffer.concat([head, bytes])
      const end = head.indexOf(0)
      if (end === -1 && head.length < FACTS_BYTES) continue
      facts = parseFacts(head.toString('utf8', 0, end), name)
      bytes = head.subarray(end + 1)
      head = undefined
    }
    plainBytes += bytes.length
    await writeTo(sink.input(), bytes)
  }
  const end = await tool.ended
  if (end.error) throw end.error
  if (end.code === 66) throw new OpsError('FAILED', `${path} is not there or not a file on ${place.host}`)
  if (hasFailed(end) || !facts) {
    const failure =
      (await sink.failure()) ?? new OpsError('FAILED', `${path} could not be copied${said(end.stderr, place.redact)}`)
    throw failure
  }
  await run.files.finish(sink, plainBytes)
  const warnings = source.fingerprints ? ['no fingerprints: they are taken of SQLite files on this machine alone'] : []
  return {
    files: run.files.done,
    server: { family: 'sqlite', version },
    tools: { sqlite3: version },
    databases: [facts],
    warnings,
  }
}

interface SqliteObject {
  readonly type: string
  readonly name: string
  readonly sql: string
}

function parseFacts(text: string, name: string): DatabaseFacts {
  const [first = '', second = ''] = text.split(/(?:^|\n);\n/)
  const objects = parseJson(first) as readonly SqliteObject[]
  const counts = parseJson(second) as readonly { readonly name: string; readonly rows: number }[]
  const rows = new Map(counts.map((count) => [count.name, count.rows]))
  const named = (type: string) => objects.filter((object) => object.type === type).map((object) => object.name)
  const tables = objects.filter(({ type, sql }) => type === 'table' && !/^CREATE VIRTUAL/i.test(sql))
  return {
    name,
    tables: tables.map(({ name: table }): TableFacts => {
      const count = rows.get(table)
      return count === undefined ? { name: table } : { name: table, rows: count }
    }),
    views: named('view'),
    triggers: named('trigger'),
    routines: [],
    events: [],
    sequences: [],
    indexes: named('index'),
    foreignKeys: [],
    extensions: [],
  }
}

function parseJson(text: string): unknown {
  return text.trim() === '' ? [] : JSON.parse(text)
}
