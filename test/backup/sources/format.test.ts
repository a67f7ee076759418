import { describe, expect, it } from 'vitest'
import { dumpArgv } from '../../../scripts/lib/backup/database/mysql/dump.ts'
import { formatOptionFile, mysqlErrorNumber, parseBatch } from '../../../scripts/lib/backup/database/mysql/connect.ts'
import { connected, formatPassFile } from '../../../scripts/lib/backup/database/postgres/connect.ts'
import { decideParts, partArgv, schemaArgv } from '../../../scripts/lib/backup/database/postgres/parts.ts'
import { tlsOf } from '../../../scripts/lib/backup/database/tls.ts'
import { fileStem } from '../../../scripts/lib/backup/database/request.ts'
import { decideCulprit } from '../../../scripts/lib/backup/pipeline/failure.ts'
import { openPlace } from '../../../scripts/lib/backup/pipeline/place.ts'
import { parseToolVersion } from '../../../scripts/lib/backup/pipeline/tools.ts'
import { openGate } from '../../../scripts/lib/backup/group.ts'
import { openLocalHost } from '../../../scripts/lib/host/local.ts'

describe('a database name as a file name', () => {
  it.each([
    ['app', 'app'],
    ['my shop', 'my%20shop'],
    ['_users', '%5Fusers'],
    ['..', '%2E.'],
    ['a/b\n"\'', 'a%2Fb%0A%22%27'],
    ['日本', '%E6%97%A5%E6%9C%AC'],
  ])('%j is %s', (name, stem) => expect(fileStem(name)).toBe(stem))

  it('stays short enough for a file system, and different', () => {
    const [one, two] = [fileStem(`${'語'.repeat(63)}1`), fileStem(`${'語'.repeat(63)}2`)]
    expect(one.length).toBeLessThanOrEqual(200)
    expect(one).not.toBe(two)
  })
})

describe('dump options', () => {
  const common =
    '--single-transaction --quick --hex-blob --routines --triggers --events --tz-utc --default-character-set=utf8mb4 --max-allowed-packet=1G'
  it.each([
    ['mariadb', '10.11.19', true, `${common} --master-data=2 --gtid`],
    ['mariadb', '10.11.19', false, common],
    ['mysql', '8.0.40', true, `${common} --set-gtid-purged=OFF --no-tablespaces --column-statistics=0 --source-data=2`],
    ['mysql', '8.0.20', true, `${common} --set-gtid-purged=OFF --no-tablespaces --column-statistics=0 --master-data=2`],
    ['mysql', '5.7.44', true, `${common} --set-gtid-purged=OFF --no-tablespaces --master-data=2`],
  ] as const)('of %s %s, position %s', (family, version, withPosition, options) => {
    const tool = { program: 'the-tool', family, version }
    expect(dumpArgv({ tool, databases: ['a b', '-x'], withPosition })).toEqual([
      'the-tool',
      '--defaults-file=/dev/fd/3',
      ...options.split(' '),
      '--databases',
      '--',
      'a b',
      '-x',
    ])
  })
})

describe('what tools are told', () => {
  it('survives quotes, backslashes and line breaks in a password', () => {
    expect(formatOptionFile({ user: 'u', password: 'a"b\\c\nd #e' }, 'mariadb')).toBe(
      '[client]\nuser="u"\npassword="a\\"b\\\\c\\nd #e"\n',
    )
    expect(formatPassFile('a:b\\c')).toBe('*:*:*:*:a\\:b\\\\c\n')
    expect(() => formatPassFile('a\nb')).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
  })

  it.each([
    ['mariadb', { tls: 'require' }, '192.0.2.7', 'ssl="1"|ssl-verify-server-cert="0"'],
    ['mariadb', { tls: 'verify', ca: '/ca' }, 'db.example.com', 'ssl="1"|ssl-verify-server-cert="1"|ssl-ca="/ca"'],
    ['mysql', { tls: 'require' }, 'db.example.com', 'ssl-mode="REQUIRED"'],
    ['mysql', { tls: 'verify', ca: '/ca' }, 'db.example.com', 'ssl-mode="VERIFY_IDENTITY"|ssl-ca="/ca"'],
    ['mysql', { tls: 'verify', ca: '/ca' }, '192.0.2.7', 'ssl-mode="VERIFY_CA"|ssl-ca="/ca"'],
    ['mysql', { tls: 'off' }, '192.0.2.7', ''],
  ] as const)('about TLS in the words of %s: %o', (family, asked, host, words) => {
    const lines = formatOptionFile({ host, tls: tlsOf(asked) }, family)
      .trimEnd()
      .split('\n')
      .slice(2)
    expect(lines.join('|')).toBe(words)
  })

  it.each([
    [{ tls: 'require' }, 'db.example.com', 'require', undefined],
    [{ tls: 'verify', ca: '/ca' }, 'db.example.com', 'verify-full', '/ca'],
    [{ tls: 'verify' }, '2001:db8::1', 'verify-ca', '/etc/ssl/certs/ca-certificates.crt'],
    [{ tls: 'off' }, 'db.example.com', undefined, undefined],
  ] as const)('about TLS to libpq: %o', (asked, host, mode, authorities) => {
    const place = openPlace({
      ...{ host: openLocalHost(), redact: (text: string) => text, timeoutMs: 1, signal: new AbortController().signal },
    })
    const { env } = connected(['psql'], { place, address: { host, tls: tlsOf(asked) }, lockWaitMs: 1 }, 'd')
    expect([env?.['PGSSLMODE'], env?.['PGSSLROOTCERT']]).toEqual([mode, authorities])
  })

  it('comes back from the client with tabs, line breaks and backslashes', () => {
    expect(parseBatch('a\\tb\tc\\nd\n\\\\n\tNULL\n')).toEqual([
      ['a\tb', 'c\nd'],
      ['\\n', 'NULL'],
    ])
  })

  it.each([
    ["ERROR 1045 (28000): Access denied for user 'x'@'localhost'", 1045],
    ['mariadb-dump: Got error: 2002: "Can\'t connect"', 2002],
    ['mariadb-dump: Error 2013: Lost connection to server during query when dumping table `t` at row: 9', 2013],
    ["Couldn't execute 'show create table `v`': SHOW VIEW command denied (1142)", 1142],
    ['the disk is full', undefined],
  ])('%s', (text, number) => expect(mysqlErrorNumber(text)).toBe(number))

  it.each([
    ['mariadb-dump  Ver 10.19 Distrib 10.11.19-MariaDB, for debian-linux-gnu (x86_64)', '10.11.19'],
    ['mariadb-dump from 11.8.3-MariaDB, client 10.19 for debian-linux-gnu', '11.8.3'],
    ['mysqldump  Ver 8.0.40 for Linux on x86_64 (MySQL Community Server - GPL)', '8.0.40'],
    ['pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)', '15.18'],
    ['*** Zstandard CLI (64-bit) v1.5.4, by Yann Collet ***', '1.5.4'],
    ['v1.1.1', '1.1.1'],
  ])('%s', (text, version) => expect(parseToolVersion(text)).toBe(version))
})

describe('the parts of a PostgreSQL dump', () => {
  const MiB = 1024 ** 2
  const table = (name: string, mib: number) => ({ schema: 'public', name, sizeBytes: mib * MiB, readable: true })

  it.each([
    ['a small database is one part', [table('a', 30)], 8, [['a']]],
    ['large tables are spread by size', [table('a', 100), table('b', 90), table('c', 20)], 2, [['a'], ['b', 'c']]],
    ['one core, one part', [table('a', 500), table('b', 500)], 1, [['a', 'b']]],
    [
      'never more than four',
      ['a', 'b', 'c', 'd', 'e'].map((name) => table(name, 200)),
      64,
      [['a', 'e'], ['b'], ['c'], ['d']],
    ],
    ['one huge table leaves no empty part', [table('a', 900)], 4, [['a']]],
    ['nothing is one empty part', [], 4, [[]]],
  ])('%s', (_name, tables, cpus, expected) => {
    expect(decideParts(tables, cpus).map((part) => part.map(({ name }) => name))).toEqual(expected)
  })

  it('the first part leaves out what the others name', () => {
    const parts = [[table('a', 1)], [{ schema: 'my s', name: 'we"ird', sizeBytes: 1, readable: true }]]
    const common = ['pg_dump', '--format=custom', '--compress=0', '--no-password', '--snapshot=1-2']
    expect(schemaArgv('1-2')).toEqual([...common, '--section=pre-data', '--section=post-data'])
    expect(partArgv('1-2', parts, 0)).toEqual([...common, '--section=data', '--exclude-table-data="my s"."we""ird"'])
    expect(partArgv('1-2', parts, 1)).toEqual([...common, '--section=data', '--table="my s"."we""ird"'])
  })
})

describe('a failed pipeline', () => {
  const end = (program: string, code: number | null, signal: NodeJS.Signals | null = null) => ({
    ...{ program, code, signal },
    stderr: '',
  })
  it.each([
    ['the producer alone', [end('dump', 2), end('zstd', 0)], 'dump'],
    ['a writer that took the producer along', [end('dump', null, 'SIGPIPE'), end('zstd', 1)], 'zstd'],
    ['the last of three', [end('dump', 5), end('zstd', null, 'SIGPIPE'), end('age', 1)], 'age'],
    ['nobody', [end('dump', 0), end('zstd', 0)], undefined],
  ])('blames %s', (_name, ends, program) => expect(decideCulprit(ends)?.program).toBe(program))
})

describe('a consistency group', () => {
  it('begins when the last member is ready', async () => {
    const gate = openGate(2)
    const order: string[] = []
    const first = gate.arrive().then(() => order.push('first begins'))
    await Promise.resolve()
    order.push('second is ready')
    await Promise.all([first, gate.arrive()])
    expect(order).toEqual(['second is ready', 'first begins'])
  })

  it('does not wait for a member that failed', async () => {
    const gate = openGate(2)
    const waiting = gate.arrive()
    gate.withdraw('static/web')
    await expect(waiting).rejects.toThrow(/static\/web of the same group failed/)
  })
})
