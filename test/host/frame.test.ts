import { PassThrough, Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { describe, expect, it } from 'vitest'
import { decideFramedExit, frameArgv, killArgv, newMarker, splitMarker } from '../../scripts/lib/host/frame.ts'
import { getArgv, putArgv } from '../../scripts/lib/host/shell-files.ts'
import { pathWithSbin, type StartSpec } from '../../scripts/lib/host/running.ts'

const spec = (extra: Partial<StartSpec> = {}): StartSpec => ({ argv: ['nginx', '-t'], wantsInput: false, ...extra })

describe('a framed command', () => {
  it('is sh, the script, and the command as separate arguments', () => {
    const [sh, dashC, script, ...rest] = frameArgv(spec(), 'mark', false)
    expect([sh, dashC, ...rest]).toEqual(['sh', '-c', 'opskit', 'mark', '', '0', 'nginx', '-t'])
    expect(script).toMatch(/exec "\$@"$/)
  })

  it('counts the variables before the command and names the directory', () => {
    const argv = frameArgv(spec({ env: { A: '1 2', B: '' }, cwd: '/srv/app dir' }), 'mark', false)
    expect(argv.slice(3)).toEqual(['opskit', 'mark', '/srv/app dir', '2', 'A=1 2', 'B=', 'nginx', '-t'])
  })

  it('puts sudo outside of the frame, so that the frame reports from inside', () => {
    expect(frameArgv(spec(), 'mark', true).slice(0, 4)).toEqual(['sudo', '-n', '--', 'sh'])
    expect(killArgv(4711, true).slice(0, 4)).toEqual(['sudo', '-n', '--', 'sh'])
    expect(killArgv(4711, false).at(-1)).toBe('4711')
  })

  it('has another marker each time', () => {
    expect(newMarker()).not.toBe(newMarker())
  })
})

describe('the marked line', () => {
  const split = async (chunks: string[]) => {
    const { stderr, status } = splitMarker(Readable.from(chunks.map((chunk) => Buffer.from(chunk))), 'mark')
    return { rest: await text(stderr), status: await status }
  }
  it.each([
    ['alone', ['mark pid 12\n'], '', { kind: 'pid', pid: 12 }],
    ['before what the command says', ['mark pid 12\nerror: x\n'], 'error: x\n', { kind: 'pid', pid: 12 }],
    [
      'after what the login shell says, which is dropped',
      ['bash: warning\nmark pid 12\nx'],
      'x',
      { kind: 'pid', pid: 12 },
    ],
    ['in pieces', ['bash\nma', 'rk pi', 'd 1', '2\nmo', 're'], 'more', { kind: 'pid', pid: 12 }],
    ['of a missing program', ['mark missing\n'], '', { kind: 'missing' }],
    ['of a missing directory', ['mark no-cwd\n'], '', { kind: 'no-cwd' }],
    [
      'absent: everything is kept',
      ['sudo: a password', ' is required\n'],
      'sudo: a password is required\n',
      { kind: 'none' },
    ],
    ['absent from silence', [], '', { kind: 'none' }],
  ])('%s', async (_, chunks, rest, status) => {
    expect(await split(chunks)).toEqual({ rest, status })
  })

  it('is not searched for without end', async () => {
    const noise = 'x'.repeat(70_000)
    expect((await split([noise, 'mark pid 12\n'])).rest).toBe(`${noise}mark pid 12\n`)
  })

  it('is none when the stream breaks', async () => {
    const source = new PassThrough()
    const { status, stderr } = splitMarker(source, 'mark')
    stderr.resume()
    source.destroy(new Error('broken'))
    expect(await status).toEqual({ kind: 'none' })
  })
})

describe('the exit of a framed command', () => {
  it.each([
    ['is the program’s', { kind: 'code', code: 3 }, { kind: 'pid', pid: 1 }, false, { kind: 'code', code: 3 }],
    ['names a missing program', { kind: 'code', code: 127 }, { kind: 'missing' }, false, { kind: 'missing' }],
    [
      'is 127 when the program itself says so',
      { kind: 'code', code: 127 },
      { kind: 'pid', pid: 1 },
      false,
      { kind: 'code', code: 127 },
    ],
    ['blames sudo when the frame never ran', { kind: 'code', code: 1 }, { kind: 'none' }, true, { kind: 'sudo' }],
    [
      'blames the shell when the frame never ran',
      { kind: 'code', code: 1 },
      { kind: 'none' },
      false,
      { kind: 'no-shell', code: 1 },
    ],
    [
      'stays a signal',
      { kind: 'signal', signal: 'SIGKILL' },
      { kind: 'none' },
      true,
      { kind: 'signal', signal: 'SIGKILL' },
    ],
  ] as const)('%s', (...[, exit, status, sudo, expected]) => {
    expect(decideFramedExit(exit, status, sudo)).toEqual(expected)
  })
})

describe('file commands', () => {
  it('ask for one byte more than allowed, to see that a file is too large', () => {
    expect(getArgv('/a b', 100, false).slice(3)).toEqual(['opskit', '/a b', 'head', '101'])
    expect(getArgv('/a b', 100, true).slice(3)).toEqual(['opskit', '/a b', 'tail', '100'])
  })

  it('announce the size, and a mode only when it is to change', () => {
    expect(putArgv('/etc/x', 5).slice(3, 8)).toEqual(['opskit', '/etc/x', '5', '', '644'])
    expect(putArgv('/etc/x', 5, 0o600).slice(3, 8)).toEqual(['opskit', '/etc/x', '5', '600', '644'])
  })

  it('hold no file contents', () => {
    expect(putArgv('/etc/x', 6).join(' ')).not.toContain('secret')
  })
})

describe('PATH', () => {
  it.each([
    ['/usr/bin:/bin', '/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin'],
    ['/usr/sbin:/usr/bin', '/usr/sbin:/usr/bin:/usr/local/sbin:/sbin'],
    [undefined, '/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin'],
  ])('%s gets the tools of administrators last', (path, expected) => {
    expect(pathWithSbin(path)).toBe(expected)
  })
})
