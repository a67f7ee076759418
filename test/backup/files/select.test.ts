import { describe, expect, it } from 'vitest'
import { decideIncrement, decideMoved } from '../../../scripts/lib/backup/files/changes.ts'
import { formatIndex, parseIndex, type FileFacts } from '../../../scripts/lib/backup/files/facts.ts'
import { createExcluder } from '../../../scripts/lib/backup/files/select.ts'

describe('excludes', () => {
  it.each([
    [['*.log'], '/var/www/a/x.log', true],
    [['*.log'], '/var/www/a/x.log.1', false],
    [['node_modules'], '/srv/app/node_modules', true],
    [['node_modules'], '/srv/app/node_modules/a/b.js', true],
    [['node_modules/'], '/srv/app/node_modules/a/b.js', true],
    [['node_modules'], '/srv/app/my_node_modules', false],
    [['cache/tmp'], '/srv/cache/tmp/x', true],
    [['cache/tmp'], '/srv/tmp/x', false],
    [['/srv/app/tmp'], '/srv/app/tmp/x', true],
    [['/srv/app/tmp'], '/other/srv/app/tmp', false],
    [['/srv/*/tmp'], '/srv/a/tmp/x/y', true],
    [['*'], '/srv/.hidden', true],
    [['.git'], '/srv/.git/config', true],
    [['!important'], '/srv/x', false],
    [[], '/srv/x', false],
  ])('%j and %s', (patterns, path, excluded) => expect(createExcluder(patterns)(path)).toBe(excluded))
})

function file(path: string, change: Partial<FileFacts> = {}): FileFacts {
  return {
    path,
    type: 'file',
    ...{ mode: 0o644, uid: 0, gid: 0, sizeBytes: 5, mtime: '1.5', ctime: '2.5', inode: `i${path}`, links: 1 },
    ...change,
  }
}

describe('an increment', () => {
  const directory = file('srv', { type: 'directory', sizeBytes: 0 })
  const full = { paths: ['/srv'], entries: [directory, file('srv/a'), file('srv/b'), file('srv/c')], deleted: [] }

  it.each<[string, Partial<FileFacts>]>([
    ['size', { sizeBytes: 6 }],
    ['modification time', { mtime: '1.6' }],
    ['change time alone: content changed behind an old modification time', { ctime: '2.6' }],
    ['inode', { inode: 'other' }],
    ['mode', { mode: 0o600 }],
    ['owner', { uid: 33 }],
    ['type', { type: 'link', target: '/x' }],
  ])('holds a file whose %s changed, and no other', (_what, change) => {
    const now = [directory, file('srv/a', change), file('srv/b'), file('srv/c')]
    const { changed, index } = decideIncrement(full, now, ['/srv'])
    expect(changed.map(({ path }) => path)).toEqual(['srv', 'srv/a'])
    expect(index.entries.map((entry) => entry.in)).toEqual([undefined, undefined, 'parent', 'parent'])
    expect(index.deleted).toEqual([])
  })

  it('knows what was deleted and what is new', () => {
    const { changed, index } = decideIncrement(full, [directory, file('srv/a'), file('srv/d')], ['/srv'])
    expect(changed.map(({ path }) => path)).toEqual(['srv', 'srv/d'])
    expect(index.deleted).toEqual([{ path: 'srv/b' }, { path: 'srv/c' }])
  })

  it('holds every name of an inode when one of them is new', () => {
    const linked = { inode: 'i', links: 2 }
    const before = { ...full, entries: [directory, file('srv/a', { inode: 'i' })] }
    const { changed } = decideIncrement(before, [directory, file('srv/a', linked), file('srv/b', linked)], ['/srv'])
    expect(changed.map(({ path }) => path)).toEqual(['srv', 'srv/a', 'srv/b'])
  })
})

describe('two looks', () => {
  it('tell what moved between them; a directory that got a new file did not', () => {
    const directory = file('srv', { type: 'directory' })
    const before = [directory, file('srv/a'), file('srv/b'), file('srv/c')]
    const after = [{ ...directory, mtime: '9', ctime: '9' }, file('srv/a'), file('srv/b', { sizeBytes: 9 })]
    const { changed, vanished } = decideMoved(before, after)
    expect(changed.map(({ path }) => path)).toEqual(['srv/b'])
    expect(vanished.map(({ path }) => path)).toEqual(['srv/c'])
  })
})

describe('the index', () => {
  const index = {
    paths: ['/srv'],
    entries: [file('srv/ü\n"x"'), { ...file('srv/\xff', { bytes: true }), in: 'parent' as const }],
    deleted: [{ path: 'srv/gone' }],
  }
  const lines = [...formatIndex(index)].map((line) => line.trimEnd())

  it('says the same when it is read back', async () => expect(await parseIndex([lines])).toEqual(index))

  it.each([
    ['cut short', lines.slice(0, -1), 'cut short'],
    ['empty', [], 'cut short'],
    ['of a newer opskit', ['{"index":2}'], 'newer opskit'],
    ['something else', ['{"a":1}'], 'no header'],
    ['torn', [lines[0] ?? '', '{"pa'], 'no JSON'],
  ])('is refused when it is %s', async (_what, damaged, because) => {
    await expect(parseIndex([damaged])).rejects.toMatchObject({
      code: 'DATA_MISMATCH',
      message: expect.stringContaining(because) as string,
    })
  })
})
