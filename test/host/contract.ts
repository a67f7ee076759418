/**
 * What every kind of host promises, as one suite. Each *.server.test.ts opens its own kind and runs it.
 * Nothing here knows how the host is reached: everything is seen through the host itself.
 */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { text as textOf } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { OpsError } from '../../scripts/lib/core/errors.ts'
import type { Host } from '../../scripts/lib/host/types.ts'
import { waitFor } from '../support/wait.ts'

export interface HostFixture {
  readonly host: Host
  /** An empty directory on the host, writable for the user that commands run as. */
  readonly dir: string
  /** A directory on the host with room for about 200 KB. */
  readonly tinyDir: string
  /** A directory of the host in which this user may not create files, or one on a read-only file system for root. */
  readonly lockedDir: string
  readonly lockedCode: 'NOT_PERMITTED' | 'CANNOT_WRITE'
  close(): Promise<void>
}

const AWKWARD = [
  'two words',
  `it's "quoted"`,
  'line\nbreak',
  '$HOME `id` $(id)',
  'ünïcode ☃',
  '',
  '-n',
  '--',
  '*',
  'back\\slash',
  '!x',
  'a;b|c&d',
]

export function describeHost(label: string, open: () => Promise<HostFixture>): void {
  describe(label, () => {
    let fixture: HostFixture
    let host: Host
    let at: (name: string) => string
    beforeAll(async () => {
      fixture = await open()
      host = fixture.host
      at = (name) => `${fixture.dir}/${name}`
    })
    afterAll(() => fixture?.close())

    const sh = (script: string, ...args: string[]) => host.run(['sh', '-c', script, 'sh', ...args])
    const text = async (path: string) => (await host.get(path))?.toString()
    const failure = (promise: Promise<unknown>) =>
      promise.then(
        () => expect.unreachable('it should have failed'),
        (error: OpsError) => ({ code: error.code, message: error.message }),
      )
    const alive = async (pid: string) =>
      (await host.read(['grep', '-q', '^State:.[^ZX]', `/proc/${pid}/status`])).exitCode === 0

    describe('commands', () => {
      it('hands over every argument as it is', async () => {
        const { stdout } = await host.read(['printf', '%s\\0', ...AWKWARD])
        expect(stdout.split('\0').slice(0, -1)).toEqual(AWKWARD)
      })

      it.each([0, 1, 3, 126, 127, 128])('gives exit status %i as it is', async (code) => {
        expect((await host.read(['sh', '-c', `exit ${code}`])).exitCode).toBe(code)
      })

      it('keeps stdout and stderr apart', async () => {
        const result = await sh('echo out; echo err >&2; echo more')
        expect(result).toMatchObject({ stdout: 'out\nmore\n', stderr: 'err\n', truncated: false })
      })

      it('fails a run whose status is not accepted, with the end of stderr', async () => {
        const error = await failure(sh('echo first >&2; echo "cannot do it" >&2; exit 4'))
        expect(error.code).toBe('FAILED')
        expect(error.message).toMatch(/status 4: .*cannot do it/)
      })

      it('accepts the statuses it is told', async () => {
        expect((await host.run(['sh', '-c', 'exit 2'], { okCodes: [0, 2] })).exitCode).toBe(2)
      })

      it('feeds stdin, binary and larger than a pipe', async () => {
        const input = Buffer.alloc(3_000_000, 'ab\0\xff\n', 'latin1')
        const { stdout } = await host.run(['sha256sum'], { input })
        expect(stdout).toContain(createHash('sha256').update(input).digest('hex'))
      })

      it('gives an empty stdin when there is no input', async () => {
        expect((await host.run(['cat'], { timeoutMs: 5_000 })).stdout).toBe('')
      })

      it('lets a command ignore its input', async () => {
        expect((await host.run(['true'], { input: Buffer.alloc(1_000_000) })).exitCode).toBe(0)
      })

      it('sets environment and directory', async () => {
        const env = { OPSKIT_A: `two words 'q' $x\n`, OPSKIT_B: '', m: '1', n: '2' }
        const { stdout } = await host.run(['sh', '-c', 'pwd; printf "%s|%s|" "$OPSKIT_A" "$OPSKIT_B" "$m" "$n"'], {
          env,
          cwd: fixture.dir,
        })
        expect(stdout).toBe(`${fixture.dir}\ntwo words 'q' $x\n||1|2|`)
      })

      it('finds the tools of administrators', async () => {
        const path = (await sh('echo "$PATH"')).stdout.trim().split(':')
        expect(path).toEqual(expect.arrayContaining(['/usr/sbin', '/sbin', '/usr/bin']))
      })

      it('names a program that is not installed', async () => {
        expect(await failure(host.read(['opskit-no-such-tool', '-v']))).toMatchObject({
          code: 'MISSING_TOOL',
          message: expect.stringContaining('opskit-no-such-tool is not installed') as string,
        })
        expect(await failure(host.read([at('nowhere/tool')]))).toMatchObject({ code: 'MISSING_TOOL' })
      })

      it('tells a program that may not be executed from a missing one', async () => {
        await host.put(at('plain.txt'), 'text', { mode: 0o644 })
        expect(await failure(host.read([at('plain.txt')]))).toMatchObject({ code: 'NOT_PERMITTED' })
      })

      it('names a directory that cannot be entered', async () => {
        const error = await failure(host.read(['true'], { cwd: at('no-such-dir') }))
        expect(error).toMatchObject({ code: 'FAILED', message: expect.stringContaining('no-such-dir') as string })
      })

      it('refuses what no machine can take', async () => {
        expect(await failure(host.read(['echo', 'a\0b']))).toMatchObject({ code: 'USAGE' })
        expect(await failure(host.read(['true'], { env: { 'a b': '1' } }))).toMatchObject({ code: 'USAGE' })
      })

      it('takes a command that was killed for a failure, never for a zero', async () => {
        const error = await failure(host.read(['sh', '-c', 'kill -KILL $$']))
        expect(error).toMatchObject({
          code: 'FAILED',
          message: expect.stringMatching(/was killed by SIGKILL/) as string,
        })
      })

      it('bounds what it keeps and reads the rest', async () => {
        const result = await host.run(['sh', '-c', 'head -c 5000000 /dev/zero | tr "\\0" x; echo done >&2'], {
          maxOutputBytes: 1000,
        })
        expect(result).toMatchObject({ truncated: true, stderr: 'done\n' })
        expect(result.stdout).toBe('x'.repeat(1000))
      })

      it('runs twenty at once', async () => {
        const results = await Promise.all(
          Array.from({ length: 20 }, (_, i) => host.run(['sh', '-c', 'sleep 0.1; echo "$1"', 'sh', String(i)])),
        )
        expect(results.map(({ stdout }) => Number(stdout))).toEqual(Array.from({ length: 20 }, (_, i) => i))
      })
    })

    describe('deadlines', () => {
      const family = (file: string, quiet: string) =>
        [
          'sh',
          '-c',
          `(trap "" TERM; sleep 301; sleep 302) ${quiet} & echo $! >"$1"; sleep 303; sleep 304`,
          'sh',
          file,
        ] as const

      it.each([
        ['that hold its output', ''],
        ['that do not', '>/dev/null 2>&1'],
      ])('kills a late command with its children %s, even stubborn ones', async (_, quiet) => {
        const file = at('grandchild')
        const error = await failure(host.run(family(file, quiet), { timeoutMs: 1_000 }))
        expect(error).toMatchObject({ code: 'TIMEOUT', message: expect.not.stringContaining('still') as string })
        const pid = (await text(file))?.trim() ?? ''
        expect(pid).toMatch(/^\d+$/)
        await waitFor('the grandchild to be gone', async () => !(await alive(pid)))
      })

      it('stops at once when the caller aborts', async () => {
        const controller = new AbortController()
        const running = failure(
          host.run(['sh', '-c', 'echo $$ >"$1"; sleep 300', 'sh', at('aborted')], { signal: controller.signal }),
        )
        const pid = await waitFor('the command to start', async () => (await text(at('aborted')))?.trim())
        controller.abort()
        expect(await running).toMatchObject({ code: 'INTERRUPTED' })
        await waitFor('the command to be gone', async () => !(await alive(pid)))
      })

      it('does not start what is aborted already', async () => {
        const signal = AbortSignal.abort()
        expect(await failure(host.run(['touch', at('never')], { signal }))).toMatchObject({ code: 'INTERRUPTED' })
        expect(await host.get(at('never'))).toBeUndefined()
      })

      it('works on after a timeout', async () => {
        await failure(host.read(['sleep', '60'], { timeoutMs: 100 }))
        expect((await host.read(['echo', 'here'])).stdout).toBe('here\n')
      })
    })

    describe('streams', () => {
      it('passes binary data through both ways', async () => {
        const command = await host.stream(['cat'])
        const data = Buffer.from(Array.from({ length: 70_000 }, (_, i) => i % 256))
        command.stdin.end(data)
        const chunks: Buffer[] = []
        for await (const chunk of command.stdout) chunks.push(chunk as Buffer)
        expect(Buffer.concat(chunks).equals(data)).toBe(true)
        expect((await command.done).exitCode).toBe(0)
      })

      it('holds a fast command back while nobody reads, and loses nothing', async () => {
        const script = 'i=0; while [ $i -lt 50 ]; do head -c 1000000 /dev/zero; i=$((i+1)); echo $i >"$1"; done'
        const command = await host.stream(['sh', '-c', script, 'sh', at('progress')], { timeoutMs: 60_000 })
        let last = ''
        const stalledAt = await waitFor('the command to stand still', async () => {
          const now = (await text(at('progress'))) ?? '0'
          if (now === last) return Number(now) + 1
          last = now
          await delay(150)
          return undefined
        })
        expect(stalledAt).toBeLessThan(12)
        let seen = 0
        for await (const chunk of command.stdout) seen += (chunk as Buffer).length
        expect(seen).toBe(50_000_000)
        expect((await command.done).exitCode).toBe(0)
      })

      it('is done with what was written when it says so: the buffer may be used again', async () => {
        const command = await host.stream(['sh', '-c', 'sleep 0.3; sha256sum'])
        const [buffer, expected] = [Buffer.alloc(1024 ** 2), createHash('sha256')]
        for (let round = 1; round <= 8; round += 1) {
          expected.update(buffer.fill(round))
          await new Promise((resolve) => command.stdin.write(buffer, resolve))
        }
        command.stdin.end()
        expect(await textOf(command.stdout)).toContain(expected.digest('hex'))
        await command.done
      })

      it('keeps stderr and rejects done for a status that is not accepted', async () => {
        const command = await host.stream(['sh', '-c', 'echo trouble >&2; exit 5'])
        command.stdout.resume()
        expect(await failure(command.done)).toMatchObject({
          code: 'FAILED',
          message: expect.stringContaining('trouble') as string,
        })
      })

      it('fails the reader of a command that is late, so that half a stream is not taken for a whole', async () => {
        const command = await host.stream(['sh', '-c', 'echo start; sleep 300'], { timeoutMs: 300 })
        await expect(
          pipeline(command.stdout, async (source) => {
            for await (const _ of source) void _
          }),
        ).rejects.toThrow()
        expect(await failure(command.done)).toMatchObject({ code: 'TIMEOUT' })
      })

      it('fails the writer when the command ends early', async () => {
        const command = await host.stream(['true'])
        command.stdout.resume()
        await command.done
        if (!command.stdin.destroyed) await once(command.stdin, 'close')
        expect(command.stdin.writable).toBe(false)
      })
    })

    describe('files', () => {
      const stat = async (path: string) => (await host.read(['stat', '-c', '%a %u:%g', path])).stdout.trim()
      const list = async (dir: string) => (await host.run(['ls', '-A', dir])).stdout.split('\n').filter(Boolean)

      it('writes and reads bytes as they are', async () => {
        const data = Buffer.from(Array.from({ length: 100_000 }, (_, i) => (i * 7) % 256))
        await host.put(at('bytes'), data)
        expect(Buffer.compare((await host.get(at('bytes'))) ?? Buffer.alloc(0), data)).toBe(0)
      })

      it.each(['a b.txt', `qu'ote"$x.txt`, '-dash', 'ünï ☃', 'new\nline'])('takes the file name %j', async (name) => {
        await host.put(at(name), name)
        expect(await text(at(name))).toBe(name)
      })

      it('writes an empty file', async () => {
        await host.put(at('empty'), '')
        expect(await host.get(at('empty'))).toHaveLength(0)
      })

      it('gives a new file the mode asked for, else 644, whatever the umask', async () => {
        await host.put(at('new-600'), 'x', { mode: 0o600 })
        await host.put(at('new-default'), 'x')
        expect((await stat(at('new-600'))).split(' ')[0]).toBe('600')
        expect((await stat(at('new-default'))).split(' ')[0]).toBe('644')
      })

      it('keeps the mode and owner of an existing file', async () => {
        await sh('echo old >"$1"; chmod 640 "$1"; [ "$(id -u)" != 0 ] || chown 12345:54321 "$1"', at('kept'))
        const before = await stat(at('kept'))
        await host.put(at('kept'), 'new')
        expect(await text(at('kept'))).toBe('new')
        expect(await stat(at('kept'))).toBe(before)
      })

      it('sets the mode of an existing file when asked', async () => {
        await host.put(at('chmod'), 'x', { mode: 0o644 })
        await host.put(at('chmod'), 'y', { mode: 0o600 })
        expect((await stat(at('chmod'))).split(' ')[0]).toBe('600')
      })

      it('replaces a file in one step, not in place', async () => {
        await host.put(at('inode'), 'old')
        await sh('ln "$1" "$2"', at('inode'), at('inode-link'))
        await host.put(at('inode'), 'new')
        expect([await text(at('inode')), await text(at('inode-link'))]).toEqual(['new', 'old'])
      })

      it('goes through a symbolic link and keeps it', async () => {
        await sh(
          'mkdir -p "$1/real"; echo old >"$1/real/file"; ln -sf real/file "$1/link"; ln -sf link "$1/link2"',
          fixture.dir,
        )
        await host.put(at('link2'), 'new')
        expect(await text(at('real/file'))).toBe('new')
        expect((await host.run(['readlink', at('link2')])).stdout).toBe('link\n')
        expect(await list(at('real'))).toEqual(['file'])
      })

      it('leaves no temporary file behind', async () => {
        await sh('mkdir -p "$1"', at('clean'))
        await host.put(at('clean/one'), '1')
        await host.put(at('clean/one'), '2')
        expect(await list(at('clean'))).toEqual(['one'])
      })

      it('refuses to write where it may not, and says so', async () => {
        const error = await failure(host.put(`${fixture.lockedDir}/file`, 'x'))
        expect(error.code).toBe(fixture.lockedCode)
        expect(error.message).toContain(`${fixture.lockedDir}/file`)
      })

      it('cannot write into a directory that does not exist, or over a directory', async () => {
        expect(await failure(host.put(at('no-dir/file'), 'x'))).toMatchObject({ code: 'CANNOT_WRITE' })
        expect((await failure(host.put(fixture.dir, 'x'))).code).toMatch(/FAILED|CANNOT_WRITE/)
      })

      it('leaves the old file whole on a full disk, and nothing else', async () => {
        const path = `${fixture.tinyDir}/data`
        await host.put(path, 'precious')
        expect(await failure(host.put(path, Buffer.alloc(2_000_000, 1)))).toMatchObject({ code: 'CANNOT_WRITE' })
        expect(await text(path)).toBe('precious')
        expect(await list(fixture.tinyDir)).toEqual(['data'])
      })

      it('leaves the old file whole when it is interrupted', async () => {
        await host.put(at('interrupted'), 'precious')
        const signal = AbortSignal.timeout(1)
        await failure(host.put(at('interrupted'), Buffer.alloc(30_000_000, 1), { signal }))
        expect(await text(at('interrupted'))).toBe('precious')
        await waitFor(
          'the temporary file to go',
          async () => !(await list(fixture.dir)).some((name) => name.includes('.opskit-')),
        )
      })

      it.each(['no-such-file', 'no-such-dir/file', 'bytes/below-a-file'])('reads %s as undefined', async (name) => {
        expect(await host.get(at(name))).toBeUndefined()
      })

      it('refuses a file that is too large, or reads its end', async () => {
        await host.put(at('large'), 'x'.repeat(5000) + 'THE END')
        expect(await failure(host.get(at('large'), { maxBytes: 5006 }))).toMatchObject({ code: 'FAILED' })
        expect(await host.get(at('large'), { maxBytes: 5007 })).toHaveLength(5007)
        expect((await host.get(at('large'), { maxBytes: 7, tail: true }))?.toString()).toBe('THE END')
        expect(await host.get(at('large'), { maxBytes: 9999, tail: true })).toHaveLength(5007)
      })

      it('reads what has no size of its own', async () => {
        expect(await text('/proc/self/status')).toContain('State:')
        expect(await host.get('/proc/meminfo', { maxBytes: 20, tail: true })).toHaveLength(20)
      })

      it('refuses a directory and a named pipe', async () => {
        expect(await failure(host.get(fixture.dir))).toMatchObject({ code: 'FAILED' })
        await sh('mkfifo "$1"', at('pipe'))
        expect(await failure(host.get(at('pipe'), { timeoutMs: 3_000 }))).toMatchObject({ code: 'FAILED' })
      })
    })

    it('shows neither input nor file contents in any argument list', async () => {
      const secret = 'pL4nted-s3cret'
      const listing = host.run(['sh', '-c', 'read -r line; cat /proc/[0-9]*/cmdline | tr "\\0" " "'], {
        input: `${secret}\n`,
      })
      const [{ stdout }] = await Promise.all([listing, host.put(at('secret'), secret)])
      expect(stdout).toContain('read -r line')
      expect(stdout).not.toContain(secret)
    })

    it('refuses work after it is closed', async () => {
      const other = await open()
      await other.close()
      expect((await failure(other.host.read(['true']))).code).toMatch(/FAILED|UNREACHABLE/)
    })
  })
}
