/** SQLite files in use: here by the online backup API, elsewhere by the sqlite3 program. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { readSqliteFacts } from '../../../scripts/lib/backup/database/sqlite/facts.ts'
import { openSshHost } from '../../../scripts/lib/host/ssh/host.ts'
import { mountMemory } from '../../support/mounts.ts'
import { startSshd } from '../../support/sshd.ts'
import { tempDir } from '../../support/temp.ts'
import { like, saying, filesIn, leftovers, run, shell, type Run } from './support.ts'

async function makeFile(): Promise<{ path: string; database: DatabaseSync }> {
  const path = join(await tempDir('sqlite'), `it's a "file".db`)
  const database = new DatabaseSync(path)
  onTestFinished(() => database.close())
  database.exec(`PRAGMA journal_mode = wal;
    CREATE TABLE "tab ""le" (id integer PRIMARY KEY, s text, b blob);
    INSERT INTO "tab ""le" VALUES (1, 'emoji 😀', x'00ff'), (2, NULL, NULL);
    CREATE TABLE child (id integer REFERENCES "tab ""le"); CREATE INDEX by_id ON child (id);
    CREATE TABLE big (noise blob); INSERT INTO big SELECT randomblob(100000) FROM (VALUES (1),(2),(3),(4),(5),(6),(7),(8));
    CREATE VIEW seen AS SELECT s FROM "tab ""le";
    CREATE TRIGGER mark AFTER INSERT ON child BEGIN SELECT 1; END;
    CREATE VIRTUAL TABLE words USING fts5(text); INSERT INTO words VALUES ('hello');`)
  return { path, database }
}

async function request(file: string, into: string, more: Partial<Run> = {}): Promise<Run> {
  return { source: { type: 'sqlite', file, fingerprints: true }, into, ...more }
}

describe('a backup of a SQLite file', () => {
  it('is one moment of a database that is written to, and equal to it', async () => {
    const { path, database } = await makeFile()
    database.exec('BEGIN; INSERT INTO child VALUES (1)')
    const into = await tempDir('staging')
    const result = await run(await request(path, into))
    database.exec('COMMIT')
    expect(await filesIn(into)).toEqual(['app.sqlite.zst'])
    const copy = join(await tempDir('copy'), 'copy.db')
    await shell('zstd -dc "$1/app.sqlite.zst" > "$2"', [into, copy])
    const facts = await readSqliteFacts(copy, { name: 'app', rows: true, fingerprints: true })
    expect([facts]).toEqual(result.databases)
    expect(facts).toMatchObject({ views: ['seen'], triggers: ['mark'], indexes: ['by_id'] })
    const rows = Object.fromEntries(facts.tables.map((table) => [table.name, table.rows]))
    expect(rows).toMatchObject({ 'tab "le': 2, child: 0, big: 8 })
  })

  it('works the same over SSH, and leaves nothing there', async () => {
    const { path } = await makeFile()
    const sshd = await startSshd()
    const host = await openSshHost({ ...sshd.settings, name: 'web-1' })
    onTestFinished(async () => {
      await host.close()
      await sshd.stop()
    })
    const [into, temp] = [await tempDir('staging'), await tempDir('far')]
    const before = leftovers()
    const result = await run(await request(path, into, { host }))
    expect(leftovers()).toEqual(before)
    expect(result.warnings).toEqual([saying('no fingerprints')])
    const copy = join(temp, 'copy.db')
    await shell('zstd -dc "$1/app.sqlite.zst" > "$2"', [into, copy])
    const facts = await readSqliteFacts(copy, { name: 'app', rows: true, fingerprints: false })
    expect(result.databases).toEqual([{ ...facts, foreignKeys: [] }])
  })

  it('sees no plain text on the disk of the repository when it is encrypted', async () => {
    const { path } = await makeFile()
    const [into, keys] = [await tempDir('staging'), await tempDir('keys')]
    await shell('age-keygen -o "$1/key" 2>/dev/null', [keys])
    const recipient = (await shell('age-keygen -y "$1/key"', [keys])).trim()
    const settings = { compression: { level: 3, threads: 1 }, recipients: [recipient] }
    await run(await request(path, into, { settings }))
    expect(await filesIn(into)).toEqual(['app.sqlite.zst.age'])
    await shell('age -d -i "$2/key" "$1/app.sqlite.zst.age" | zstd -t', [into, keys])
  })
})

describe('a backup of a SQLite file that fails', () => {
  it.each([
    ['a file that is not there', async () => '/none/app.db', 'FAILED', /app\.db is not there/],
    ['a file that is no database', makeText, 'DATA_MISMATCH', /no SQLite database/],
    ['a damaged file', makeDamaged, 'DATA_MISMATCH', /damaged/],
  ])('names %s', async (_name, make, code, message) => {
    const into = await tempDir('staging')
    const failing = run(await request(await make(), into))
    await expect(failing).rejects.toMatchObject({ code, message: like(message) })
    expect(await filesIn(into)).toEqual([])
  })

  it('on a full disk, as such', async () => {
    const { path } = await makeFile()
    const mount = await mountMemory(join(await tempDir('small'), 'm'))
    onTestFinished(() => mount.unmount())
    await expect(run(await request(path, mount.path))).rejects.toMatchObject({ code: 'CANNOT_WRITE' })
    expect(await filesIn(mount.path)).toEqual([])
  })

  it('says which package brings a missing tool', async () => {
    const { path } = await makeFile()
    const into = await tempDir('staging')
    vi.stubEnv('PATH', await tempDir('path'))
    onTestFinished(() => void vi.unstubAllEnvs())
    await expect(run(await request(path, into))).rejects.toMatchObject({
      code: 'MISSING_TOOL',
      details: { hint: like(/apt-get install (zstd|coreutils)/) },
    })
  })
})

async function makeText(): Promise<string> {
  const path = join(await tempDir('sqlite'), 'text.db')
  await writeFile(path, 'this is a text file, and a long one.\n'.repeat(200))
  return path
}

async function makeDamaged(): Promise<string> {
  const path = join(await tempDir('sqlite'), 'damaged.db')
  const database = new DatabaseSync(path)
  database.exec('CREATE TABLE t (s text); INSERT INTO t SELECT hex(randomblob(2000)) FROM (VALUES (1),(2),(3),(4))')
  database.close()
  await shell('dd if=/dev/urandom of="$1" bs=4096 seek=1 count=3 conv=notrunc 2>/dev/null', [path])
  return path
}
