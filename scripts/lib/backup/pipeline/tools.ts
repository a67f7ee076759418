/** The programs that backups are made of: which Debian package brings each, and which version is here. */
const PACKAGES: Readonly<Record<string, string>> = {
  zstd: 'zstd',
  age: 'age',
  tar: 'tar',
  mariadb: 'mariadb-client',
  'mariadb-dump': 'mariadb-client',
  mysql: 'default-mysql-client',
  mysqldump: 'default-mysql-client',
  psql: 'postgresql-client',
  pg_dump: 'postgresql-client',
  pg_dumpall: 'postgresql-client',
  pg_restore: 'postgresql-client',
  pg_isready: 'postgresql-client',
  sqlite3: 'sqlite3',
  restic: 'restic',
  sha256sum: 'coreutils',
}

/** The Debian package of a program; the program's own name when it is not one of ours. */
export function packageOf(program: string): string {
  const name = program.split('/').at(-1) ?? program
  return PACKAGES[name] ?? name
}

/**
 * The version out of what `--version` prints: `10.11.19` of `mariadb-dump  Ver 10.19 Distrib 10.11.19-MariaDB, …`.
 * @returns the whole first line when no version is in it
 */
export function parseToolVersion(text: string): string {
  const line = text.trim().split('\n')[0] ?? ''
  const found = /Distrib (\d[\w.]*)/.exec(line) ?? /from (\d[\w.]*)-MariaDB/.exec(line) ?? /(\d+(?:\.\d+)+)/.exec(line)
  return found?.[1] ?? line
}
