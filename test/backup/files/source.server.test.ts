/** Files saved by the real tar, and brought back with the commands of the repository's README. */
import { execFileSync, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import {
  appendFile,
  chmod,
  link,
  lstat,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  rm,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { parseIndex, type FileIndex } from '../../../scripts/lib/backup/files/facts.ts'
import { backUpFiles, type FilesRequest } from '../../../scripts/lib/backup/files/source.ts'
import type { SourceResult } from '../../../scripts/lib/backup/types.ts'
import { openLocalHost } from '../../../scripts/lib/host/local.ts'
import { openSshHost } from '../../../scripts/lib/host/ssh/host.ts'
import { mountMemory } from '../../support/mounts.ts'
import { startSshd } from '../../support/sshd.ts'
import { tempDir } from '../../support/temp.ts'
import { makeUser } from '../../support/users.ts'
import { waitFor } from '../../support/wait.ts'

let dir: string
let tree: string
beforeEach(async () => {
  dir = await tempDir('files')
  tree = join(dir, 'srv')
  await mkdir(tree)
})

async function backUp(change: Partial<FilesRequest> = {}): Promise<SourceResult & { readonly out: string }> {
  const out = await mkdtemp(join(dir, 'out-'))
  const result = await backUpFiles({
    ...{ what: 'static/web', paths: [tree], exclude: [], host: openLocalHost(), stagingPath: out },
    settings: { compression: { level: 3, threads: 0 }, recipients: [] },
    ...{ checksums: false, expectedBytes: 0, redact: (text) => text, progress: { update() {} } },
    signal: new AbortController().signal,
    timeoutMs: 60_000,
    ...change,
  })
  return { ...result, out }
}

function shell(script: string, env: Record<string, string> = {}): string {
  return execFileSync('bash', ['-euo', 'pipefail', '-c', script], { encoding: 'utf8', env: { ...process.env, ...env } })
}

async function readIndexOf(out: string): Promise<FileIndex> {
  return parseIndex([shell(`zstd -dc ${out}/index.jsonl.zst`).split('\n')])
}

/** Unpacks `backups` one after another. @returns where the tree lies now */
async function restore(...backups: readonly string[]): Promise<string> {
  const target = await mkdtemp(join(dir, 'restored-'))
  for (const out of backups) {
    if ((await readdir(out)).includes('deleted.zst')) {
      shell(`zstd -dc ${out}/deleted.zst | (cd ${target} && xargs -0 -r rm -rf --)`)
    }
    for (const archive of ['files.tar.zst', 'changed.tar.zst']) {
      if (!(await readdir(out)).includes(archive)) continue
      shell(
        `zstd -dc ${out}/${archive} | tar -x -i -p --numeric-owner --acls --xattrs --xattrs-include='*' -C ${target} -f -`,
      )
    }
  }
  return join(target, tree)
}

/** Everything that can be said of a tree: types, modes, owners, times, sizes, links, checksums, ACLs, attributes. */
function describeTree(path: string): string {
  return shell(
    `cd ${path} && find . -printf '%P|%y|%m|%U|%G|%T@|%l|%n\\n' | sort
     find . -type f -print0 | sort -z | xargs -0 -r sha256sum -z | tr '\\0' '\\n'
     getfacl -R -n -p . ; getfattr -R -h -d -m - . | cat`,
  )
}

describe('what is kept', () => {
  it('is everything a file has: owner, mode, times, ACLs, attributes, links, holes, odd names', async () => {
    await writeFile(join(tree, '.env'), 'SECRET=1\n', { mode: 0o600 })
    await writeFile(join(tree, 'with space\n"quote"\\ and ü'), 'x')
    await writeFile(Buffer.concat([Buffer.from(join(tree, 'latin-')), Buffer.from([0xff, 0xfe])]), 'bytes')
    await writeFile(join(tree, '-rf'), 'dash')
    await writeFile(join(tree, 'setuid'), '#!/bin/sh\n')
    await chmod(join(tree, 'setuid'), 0o4755)
    await mkdir(join(tree, 'empty'), { mode: 0o711 })
    await symlink('nowhere', join(tree, 'dangling'))
    await link(join(tree, '.env'), join(tree, 'second-name'))
    await utimes(join(tree, '.env'), 1_000_000_000, 1_000_000_000.5)
    shell(
      `cd ${tree}; chown 33:44 -- -rf; mkfifo pipe; setfacl -m u:33:r,g:44:rw second-name; setfattr -n user.note -v hi ./-rf`,
    )
    const hole = await open(join(tree, 'sparse'), 'w')
    await hole.write('end', 64 * 1024 * 1024)
    await hole.close()

    const { out, content, warnings, files } = await backUp({ checksums: true })
    const back = await restore(out)
    expect(describeTree(back)).toBe(describeTree(tree))
    expect((await lstat(join(back, 'sparse'))).blocks).toBeLessThan(100)
    expect(warnings).toEqual([])
    expect(content?.files).toBe(7)
    expect(files.map(({ role }) => role)).toEqual(['tar', 'index'])
    const index = await readIndexOf(out)
    const env = index.entries.find(({ path }) => path.endsWith('/.env'))
    // The group bits of a file with an ACL are its mask.
    expect(env).toMatchObject({ type: 'file', mode: 0o660, sizeBytes: 9, links: 2 })
    expect(env?.sha256).toBe(shell(`sha256sum ${tree}/.env`).slice(0, 64))
    expect(index.entries.filter(({ bytes }) => bytes)).toHaveLength(1)
    expect(index.entries.every((entry) => entry.type !== 'file' || entry.sha256 !== undefined)).toBe(true)
  })

  it('is only what was asked for and is not excluded', async () => {
    for (const name of ['a.html', 'a.log', '.hidden']) await writeFile(join(tree, name), name)
    await mkdir(join(tree, 'cache'))
    await writeFile(join(tree, 'cache/x'), 'x')
    await writeFile(join(dir, 'beside'), 'not asked')
    const { out } = await backUp({ paths: [tree, join(tree, 'a.html')], exclude: ['*.log', 'cache'] })
    const index = await readIndexOf(out)
    expect(index.entries.map(({ path }) => path.slice(tree.length))).toEqual(['', '.hidden', 'a.html'])
    expect(await readdir(await restore(out))).toEqual(['.hidden', 'a.html'])
  })

  it('a socket is skipped with a note, another file system is not entered', async () => {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(join(tree, 'sock'), resolve))
    onTestFinished(() => void server.close())
    const mount = await mountMemory(join(tree, 'mnt'))
    onTestFinished(() => mount.unmount())
    await writeFile(join(mount.path, 'inside'), 'x')
    const { out, notes, warnings } = await backUp()
    expect(notes).toEqual([
      `${tree}/mnt is another file system: it is not entered; add it to paths to save it`,
      `skipped: 1 socket (${tree}/sock)`,
    ])
    expect(warnings).toEqual([])
    expect((await readIndexOf(out)).entries.map(({ path }) => path.slice(tree.length))).toEqual(['', 'mnt'])
  })

  it('a path that is a symbolic link says that its target is not saved', async () => {
    await symlink('/etc/hostname', join(tree, 'link'))
    expect((await backUp({ paths: [join(tree, 'link')] })).warnings).toEqual([
      `${tree}/link is a symbolic link; /etc/hostname, which it points to, is not in this backup: add it to paths`,
    ])
  })
})

const TAR = execFileSync('sh', ['-c', 'command -v tar'], { encoding: 'utf8' }).trim()

describe('files that move while they are read', () => {
  it('are read a second time', async () => {
    await writeFile(join(tree, 'busy.log'), 'before')
    for (let n = 0; n < 40; n += 1) await writeFile(join(tree, `f${n}`), Buffer.alloc(500_000, n))
    // Right after the first reading, before anybody looks again.
    const bin = await tempDir('bin')
    const script = `#!/bin/sh
      ${TAR} "$@"; code=$?
      if [ "$1" = --create ] && mkdir ${bin}/moved; then printf after >> ${tree}/busy.log; rm ${tree}/f39; fi 2>/dev/null
      exit $code`
    await writeFile(join(bin, 'tar'), script, { mode: 0o755 })
    vi.stubEnv('PATH', `${bin}:${process.env['PATH']}`)
    onTestFinished(() => void vi.unstubAllEnvs())
    const { out, files, warnings, notes } = await backUp()
    expect(files.map(({ path }) => path)).toEqual(['files.tar.zst', 'changed.tar.zst', 'index.jsonl.zst'])
    expect(warnings).toEqual([])
    expect(notes?.[0]).toContain('read a second time: 1 file that changed')
    expect(await readFile(join(await restore(out), 'busy.log'), 'utf8')).toBe('beforeafter')
    const index = await readIndexOf(out)
    expect(index.entries.find(({ path }) => path.endsWith('busy.log'))?.sizeBytes).toBe(11)
    expect(index.entries.some(({ path }) => path.endsWith('f39'))).toBe(false)
  })

  it('and do not stop moving are marked, and the backup is a warning', async () => {
    await writeFile(join(tree, 'busy.log'), Buffer.alloc(30_000_000, 'x'))
    const writer = spawn('sh', ['-c', `while :; do echo more >> ${tree}/busy.log; done`], { stdio: 'ignore' })
    onTestFinished(() => void writer.kill('SIGKILL'))
    const { changedDuringRead, warnings } = await backUp()
    expect(changedDuringRead).toEqual([`${tree}/busy.log`])
    expect(warnings).toEqual([`${tree}/busy.log changed while it was read, twice`])
  })
})

describe('an incremental backup', () => {
  it('with the full one gives the tree as it was, deletions too', async () => {
    for (let n = 0; n < 20; n += 1) await writeFile(join(tree, `f${n}`), `content ${n}`)
    await mkdir(join(tree, 'gone'))
    await mkdir(join(tree, 'was-directory/deep'), { recursive: true })
    await writeFile(join(tree, 'gone/x'), 'x')
    await link(join(tree, 'f1'), join(tree, 'f1-again'))
    const full = await backUp()
    await appendFile(join(tree, 'f0'), ' changed')
    await chmod(join(tree, 'f2'), 0o600)
    await rm(join(tree, 'gone'), { recursive: true })
    await rm(join(tree, 'f3'))
    await mkdir(join(tree, 'f3'))
    await writeFile(join(tree, 'f3/inner'), 'a directory now')
    await rm(join(tree, 'was-directory'), { recursive: true })
    await writeFile(join(tree, 'was-directory'), 'a file now')
    await link(join(tree, 'f1'), join(tree, 'f1-third'))
    await writeFile(join(tree, 'new\nfile'), 'new')
    const base = { id: 'static/web/20261120T020000Z', index: await readIndexOf(full.out) }
    const second = await backUp({ full: base })
    expect(second.parent).toBe(base.id)
    const names = shell(`zstd -dc ${second.out}/files.tar.zst | tar -t -i -f -`)
    expect(names).not.toContain('f9')
    expect(describeTree(await restore(full.out, second.out))).toBe(describeTree(tree))
    expect((await readIndexOf(second.out)).deleted.map(({ path }) => path.slice(tree.length))).toEqual([
      'gone',
      'gone/x',
      'was-directory/deep',
    ])
  })

  it('of an unchanged tree holds directories only', async () => {
    await writeFile(join(tree, 'f'), 'x')
    const full = await backUp()
    const second = await backUp({ full: { id: 'static/web/20261120T020000Z', index: await readIndexOf(full.out) } })
    expect(shell(`zstd -dc ${second.out}/files.tar.zst | tar -t -i -f -`).trim().split('\n')).toEqual([
      `${tree.slice(1)}/`,
    ])
    expect(second.content?.files).toBe(1)
  })
})

describe('encryption', () => {
  it('leaves no plain text in the repository, and age brings it back', async () => {
    await writeFile(join(tree, 'plain'), 'THE-SECRET-MARKER '.repeat(50))
    shell(`age-keygen -o ${dir}/key 2>/dev/null`)
    const recipients = [shell(`age-keygen -y ${dir}/key`).trim()]
    const { out } = await backUp({ settings: { compression: { level: 3, threads: 0 }, recipients } })
    expect((await readdir(out)).sort()).toEqual(['files.tar.zst.age', 'index.jsonl.zst.age'])
    expect(shell(`cat ${out}/* | grep -c -a -e SECRET-MARKER -e '${tree}' || true`).trim()).toBe('0')
    shell(`cd ${out}; for f in *.age; do age -d -i ${dir}/key -o "\${f%.age}" "$f"; done`)
    expect(describeTree(await restore(out))).toBe(describeTree(tree))
  })
})

describe('what cannot be saved', () => {
  it.each<[string, () => Partial<FilesRequest>, string, string]>([
    [
      'a path that is not there',
      () => ({ paths: [tree, '/nowhere/at all'] }),
      'FAILED',
      '/nowhere/at all is not there',
    ],
    ['a relative path', () => ({ paths: ['srv'] }), 'CONFIG_INVALID', '"srv" is not an absolute path'],
    ['a path with ..', () => ({ paths: ['/srv/../etc'] }), 'CONFIG_INVALID', 'not an absolute path'],
  ])('%s is named', async (_what, change, code, message) => {
    await expect(backUp(change())).rejects.toMatchObject({ code, message: expect.stringContaining(message) as string })
  })

  it('an unreadable file is an error that names it, and leaves nothing', async () => {
    const user = await makeUser()
    onTestFinished(() => user.remove())
    const sshd = await startSshd()
    onTestFinished(() => sshd.stop())
    const host = await openSshHost({ ...sshd.settings, user: user.name, name: 'web-1' })
    onTestFinished(() => host.close())
    await chmod(dir, 0o755)
    await writeFile(join(tree, 'secret.key'), 'x', { mode: 0o600 })
    await expect(backUp({ host })).rejects.toMatchObject({
      code: 'NOT_PERMITTED',
      message: expect.stringContaining(`${tree}/secret.key may not be read on web-1`) as string,
    })
    expect((await backUp({ host, exclude: ['*.key'] })).content?.files).toBe(0)
  })

  it('a path that is not there ends it before everything else is read', async () => {
    await writeFile(join(tree, 'a'), 'x')
    const bin = await tempDir('bin')
    const script = `#!/bin/sh\ncase $1 in --create) exec sleep 300; esac\nexec ${TAR} "$@"`
    await writeFile(join(bin, 'tar'), script, { mode: 0o755 })
    vi.stubEnv('PATH', `${bin}:${process.env['PATH']}`)
    onTestFinished(() => void vi.unstubAllEnvs())
    const nowhere = join(dir, 'nowhere')
    await expect(backUp({ paths: [tree, nowhere] })).rejects.toMatchObject({
      code: 'FAILED',
      message: expect.stringContaining(`${nowhere} is not there`) as string,
    })
  })

  it('an interrupted run ends at once and leaves no process behind', async () => {
    await writeFile(join(tree, 'big'), Buffer.alloc(80_000_000, 'x'))
    const stop = new AbortController()
    const progress = { update: (bytes: number) => void (bytes > 0 && stop.abort(new Error('stop'))) }
    await expect(backUp({ signal: stop.signal, progress })).rejects.toThrow()
    const children = () => readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').trim()
    await waitFor('tar and zstd to be gone', () => children() === '')
  })
})

describe('over SSH', () => {
  it('it is the same backup', async () => {
    const sshd = await startSshd()
    onTestFinished(() => sshd.stop())
    const host = await openSshHost({ ...sshd.settings, name: 'web-1' })
    onTestFinished(() => host.close())
    for (let n = 0; n < 50; n += 1) await writeFile(join(tree, `f ${n}`), Buffer.alloc(n * 1_000, n))
    await writeFile(join(tree, '.env'), 'x', { mode: 0o600 })
    const { out, warnings } = await backUp({ host, checksums: true })
    expect(warnings).toEqual([])
    expect(describeTree(await restore(out))).toBe(describeTree(tree))
  })

  it('a machine with busybox alone saves all it can and says what it cannot', async () => {
    const sshd = await startSshd({ config: [`SetEnv PATH=${join(dir, 'bin')}`] })
    onTestFinished(() => sshd.stop())
    await mkdir(join(dir, 'bin'))
    shell(
      `for t in sh tar find xargs stat readlink sha256sum head printf echo cat mkdir rm dd mktemp; do ln -s "$(command -v busybox)" ${dir}/bin/$t; done`,
    )
    const host = await openSshHost({ ...sshd.settings, name: 'web-1' })
    onTestFinished(() => host.close())
    for (let n = 0; n < 300; n += 1) await writeFile(join(tree, `f\n${n}`), `${n}`)
    await symlink('f\n1', join(tree, 'link\n'))
    const { out, warnings } = await backUp({ host, checksums: true })
    expect(warnings).toEqual(['the tar there is not GNU tar: ACLs, extended attributes and hard links are not kept'])
    const back = await restore(out)
    expect((await readdir(back)).sort()).toEqual((await readdir(tree)).sort())
    expect(await readFile(join(back, 'link\n'), 'utf8')).toBe('1')
    const index = await readIndexOf(out)
    expect(index.entries.find(({ type }) => type === 'link')).toMatchObject({ target: 'f\n1', mode: 0o777 })
  })
})
