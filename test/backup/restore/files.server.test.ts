import { execFileSync } from 'node:child_process'
import { readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { runAction } from '../../../scripts/lib/action/run.ts'
import type { Action } from '../../../scripts/lib/action/types.ts'
import { restoreConfigAction, restoreStaticAction } from '../../../scripts/lib/backup/restore/action-files.ts'
import { readLive } from '../../../scripts/lib/backup/restore/files/live.ts'
import { scanFiles } from '../../../scripts/lib/backup/files/scan.ts'
import { readFileTools } from '../../../scripts/lib/backup/files/tar.ts'
import { openPlace } from '../../../scripts/lib/backup/pipeline/place.ts'
import { openLocalHost } from '../../../scripts/lib/host/local.ts'
import { mountMemory } from '../../support/file-system.ts'
import { backUpTree, createContext, type RestoreContext } from './support.ts'

const restoreStatic = restoreStaticAction as Action
const restoreConfig = restoreConfigAction as Action

let context: RestoreContext
let tree: string

beforeEach(async () => {
  context = await createContext()
  tree = join(context.directory, 'srv')
  shell(`
    mkdir -p ${tree}/conf.d ${tree}/'a b' ${tree}/empty
    echo 'server {}' > ${tree}/conf.d/site.conf
    echo secret > ${tree}/.env; chmod 600 ${tree}/.env; chown 33:33 ${tree}/.env
    printf 'x' > "${tree}/a b/we\\"ird
name'; \\$(touch x)"
    printf 'y' > "$(printf '${tree}/not-\\377-utf8')"
    ln ${tree}/.env ${tree}/hard
    ln -s conf.d/site.conf ${tree}/link; ln -s /nowhere/else ${tree}/dangling
    truncate -s 10M ${tree}/sparse; echo end >> ${tree}/sparse
    setfacl -m u:33:r ${tree}/conf.d/site.conf; setfattr -n user.note -v 'a note' ${tree}/conf.d/site.conf
    setfacl -d -m u:33:rx ${tree}/conf.d
    mkfifo ${tree}/pipe
    touch -d '2020-01-02 03:04:05.123456789' ${tree}/conf.d/site.conf ${tree}/conf.d
    chmod 2750 ${tree}/empty
  `)
})

function shell(script: string): string {
  return execFileSync('bash', ['-euo', 'pipefail', '-c', script], { encoding: 'latin1' })
}

/** Everything that can be said of a tree: types, modes, owners, times, sizes, links, checksums, ACLs, attributes. */
function describeTree(path: string): string {
  return shell(`cd ${path}
    find . -printf '%y %m %U %G %s %T@ %n %l %p\\n' | sed 's/^d \\(\\S* \\S* \\S* \\)\\S*/d \\1/' | LC_ALL=C sort
    find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
    getfacl -R -n . ; getfattr -R -h -d -m - . ; du -k sparse | cut -f1`)
}

describe('restoring files', () => {
  it('brings back a tree with everything about it, into another directory', async () => {
    await backUpTree(context, { kind: 'static', name: 'web', paths: [tree] })
    const into = join(context.directory, 'elsewhere')
    await runAction(restoreStatic, { backup: 'latest', to: into }, context)
    expect(describeTree(join(into, tree))).toBe(describeTree(tree))
  })

  it('puts back what was changed and deleted, leaves what is new, and keeps what was there', async () => {
    await backUpTree(context, { kind: 'static', name: 'web', paths: [tree] })
    const before = describeTree(tree)
    const inode = (await stat(join(tree, 'conf.d'))).ino
    shell(
      `cd ${tree}; echo other > conf.d/site.conf; rm .env link; rm -r 'a b'; chmod 700 conf.d; rm pipe; mkdir pipe; touch pipe/in`,
    )
    shell(`cd ${tree}; echo new > conf.d/new.conf`)
    await runAction(restoreStatic, { backup: 'web' }, context)
    expect(await readFile(join(tree, 'conf.d/new.conf'), 'utf8')).toBe('new\n')
    await rm(join(tree, 'conf.d/new.conf'))
    shell(`touch -d '2020-01-02 03:04:05.123456789' ${tree}/conf.d`)
    expect(describeTree(tree).replace(/^d .*$/gm, '')).toBe(before.replace(/^d .*$/gm, ''))
    expect((await stat(join(tree, 'conf.d'))).ino).toBe(inode)
    const kept = (await readdir(context.directory)).find((name) => name.startsWith('.opskit-before-')) ?? ''
    expect(await readFile(join(context.directory, kept, tree, 'conf.d/site.conf'), 'utf8')).toBe('other\n')
  })

  it('restores parts by path and glob, with the names that share a file', async () => {
    await backUpTree(context, { kind: 'static', name: 'web', paths: [tree] })
    shell(`cd ${tree}; rm .env link; echo other > conf.d/site.conf`)
    await runAction(restoreStatic, { backup: 'web', paths: [`${tree}/.e*`, `${tree}/link`] }, context)
    expect((await stat(join(tree, '.env'))).uid).toBe(33)
    expect(await readFile(join(tree, 'conf.d/site.conf'), 'utf8')).toBe('other\n')
    const into = join(context.directory, 'part')
    await runAction(restoreStatic, { backup: 'web', paths: [`${tree}/hard`], to: into }, context)
    expect(shell(`cd ${into}; find . -type f`)).toBe(`./${tree.slice(1)}/hard\n`)
    await expect(runAction(restoreStatic, { backup: 'web', paths: ['/no/such'] }, context)).rejects.toMatchObject({
      code: 'USAGE',
    })
  })

  it('moves what is new aside when it is to be exact, but not what the backup leaves out', async () => {
    await backUpTree(context, { kind: 'static', name: 'web', paths: [tree] })
    shell(`cd ${tree}; mkdir new; touch new/file conf.d/x.conf`)
    await runAction(restoreStatic, { backup: 'web', exact: true }, context)
    expect(shell(`cd ${tree}; ls -d new conf.d/x.conf 2>&1 || true`)).not.toMatch(/^(new|conf.d)/m)
    const kept = (await readdir(context.directory)).find((name) => name.startsWith('.opskit-before-')) ?? ''
    expect(await readdir(join(context.directory, kept, tree, 'new'))).toEqual(['file'])
  })

  it('restores a full backup and the incremental one on top of it', async () => {
    const full = await backUpTree(context, { kind: 'static', name: 'web', paths: [tree] })
    shell(
      `cd ${tree}; echo changed > conf.d/site.conf; rm .env hard; rm pipe; mkdir pipe; echo in > pipe/in; rm -r 'a b'; echo f > 'a b'; echo n > new`,
    )
    const now = describeTree(tree)
    await backUpTree(context, { kind: 'static', name: 'web', paths: [tree], on: full })
    const into = join(context.directory, 'elsewhere')
    await runAction(restoreStatic, { backup: 'web', to: into }, context)
    expect(describeTree(join(into, tree))).toBe(now)
    shell(`rm -rf ${full.path}`)
    await expect(runAction(restoreStatic, { backup: 'web' }, context)).rejects.toMatchObject({
      code: 'DATA_MISMATCH',
      message: expect.stringContaining('the full backup it builds on is not here') as string,
    })
  })

  it('keeps a symbolic link that stands where the backup has a directory', async () => {
    await backUpTree(context, { kind: 'static', name: 'web', paths: [tree] })
    const before = describeTree(tree)
    await rename(join(tree, 'conf.d'), join(context.directory, 'real'))
    shell(`ln -s ${context.directory}/real ${tree}/conf.d; echo other > ${context.directory}/real/site.conf`)
    await runAction(restoreStatic, { backup: 'web' }, context)
    expect(shell(`readlink ${tree}/conf.d`)).toBe(`${context.directory}/real\n`)
    expect(await readFile(join(context.directory, 'real/site.conf'), 'utf8')).toBe('server {}\n')
    expect(before).toContain('site.conf')
  })

  it('notices every file whose content alone is another, whatever else differs', async () => {
    const paths = [join(tree, 'many')]
    shell(`mkdir ${paths[0]}; cd ${paths[0]}; for n in $(seq 30); do echo "right $n" > f$n; done; echo right > mode`)
    await backUpTree(context, { kind: 'config', name: 'web', paths })
    shell(
      `cd ${paths[0]}; for f in f*; do t=$(stat -c @%.9Y $f); sed -i s/right/wrong/ $f; touch -d $t $f; done; chmod 600 mode`,
    )
    await runAction(restoreConfig, { backup: 'web' }, context)
    expect(shell(`cd ${paths[0]}; cat f* | grep -c right; stat -c %a mode`)).toBe('30\n644\n')
  })

  it('looks at more files than a call takes arguments', async () => {
    const { path: many } = await mountMemory(300)
    shell(`cd ${many}; seq -f 'f%06.0f' 150000 | xargs touch`)
    const signal = new AbortController().signal
    const place = openPlace({ host: openLocalHost(), redact: (text) => text, signal, timeoutMs: 60_000 })
    const tools = await readFileTools(place)
    const { entries } = await scanFiles(place, { paths: [many], isExcluded: (path) => path !== many, gnu: true })
    const live = await readLive(place, '', entries, tools)
    expect(live.size).toBe(150_001)
  })

  it('changes nothing when everything is as it was', async () => {
    await backUpTree(context, { kind: 'config', name: 'web', paths: [tree] })
    const done = await runAction(restoreConfig, { backup: 'web' }, context)
    expect(done).toMatchObject({
      kind: 'applied',
      result: { changed: false, because: expect.stringContaining('files are as they were') as string },
    })
  })
})
