import { readdir, stat, chmod, chown } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { beforeEach, describe, expect, it } from 'vitest'
import { runAction } from '../../../scripts/lib/action/run.ts'
import type { Action } from '../../../scripts/lib/action/types.ts'
import { restoreDatabaseAction } from '../../../scripts/lib/backup/restore/action-database.ts'
import { resumeRestoreAction, undoRestoreAction } from '../../../scripts/lib/backup/restore/action-finish.ts'
import { noteUnfinished } from '../../../scripts/lib/backup/restore/unfinished.ts'
import { tempDir } from '../../support/temp.ts'
import { backUp, createContext, forge } from './support.ts'

const restore = restoreDatabaseAction as Action
let directory: string
let file: string

beforeEach(async () => {
  directory = await tempDir('sqlite')
  file = join(directory, 'app.db')
  const database = new DatabaseSync(file)
  database.exec(
    "PRAGMA journal_mode = WAL; CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t (v) VALUES ('a'), ('b')",
  )
  database.close()
  await chown(file, 33, 33)
  await chmod(file, 0o640)
})

const values = (path: string) => {
  const database = new DatabaseSync(path)
  try {
    return database
      .prepare('SELECT v FROM t ORDER BY id')
      .all()
      .map((row) => row['v'])
  } finally {
    database.close()
  }
}

describe('restoring a SQLite file', () => {
  it('replaces it whole, with its write-ahead log, keeps owner and mode, and keeps the old one', async () => {
    const context = await createContext({ databases: { lite: { type: 'sqlite', file } } })
    await backUp(context, 'lite')
    const writer = new DatabaseSync(file)
    writer.exec("INSERT INTO t (v) VALUES ('newer')")
    // A log that was never folded in: of a program that died.
    await runAction(restore, { backup: 'lite' }, context)
    expect(values(file)).toEqual(['a', 'b'])
    writer.close()
    expect(await stat(file)).toMatchObject({ uid: 33, gid: 33, mode: 0o100640 })
    const names = await readdir(directory)
    const before = names.find((name) => /^app\.db\.before-\d+T\d+Z$/.test(name)) ?? ''
    expect(values(join(directory, before))).toContain('newer')
    expect(names.filter((name) => name.includes('opskit'))).toEqual([])
  })

  it('goes elsewhere when told, and refuses what is damaged', async () => {
    const context = await createContext({ databases: { lite: { type: 'sqlite', file } } })
    const entry = await backUp(context, 'lite')
    await runAction(restore, { backup: 'lite', to: join(directory, 'copy.db') }, context)
    expect(values(join(directory, 'copy.db'))).toEqual(['a', 'b'])
    await forge(entry, entry.manifest.files[0]?.path ?? '', (plain) =>
      Buffer.concat([plain.subarray(0, 100), Buffer.alloc(plain.length - 100, 7)]),
    )
    await expect(runAction(restore, { backup: 'lite' }, context)).rejects.toMatchObject({ code: 'ROLLED_BACK' })
    expect(values(file)).toEqual(['a', 'b'])
  })

  it.each(['resume', 'undo'] as const)('that was interrupted between its renames: %s', async (direction) => {
    const context = await createContext({ databases: { lite: { type: 'sqlite', file } } })
    const entry = await backUp(context, 'lite')
    const [scratch, aside] = [`${file}.opskit-restore-1`, `${file}.before-1`]
    await runAction(restore, { backup: 'lite', to: scratch }, context)
    const writer = new DatabaseSync(file)
    writer.exec("INSERT INTO t (v) VALUES ('newer')")
    writer.close()
    noteUnfinished(context.journal, {
      ...{
        id: scratch,
        kind: 'database',
        phase: 'swapping',
        backup: entry.id,
        startedAt: 0,
        on: 'localhost',
        source: 'lite',
        database: 'lite',
      },
      replacement: { target: file, scratch, aside, existed: true },
    })
    const [action, expected] =
      direction === 'undo' ? [undoRestoreAction, ['a', 'b', 'newer']] : [resumeRestoreAction, ['a', 'b']]
    for (let again = 0; again < 2; again += 1) {
      await runAction(action as Action, {}, context)
      expect(values(file)).toEqual(expected)
    }
  })
})
