/** Copies to a real sshd, cut in the middle, and into a real restic repository. */
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmodSync, existsSync, readdirSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { openRepository } from '../../../scripts/lib/backup/repository/open.ts'
import { readChecksumProblems } from '../../../scripts/lib/backup/repository/checksums.ts'
import { startSshd, type Sshd, type SshdOptions } from '../../support/sshd.ts'
import { tempDir } from '../../support/temp.ts'
import { act, failureOf, makeContext } from '../context.ts'

let dir: string
let far: string
let tree: string
beforeEach(async () => {
  dir = await tempDir('copy')
  far = join(dir, 'far/backups')
  tree = join(dir, 'srv')
  await mkdir(tree)
  await writeFile(join(tree, 'index.html'), 'hello')
})

async function start({ config = [] }: SshdOptions = {}): Promise<Sshd> {
  const sshd = await startSshd({ config: ['Subsystem sftp internal-sftp', ...config] })
  onTestFinished(() => sshd.stop())
  return sshd
}

function contextFor({ settings }: Pick<Sshd, 'settings'>, backup: object = {}, change = {}) {
  const { host, port, user, identityFile, knownHosts } = settings
  const ssh = { host, port, user, identity_file: identityFile, known_hosts: knownHosts, agent: false }
  return makeContext({
    config: {
      hosts: { standby: { ssh } },
      backup: {
        repository: join(dir, 'repository'),
        static: { www: { paths: [tree], full_every: '1d' } },
        copies: [{ name: 'offsite', host: 'standby', path: far, automatic: false }],
        ...backup,
      },
    },
    stateDir: join(dir, 'state'),
    change,
  })
}

const near = () => openRepository(join(dir, 'repository'))
const hidden = () =>
  readdirSync(join(dir, 'far'), { recursive: true, encoding: 'utf8' }).filter((name) => /\/\./.test(name))

async function expectSoundCopy(count: number): Promise<void> {
  const copies = await openRepository(far).list()
  expect(copies).toHaveLength(count)
  for (const copy of copies) expect(await readChecksumProblems(copy.path, copy.manifest.files)).toEqual([])
  expect(hidden()).toEqual([])
}

describe('over SFTP', () => {
  it('a copy is a repository of its own, and a second one has nothing to do', async () => {
    const context = await contextFor(await start())
    await act(context, 'backup.static', { name: 'www' })
    const result = await act(context, 'backup.copy', { backups: ['www'] })
    expect(result.steps[0]?.message).toMatch(/^static\/www\/.*: verified there by sha256sum$/)
    await expectSoundCopy(1)
    expect(await readFile(join(far, 'README.md'), 'utf8')).toContain('Backups made by opskit')
    expect((await openRepository(far).list())[0]?.manifest).toEqual((await near().list())[0]?.manifest)
    expect((await act(context, 'backup.copy', { all: true })).because).toBe('what was asked for is there already')
    expect(context.journal.events({ kind: 'backup.copied' })).toMatchObject([{ result: 'ok' }])
  })

  it('happens by itself after a run, the full one before what builds on it', async () => {
    const sshd = await start()
    await act(await contextFor(sshd, { copies: [] }), 'backup.static', { name: 'www' })
    const copies = [{ name: 'offsite', host: 'standby', path: far }]
    await act(await contextFor(sshd, { copies }), 'backup.static', { name: 'www' })
    await expectSoundCopy(2)
    expect((await openRepository(far).list())[0]?.manifest.parent).toBeDefined()
  })

  it('that fails leaves the backup whole, is recorded, and is said', async () => {
    const copies = [{ name: 'offsite', host: 'standby', path: '/proc/nowhere' }]
    const context = await contextFor(await start(), { copies })
    const failure = await failureOf(act(context, 'backup.static', { name: 'www' }))
    expect(failure.message).toContain('is whole here, and was not copied to offsite')
    const [entry] = await near().list()
    expect(entry?.verifiedAt).toBeGreaterThan(0)
    expect(entry?.records.at(-1)).toMatchObject({ type: 'copied', target: 'offsite', ok: false })
  })

  it('an account without a shell is enough: the bytes are read back', async () => {
    const context = await contextFor(await start({ config: ['ForceCommand internal-sftp'] }))
    await act(context, 'backup.static', { name: 'www' })
    const result = await act(context, 'backup.copy', { backups: ['www'] })
    expect(result.steps[0]?.message).toMatch(/verified by reading it back$/)
    await expectSoundCopy(1)
  })

  it('goes on where it was when the line is cut, again and again', async () => {
    const sshd = await start()
    await writeFile(join(tree, 'noise'), randomBytes(48_000_000))
    let cuts = 0
    const seen: number[] = []
    const progress = {
      update(doneBytes: number, _total: number, what: string) {
        if (!what.startsWith('copying')) return
        seen.push(doneBytes)
        if (cuts < 3 && doneBytes > (cuts + 1) * 12_000_000) {
          cuts += 1
          void sshd.signalWorkers('SIGKILL')
        }
      },
    }
    const context = await contextFor(sshd, {}, { progress })
    await act(context, 'backup.static', { name: 'www' })
    await act(context, 'backup.copy', { backups: ['www'] })
    expect(cuts).toBe(3)
    const restarts = seen.filter((bytes, index) => index > 0 && bytes < (seen[index - 1] ?? 0))
    expect(restarts.every((bytes) => bytes > 5_000_000)).toBe(true)
    await expectSoundCopy(1)
  })

  it('an interrupted one is finished by the next run, and is nowhere listed before', async () => {
    const sshd = await start()
    await writeFile(join(tree, 'noise'), randomBytes(30_000_000))
    const stop = new AbortController()
    const progress = {
      update: (bytes: number, _total: number, what: string) =>
        void (what.startsWith('copying') && bytes > 9e6 && stop.abort()),
    }
    const first = await contextFor(sshd, {}, { progress, signal: stop.signal })
    await act(await contextFor(sshd), 'backup.static', { name: 'www' })
    await expect(act(first, 'backup.copy', { backups: ['www'] })).rejects.toThrow()
    expect(await openRepository(far).list()).toEqual([])
    expect(hidden().length).toBeGreaterThan(0)
    await act(await contextFor(sshd), 'backup.copy', { backups: ['www'] })
    await expectSoundCopy(1)
  })

  it('bytes that changed on the way are not published; the next run sends them again', async () => {
    const sshd = await start()
    const context = await contextFor(sshd)
    await act(context, 'backup.static', { name: 'www' })
    const [entry] = await near().list()
    const stamp = entry?.id.split('/')[2]
    const staging = join(far, 'static/www', `.${stamp}.copy`)
    await mkdir(staging, { recursive: true })
    const data = await readFile(join(entry?.path ?? '', 'files.tar.zst'))
    await writeFile(
      join(staging, 'files.tar.zst'),
      data.map((byte, index) => (index === 9 ? byte ^ 1 : byte)),
    )
    const failure = await failureOf(act(context, 'backup.copy', { backups: ['www'] }))
    expect(failure.message).toContain('files.tar.zst does not match its checksum')
    expect(await openRepository(far).list()).toEqual([])
    await act(context, 'backup.copy', { backups: ['www'] })
    await expectSoundCopy(1)
  })

  it.each([
    ['a host that is a container or none', { host: 'nowhere' }, 'USAGE'],
    ['a target that is not configured', undefined, 'USAGE'],
  ])('%s is refused', async (_what, change, code) => {
    const sshd = await start()
    const copies = [{ name: 'offsite', host: 'standby', path: far, automatic: false, ...change }]
    const context = await contextFor(sshd, { copies })
    await act(await contextFor(sshd), 'backup.static', { name: 'www' })
    const params = { backups: ['www'], to: change ? [] : ['offsit'] }
    const error = await act(context, 'backup.copy', params).catch(
      (thrown: unknown) => thrown as { code: string; cause?: { code?: string } },
    )
    expect([(error as { code: string }).code, (error as { cause?: { code?: string } }).cause?.code]).toContain(code)
  })
})

describe('into restic', () => {
  const restic = (args: readonly string[], password = 'right horse') =>
    execFileSync('restic', ['-r', join(dir, 'restic'), '--no-cache', ...args], {
      encoding: 'utf8',
      env: { ...process.env, RESTIC_PASSWORD: password },
      stdio: ['ignore', 'pipe', 'pipe'],
    })

  async function resticContext(change: object = {}) {
    await writeFile(join(dir, 'password'), 'right horse\n')
    chmodSync(join(dir, 'password'), 0o600)
    const target = {
      name: 'cloud',
      repository: join(dir, 'restic'),
      password: { file: join(dir, 'password') },
      init: true,
    }
    return makeContext({
      config: {
        backup: {
          repository: join(dir, 'repository'),
          static: { www: { paths: [tree] } },
          restic: [{ ...target, ...change }],
        },
      },
    })
  }

  it('a run is copied, and restic gives back every byte', async () => {
    await act(await resticContext(), 'backup.static', { name: 'www' })
    const [entry] = await near().list()
    expect(entry?.records.at(-1)).toMatchObject({
      type: 'copied',
      ok: true,
      because: expect.stringMatching(/^snapshot [0-9a-f]{8}, every file/) as string,
    })
    const target = join(dir, 'back')
    restic(['restore', 'latest', '--tag', `id=${entry?.id}`, '--target', target])
    const back = join(target, entry?.path ?? '')
    expect(await readChecksumProblems(back, entry?.manifest.files ?? [])).toEqual([])
    expect(JSON.parse(restic(['snapshots', '--json']))).toMatchObject([{ hostname: 'this-host' }])
  })

  it.each<[string, object, () => Promise<void>, RegExp]>([
    ['a repository that is not there, unless it may be made', { init: false }, async () => {}, /restic/],
    [
      'a wrong password',
      {},
      async () => void execFileSync('sh', ['-c', `RESTIC_PASSWORD=other restic -q -r ${dir}/restic init`]),
      /restic/,
    ],
  ])('%s fails the copy and not the backup', async (_what, change, prepare, message) => {
    const context = await resticContext(change)
    await prepare()
    const failure = await failureOf(act(context, 'backup.static', { name: 'www' }))
    expect(failure.message).toMatch(message)
    expect(await near().list()).toHaveLength(1)
    if (!existsSync(join(dir, 'restic'))) expect(failure.message).toContain('cloud')
  })

  it.each([
    [3, 'FAILED', 'could not read all'],
    [10, 'FAILED', 'does not exist'],
    [11, 'LOCKED', 'is locked'],
    [12, 'NOT_PERMITTED', 'the password does not open'],
  ])('exit code %i of restic is %s', async (status, code, message) => {
    const bin = join(dir, 'bin')
    await mkdir(bin)
    await writeFile(join(bin, 'restic'), `#!/bin/sh\necho "it said so" >&2\nexit ${status}\n`, { mode: 0o755 })
    const path = process.env['PATH']
    process.env['PATH'] = `${bin}:${path}`
    onTestFinished(() => void (process.env['PATH'] = path))
    await act(
      await makeContext({
        config: { backup: { repository: join(dir, 'repository'), static: { www: { paths: [tree] } } } },
      }),
      'backup.static',
      { name: 'www' },
    )
    const error = (await act(await resticContext({ automatic: false, init: false }), 'backup.copy', {
      backups: ['www'],
    }).catch((thrown: unknown) => thrown)) as { cause?: { code: string; message: string } }
    expect(error.cause).toMatchObject({ code, message: expect.stringContaining(message) as string })
    expect(error.cause?.message).toContain('it said so')
  })

  it('the password is in no argument list', async () => {
    const bin = join(dir, 'bin')
    await mkdir(bin)
    const seen = join(dir, 'seen')
    const real = execFileSync('sh', ['-c', 'command -v restic'], { encoding: 'utf8' }).trim()
    const script = `#!/bin/sh\ntr '\\0' ' ' < /proc/$$/cmdline >> ${seen}; env >> ${seen}\nexec ${real} "$@"\n`
    await writeFile(join(bin, 'restic'), script, { mode: 0o755 })
    const path = process.env['PATH']
    process.env['PATH'] = `${bin}:${path}`
    onTestFinished(() => void (process.env['PATH'] = path))
    await act(await resticContext(), 'backup.static', { name: 'www' })
    expect(await readFile(seen, 'utf8')).toContain('restic')
    expect(await readFile(seen, 'utf8')).not.toContain('right horse')
  })
})
