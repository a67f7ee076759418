import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { CATALOG } from '../../../scripts/lib/catalog.ts'
import {
  findRunbook,
  listRunbookFiles,
  listRunbooks,
  runbookDirs,
  SHIPPED_DIR,
} from '../../../scripts/lib/runbook/read/find.ts'
import { tempDir } from '../../support/temp.ts'
import { page } from '../pages.ts'

const text = (id: string, title = id) =>
  page('- [ ] x').replace('id: demo', `id: ${id}`).replace('title: Demo', `title: ${title}`)

async function shelf(files: Readonly<Record<string, string>>): Promise<string> {
  const dir = await tempDir('shelf')
  for (const [name, content] of Object.entries(files)) await writeFile(join(dir, name), content)
  return dir
}

const actions = CATALOG

describe('where runbooks are', () => {
  it('the configured directories come first, those that ship last, each once', () => {
    expect(runbookDirs(['/a', '/b', '/a/'])).toEqual(['/a', '/b', SHIPPED_DIR])
    expect(runbookDirs([SHIPPED_DIR])).toEqual([SHIPPED_DIR])
  })

  it('only what is named like a runbook is one', async () => {
    const dir = await shelf({
      'b.md': '',
      'a.zh-CN.md': '',
      'a.md': '',
      'README.md': '',
      'a.txt': '',
      'a.b.c.md': '',
      '.x.md': '',
    })
    await mkdir(join(dir, 'sub'))
    expect((await listRunbookFiles([dir])).map(({ id, language }) => `${id} ${language}`)).toEqual([
      'a en',
      'a zh-CN',
      'b en',
    ])
  })

  it('one of an earlier directory takes the place of one of a later, with all its languages', async () => {
    const [own, other] = [
      await shelf({ 'a.md': text('a', 'Own') }),
      await shelf({ 'a.md': text('a'), 'a.de.md': text('a'), 'b.md': text('b') }),
    ]
    const reads = await listRunbooks({ dirs: [own, other], actions })
    expect(reads.map(({ runbook }) => `${runbook?.id} ${runbook?.language} ${runbook?.title}`)).toEqual([
      'a en Own',
      'b en b',
    ])
  })

  it('a directory that is not there is told by name', async () => {
    await expect(listRunbookFiles(['/nowhere/at-all'])).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: 'runbook.dirs: cannot read /nowhere/at-all: ENOENT',
    })
  })
})

describe('finding one', () => {
  it('by id, in the language that is asked for', async () => {
    const dir = await shelf({ 'a.md': text('a'), 'a.zh-CN.md': text('a', '甲') })
    expect((await findRunbook('a', { dirs: [dir], actions })).runbook?.title).toBe('a')
    expect((await findRunbook('a', { dirs: [dir], actions, language: 'zh-cn' })).runbook?.title).toBe('甲')
  })

  it('by the path of a file, wherever it is', async () => {
    const dir = await shelf({ 'a.md': text('a') })
    expect((await findRunbook(join(dir, 'a.md'), { dirs: [], actions })).runbook?.id).toBe('a')
  })

  it.each([
    ['a mistyped id', 'disk-ful', 'en', 'there is no runbook "disk-ful"', 'Did you mean "disk-full"?'],
    ['another id', 'zzz', 'en', 'there is no runbook "zzz"', 'npx zx scripts/runbook.ts list shows them all.'],
    [
      'an id that leads elsewhere',
      '../../etc/passwd',
      'en',
      'there is no runbook "../../etc/passwd"',
      'npx zx scripts/runbook.ts list shows them all.',
    ],
    ['a language that is not there', 'disk-full', 'fr', 'disk-full is not there in fr', 'There is: en.'],
    ['a file that is not there', '/nowhere/a.md', 'en', 'there is no file /nowhere/a.md', undefined],
  ])('%s is told', async (_, name, language, message, hint) => {
    const dir = await shelf({ 'disk-full.md': text('disk-full') })
    await expect(findRunbook(name, { dirs: [dir], actions, language })).rejects.toMatchObject({
      code: 'USAGE',
      message,
      ...(hint !== undefined && { details: { hint } }),
    })
  })

  it('what is no text is refused by name', async () => {
    const dir = await shelf({ 'large.md': 'x'.repeat(300_000) })
    await writeFile(join(dir, 'binary.md'), Buffer.from([0xff, 0xfe, 0x00]))
    await mkdir(join(dir, 'folder.md'))
    const message = (name: string) => findRunbook(name, { dirs: [dir], actions }).catch((error: Error) => error.message)
    expect(await message('large')).toBe(`${join(dir, 'large.md')}: the file is larger than 256 KiB`)
    expect(await message('binary')).toBe(`${join(dir, 'binary.md')}: is not UTF-8 text`)
    expect(await message('folder')).toBe(`${join(dir, 'folder.md')}: is not a file`)
  })
})
