/**
 * README.md of a repository: how to restore with standard tools alone, for the day when opskit is not at hand. Its
 * commands are tried by a test, word for word.
 */
import { randomBytes } from 'node:crypto'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { systemCode } from '../../core/errors.ts'
import { renameDurable, writeDurable } from './durable.ts'

/** Ours begins with this line; a README that does not is somebody else's and stays. */
const FIRST_LINE = '# Backups made by opskit'

export const REPOSITORY_README = `${FIRST_LINE}

Everything here can be restored with standard tools: \`tar\`, \`zstd\`, \`sha256sum\`, \`mariadb\` or \`mysql\`, \`psql\`,
\`pg_restore\`, and \`age\` when the backups are encrypted. opskit is not needed. (With it: \`npx zx scripts/backup.ts list\`
and \`npx zx scripts/restore.ts --help\`.)

## What lies where

    <kind>/<name>/<UTC time>/    kind is database, config or static
      manifest.json              what, from where, when, versions, sizes, SHA-256 of each file
      records.jsonl              what was learned later: verified, drilled, copied, pinned
      the data files             *.zst, or *.zst.age when encrypted

A directory with a plain UTC time as its name is a whole backup. Names that begin with a dot are being written or
deleted: leave them alone. An incremental backup of files names the full one it builds on as "parent" in its manifest.

The commands below are run in the directory of one backup. \`$TARGET\` is an empty directory to restore into, \`$DATABASE\` a
new database.

## Check that the bytes are those that were written

\`\`\`sh check
sed -n 's/^ *"path": "\\(.*\\)",$/\\1/p; s/^ *"sha256": "\\(.*\\)",\\{0,1\\}$/\\1/p' manifest.json | paste - - | while IFS="$(printf '\\t')" read -r file sum; do printf '%s  %s\\n' "$sum" "$file"; done | sha256sum --check --strict
\`\`\`

## Decrypt

Only when the files end in \`.age\`. \`$IDENTITY\` is the file with the age identity. The files without \`.age\` appear beside.

\`\`\`sh decrypt
for file in *.age; do age --decrypt -i "$IDENTITY" -o "\${file%.age}" "$file" || break; done
\`\`\`

## Files (kinds config and static)

\`files.tar.zst\` holds what was read. \`changed.tar.zst\`, when it is there, holds the second reading of files that changed
meanwhile, and is unpacked after it. Paths in them begin below \`/\`.

\`\`\`sh files
for archive in files.tar.zst changed.tar.zst; do [ ! -e "$archive" ] || zstd -dc "$archive" | tar -x -i -p --numeric-owner --acls --xattrs --xattrs-include='*' -C "$TARGET" -f - || break; done
\`\`\`

An incremental backup: restore its parent into \`$TARGET\` first (the commands above, in the parent's directory), then
remove what had been deleted since, then run the commands above here.

\`\`\`sh deleted
zstd -dc deleted.zst | (cd "$TARGET" && xargs -0 -r rm -rf --)
\`\`\`

One file only, and the list of what there is:

\`\`\`sh list
zstd -dc files.tar.zst | tar -t -v -i -f -
\`\`\`

## MariaDB and MySQL

One plain dump for each database, \`<database>.sql.zst\`, and the accounts in \`_users.sql.zst\` (read it before you run it).
\`--sandbox\` keeps commands of the client in the dump from running; clients before 10.11.8 do not know it.

\`\`\`sh mariadb
mariadb -e "CREATE DATABASE \\\`$DATABASE\\\`"
zstd -dc "$DATABASE.sql.zst" | mariadb --sandbox "$DATABASE"
\`\`\`

## PostgreSQL

For each database \`<database>.schema.dump.zst\` and one or more \`<database>.data-<n>.dump.zst\`; roles and tablespaces in
\`_globals.sql.zst\`.

\`\`\`sh postgresql
createdb "$DATABASE"
zstd -dc "$DATABASE.schema.dump.zst" | pg_restore --exit-on-error --section=pre-data -d "$DATABASE"
for part in "$DATABASE".data-*.dump.zst; do zstd -dc "$part" | pg_restore --exit-on-error --section=data -d "$DATABASE" || break; done
zstd -dc "$DATABASE.schema.dump.zst" | pg_restore --exit-on-error --section=post-data -d "$DATABASE"
\`\`\`

## SQLite

The database file itself. Stop what uses it before you put it in its place.

\`\`\`sh sqlite
zstd -d -o "$TARGET/$DATABASE.sqlite" "$DATABASE.sqlite.zst"
\`\`\`
`

/** Writes it when there is none, and when an older opskit wrote it. Whole or not at all. */
export async function writeReadMe(repository: string): Promise<void> {
  const path = join(repository, 'README.md')
  const present = await readFile(path, 'utf8').catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  })
  if (present === REPOSITORY_README || (present !== undefined && !present.startsWith(FIRST_LINE))) return
  const beside = join(repository, `.README.md.${randomBytes(6).toString('hex')}`)
  try {
    await writeDurable(beside, REPOSITORY_README, 0o644)
    await renameDurable(beside, path)
  } catch (error) {
    await rm(beside, { force: true })
    throw error
  }
}
