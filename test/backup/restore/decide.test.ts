import { describe, expect, it } from 'vitest'
import { decideCheck } from '../../../scripts/lib/backup/drill/checks.ts'
import { compareFacts } from '../../../scripts/lib/backup/restore/compare.ts'
import { decodeStages, dataFilePath } from '../../../scripts/lib/backup/restore/decode.ts'
import { createJudge } from '../../../scripts/lib/backup/restore/files/hostile.ts'
import { parseMember } from '../../../scripts/lib/backup/restore/files/members.ts'
import { decideMoves } from '../../../scripts/lib/backup/restore/files/moves.ts'
import { formatMoves } from '../../../scripts/lib/backup/restore/files/script.ts'
import { selectEntries } from '../../../scripts/lib/backup/restore/files/select.ts'
import { readStatements } from '../../../scripts/lib/backup/restore/postgres/statements.ts'
import { compareSeries, refuseNewer } from '../../../scripts/lib/backup/restore/versions.ts'
import { decideSample } from '../../../scripts/lib/backup/verify/choose.ts'
import type { FileFacts } from '../../../scripts/lib/backup/files/facts.ts'
import type { BackupEntry, DatabaseFacts } from '../../../scripts/lib/backup/types.ts'

const facts = (change: Partial<DatabaseFacts> = {}): DatabaseFacts => ({
  name: 'app',
  tables: [
    { name: 'a', rows: 3, fingerprint: 'f' },
    { name: 'b', schema: 's', rows: 1 },
  ],
  views: ['v'],
  triggers: [],
  routines: [],
  events: ['e'],
  sequences: [],
  indexes: ['a.k'],
  foreignKeys: [],
  extensions: [],
  ...change,
})

describe('a restored copy against its manifest', () => {
  it.each<[string, Partial<DatabaseFacts>, readonly string[]]>([
    ['the same', {}, []],
    ['a table less', { tables: [{ name: 'a', rows: 3, fingerprint: 'f' }] }, ['table s.b is missing']],
    [
      'a row less',
      {
        tables: [
          { name: 'a', rows: 2, fingerprint: 'g' },
          { name: 'b', schema: 's', rows: 1 },
        ],
      },
      ['table a has 2 rows, the backup has 3'],
    ],
    [
      'a cell changed',
      {
        tables: [
          { name: 'a', rows: 3, fingerprint: 'g' },
          { name: 'b', schema: 's', rows: 1 },
        ],
      },
      ['the content of table a differs from the backup'],
    ],
    [
      'a view too many, an index and an event less',
      { views: ['v', 'w'], indexes: [], events: [] },
      ['view w is not in the backup', 'event e is missing', 'index a.k is missing'],
    ],
  ])('%s', (_what, change, differences) => {
    expect(compareFacts(facts(), facts(change))).toEqual({ equal: differences.length === 0, differences })
  })

  it('looks at the asked tables only, and not at kinds that are to come later', () => {
    const found = facts({ tables: [{ name: 'a', rows: 3, fingerprint: 'f' }], views: [], events: [] })
    expect(compareFacts(facts(), found, { tables: ['a'] }).equal).toBe(true)
    expect(compareFacts(facts(), facts({ events: [] }), { without: ['events'] }).equal).toBe(true)
  })

  it('does not mind what the users of a live database have made meanwhile', () => {
    const live = facts({ tables: [...facts().tables, { name: 'new' }], views: [] })
    expect(compareFacts(facts(), live, { isLive: true }).differences).toEqual(['view v is missing'])
  })
})

describe("an operator's question", () => {
  it.each<[string | number, string | undefined, boolean]>([
    ['5', '5', true],
    [5, '5', true],
    ['>0', '1', true],
    ['>0', '0', false],
    ['>= 2', '2', true],
    ['<5', '4.5', true],
    ['<=5', undefined, false],
    ['>0', '', false],
    ['yes', 'no', false],
    ['', undefined, false],
  ])('expecting %s, answered %s', (expected, answer, ok) => {
    expect(decideCheck({ name: 'c', sql: 's', expect: expected }, answer) === undefined).toBe(ok)
  })
})

describe('versions', () => {
  const dumped = (family: 'mariadb' | 'postgresql', version: string) => ({ family, version })
  it.each<[string, () => void, boolean]>([
    [
      'the same',
      () => refuseNewer(dumped('mariadb', '10.11.19'), { family: 'mariadb', version: '10.11.2' }, 'h'),
      true,
    ],
    [
      'an older dump',
      () => refuseNewer(dumped('mariadb', '10.6.1'), { family: 'mariadb', version: '10.11.2' }, 'h'),
      true,
    ],
    [
      'a newer dump',
      () => refuseNewer(dumped('mariadb', '11.4.1'), { family: 'mariadb', version: '10.11.2' }, 'h'),
      false,
    ],
    [
      'a newer PostgreSQL',
      () => refuseNewer(dumped('postgresql', '16.1'), { family: 'postgresql', version: '15.18' }, 'h'),
      false,
    ],
    [
      'a newer minor of PostgreSQL',
      () => refuseNewer(dumped('postgresql', '15.20'), { family: 'postgresql', version: '15.18' }, 'h'),
      true,
    ],
    [
      'another family',
      () => refuseNewer(dumped('mariadb', '10.11.1'), { family: 'mysql', version: '10.11.1' }, 'h'),
      false,
    ],
  ])('%s', (_what, check, ok) => {
    if (ok) expect(check).not.toThrow()
    else expect(check).toThrowError(expect.objectContaining({ code: 'FAILED' }) as Error)
  })

  it('are compared as numbers', () => expect(compareSeries('10.9', '10.11', 2)).toBeLessThan(0))
})

describe('reading data files', () => {
  it.each([
    ['a.sql.zst', [['zstd', '-dcq', '--long=31', '--', 'a.sql.zst']]],
    ['a.sql.gz', [['gzip', '-dcq', '--', 'a.sql.gz']]],
    ['a.sql', [['cat', '--', 'a.sql']]],
    [
      'a.zst.age',
      [
        ['age', '--decrypt', '--identity', 'key', 'a.zst.age'],
        ['zstd', '-dcq', '--long=31'],
      ],
    ],
  ])('%s', (path, stages) => expect(decodeStages(path, 'key')).toEqual(stages))

  it('needs an identity for what is encrypted', () => {
    expect(() => decodeStages('a.zst.age')).toThrowError(expect.objectContaining({ code: 'CONFIG_INVALID' }) as Error)
  })

  it.each(['/etc/passwd', '../../x', 'a/../../x'])('refuses a manifest that names %s', (path) => {
    expect(() => dataFilePath({ path: '/repo' }, { path, sizeBytes: 0, sha256: '', role: 'dump' })).toThrow('outside')
  })
})

const file = (path: string, change: Partial<FileFacts> = {}): FileFacts => ({
  path,
  type: 'file',
  mode: 0o644,
  uid: 0,
  gid: 0,
  sizeBytes: 5,
  mtime: '100.5000000000',
  ctime: '100.5',
  inode: path,
  links: 1,
  ...change,
})
const directory = (path: string) => file(path, { type: 'directory', mode: 0o755, sizeBytes: 0 })

describe('what tar lists', () => {
  it.each([
    ['-rw-r--r-- 0/0               5 2026-11-20 01:02:03 "etc/a"', { path: 'etc/a', type: 'file', sizeBytes: 5 }],
    ['drwxr-xr-x 33/33             0 2026-11-20 01:02:03 "etc/"', { path: 'etc', type: 'directory', sizeBytes: 0 }],
    [
      'lrwxrwxrwx 0/0               0 2026-11-20 01:02:03 "l" -> "/x \\"y\\""',
      { path: 'l', type: 'link', sizeBytes: 0, target: '/x "y"' },
    ],
    [
      'hrw-r--r-- 0/0               0 2026-11-20 01:02:03 "h" link to "etc/a"',
      { path: 'h', type: 'hardlink', sizeBytes: 0, target: 'etc/a' },
    ],
    ['crw-rw-rw- 0/0             1,3 2026-11-20 01:02:03 "null"', { path: 'null', type: 'device', sizeBytes: 0 }],
    [
      '-rw-r--r-- 0/0               1 2026-11-20 01:02:03 "\\303\\274 \\n\\\\\\t"',
      { path: '\u00c3\u00bc \n\\\t', type: 'file', sizeBytes: 1 },
    ],
  ])('%s', (line, member) => expect(parseMember(line)).toEqual(member))

  it('refuses what it does not understand', () => expect(() => parseMember('what?')).toThrow('cannot be understood'))
})

describe('an archive that may be hostile', () => {
  const known = [
    ...[directory('d'), file('d/a', { links: 2 }), file('d/alone')],
    ...[file('l', { type: 'link', target: '/etc' }), file('h', { links: 2 })],
  ]
  it.each([
    ['an absolute path', { path: '/etc/passwd', type: 'file', sizeBytes: 1 }, 'absolute path'],
    ['a path with ..', { path: 'd/../../x', type: 'file', sizeBytes: 1 }, '".."'],
    ['a device', { path: 'd/a', type: 'device', sizeBytes: 0 }, 'device'],
    ['something nobody backed up', { path: 'd/b', type: 'file', sizeBytes: 1 }, 'not in the index'],
    ['a hard link out', { path: 'h', type: 'hardlink', sizeBytes: 0, target: '/etc/shadow' }, 'hard link'],
    ['a hard link to nothing', { path: 'h', type: 'hardlink', sizeBytes: 0, target: 'nowhere' }, 'hard link'],
    ['a link that was turned', { path: 'l', type: 'link', sizeBytes: 0, target: '/root' }, 'points elsewhere'],
    [
      'a file that became a link',
      { path: 'd/a', type: 'link', sizeBytes: 0, target: '/etc' },
      'is a link in the archive',
    ],
  ] as const)('refuses %s', (_what, member, why) => {
    const judge = createJudge(known)
    judge.take(member)
    expect(judge.problems()).toEqual([expect.stringContaining(why)])
  })

  it('refuses what would be written through a link', () => {
    const judge = createJudge([...known, file('l/x')])
    judge.take({ path: 'l', type: 'link', sizeBytes: 0, target: '/etc' })
    judge.take({ path: 'l/x', type: 'file', sizeBytes: 1 })
    expect(judge.problems()).toEqual(['l/x lies below a symbolic link'])
  })

  it('refuses a hard link to a file that had one name', () => {
    const judge = createJudge(known)
    judge.take({ path: 'd/alone', type: 'file', sizeBytes: 5 })
    judge.take({ path: 'h', type: 'hardlink', sizeBytes: 0, target: 'd/alone' })
    expect(judge.problems()).toEqual(['h is a hard link to something that is no linked file before it'])
  })

  it('refuses bombs, by bytes and by number', () => {
    const [big, many] = [createJudge(known), createJudge(known)]
    big.take({ path: 'd/a', type: 'file', sizeBytes: 10 ** 9 })
    for (let i = 0; i < 2_000; i += 1) many.take({ path: 'd/a', type: 'file', sizeBytes: 0 })
    expect([big.isBomb(), many.isBomb()]).toEqual([true, true])
    expect(big.problems().join()).toContain('far more than was backed up')
  })

  it('takes what is as it was backed up', () => {
    const judge = createJudge(known)
    judge.take({ path: 'd', type: 'directory', sizeBytes: 0 })
    judge.take({ path: 'd/a', type: 'file', sizeBytes: 5 })
    judge.take({ path: 'l', type: 'link', sizeBytes: 0, target: '/etc' })
    judge.take({ path: 'h', type: 'hardlink', sizeBytes: 0, target: 'd/a' })
    expect(judge.problems()).toEqual([])
  })
})

describe('what has to be moved', () => {
  const moves = (wanted: readonly FileFacts[], live: readonly FileFacts[], exact = false) =>
    decideMoves({
      wanted,
      above: [],
      live: new Map(live.map((one) => [one.path, one])),
      exact,
      isExcluded: (path) => path.endsWith('.log'),
      differs: () => false,
    })

  it('is nothing when all is as it was', () => {
    const all = [directory('d'), file('d/a')]
    expect(moves(all, all)).toEqual({ moves: [], changed: 0, unchanged: 1, extra: [] })
  })

  it('is file by file in a directory that is there, and whole directories that are not', () => {
    const wanted = [directory('d'), file('d/a'), file('d/b'), directory('d/new'), file('d/new/x')]
    const live = [directory('d'), file('d/a', { sizeBytes: 9 }), file('d/b')]
    expect(moves(wanted, live)).toMatchObject({
      moves: [{ kind: 'merge', directory: 'd', names: ['a', 'new'] }],
      changed: 2,
      unchanged: 1,
    })
  })

  it('turns directories and files into each other, and takes over what a directory was', () => {
    const wanted = [file('d', { type: 'directory', mode: 0o700 }), file('d/x'), directory('d/y'), file('d/y/z')]
    const live = [directory('d'), directory('d/x'), file('d/x/in'), file('d/y')]
    expect(moves(wanted, live).moves).toEqual([
      { kind: 'turn', path: 'd/x' },
      { kind: 'turn', path: 'd/y' },
      { kind: 'take', path: 'd' },
    ])
  })

  it('leaves what is new, moves it aside when it is to be exact, and never touches what the backup leaves out', () => {
    const [wanted, live] = [[directory('d')], [directory('d'), file('d/new'), file('d/a.log')]]
    expect(moves(wanted, live)).toMatchObject({ moves: [], extra: ['d/new'] })
    expect(moves(wanted, live, true).moves).toEqual([{ kind: 'gone', path: 'd/new' }])
  })

  it('puts all names of a file back when one of them is another file now', () => {
    const shared = { inode: '1', links: 2 }
    const wanted = [file('a', shared), file('b', shared)]
    expect(moves(wanted, [file('a', { inode: '7' }), file('b', { inode: '8' })]).moves).toEqual([
      { kind: 'merge', directory: '', names: ['a', 'b'] },
    ])
    expect(moves(wanted, [file('a', { inode: '7' }), file('b', { inode: '7' })]).moves).toEqual([])
  })

  it('is a script that quotes every name', () => {
    const script = formatMoves(
      [{ kind: 'merge', directory: "it's", names: ['$(x)', 'a\nb'] }],
      { directory: '/w', target: '' },
      'forward',
    ).toString()
    expect(script).toContain(`merge 'it'\\''s' '$(x)' 'a\nb'`)
  })
})

describe('a part of the files', () => {
  const index = {
    paths: ['/etc'],
    entries: [directory('etc'), directory('etc/n'), file('etc/n/a.conf'), file('etc/n/.b'), file('etc/z')],
    deleted: [],
  }
  it.each<[string, readonly string[], readonly string[]]>([
    ['a directory', ['/etc/n/'], ['etc/n', 'etc/n/a.conf', 'etc/n/.b']],
    ['a glob', ['/etc/**/*.conf'], ['etc/n/a.conf']],
    ['two', ['/etc/z', '/etc/n/.*'], ['etc/n/.b', 'etc/z']],
  ])('%s', (_what, patterns, paths) => {
    expect(selectEntries(index, patterns).wanted.map(({ path }) => path)).toEqual(paths)
  })

  it('brings the directories above it along', () => {
    expect(selectEntries(index, ['/etc/n/a.conf']).above.map(({ path }) => path)).toEqual(['etc', 'etc/n'])
  })

  it.each(['/etc/nothing', 'etc/n'])('refuses %s', (pattern) => {
    expect(() => selectEntries(index, [pattern])).toThrowError(expect.objectContaining({ code: 'USAGE' }) as Error)
  })
})

describe('the statements that make a PostgreSQL database', () => {
  const text = `--
-- Name: we"ird; Type: DATABASE; Schema: -; Owner: me
--

CREATE DATABASE "we""ird" WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE = 'C.UTF-8';


ALTER DATABASE "we""ird" OWNER TO me;

\\connect -reuse-previous=on "dbname='we\\"ird'"

--
-- Name: DATABASE we"ird; Type: COMMENT; Schema: -; Owner: me
--

COMMENT ON DATABASE "we""ird" IS 'two
lines; really';


--
-- Name: we"ird; Type: DATABASE PROPERTIES; Schema: -; Owner: me
--

ALTER DATABASE "we""ird" SET work_mem TO '5MB';

\\connect -reuse-previous=on "dbname='we\\"ird'"

--
-- Name: t; Type: TABLE; Schema: public; Owner: me
--

CREATE TABLE public.t (a int);
--
-- Name: DATABASE we"ird; Type: ACL; Schema: -; Owner: me
--

GRANT CONNECT ON DATABASE "we""ird" TO reader;
`
  it('get the new name, and connect nowhere', () => {
    const { create, properties } = readStatements(text, { original: 'we"ird', database: 'new', ownOwner: false })
    expect(create).toBe(`CREATE DATABASE "new" WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE = 'C.UTF-8';`)
    expect(properties).toBe(
      `ALTER DATABASE "new" OWNER TO me;\nCOMMENT ON DATABASE "new" IS 'two\nlines; really';\nALTER DATABASE "new" SET work_mem TO '5MB';\nGRANT CONNECT ON DATABASE "new" TO reader;`,
    )
  })

  it('leave owner and grants out for an account that may not set them', () => {
    const { properties } = readStatements(text, { original: 'we"ird', database: 'new', ownOwner: true })
    expect(properties).not.toMatch(/OWNER|GRANT/)
  })
})

describe('a sample', () => {
  it('is those that were verified longest ago, or never', () => {
    const entry = (id: string, verifiedAt?: number) =>
      ({ id, ...(verifiedAt === undefined ? {} : { verifiedAt }) }) as BackupEntry
    const chosen = decideSample([entry('a', 5), entry('b'), entry('c', 1), entry('d')], 3, () => 0.5)
    expect(chosen.map(({ id }) => id)).toEqual(['b', 'd', 'c'])
  })
})
