/** The frame and its killer in every shell that a machine may call sh. */
import { describe, expect, it } from 'vitest'
import { frameArgv, killArgv } from '../../scripts/lib/host/frame.ts'
import { openLocalHost } from '../../scripts/lib/host/local.ts'
import type { Argv } from '../../scripts/lib/host/types.ts'
import { waitFor } from '../support/wait.ts'

const local = openLocalHost()
const WORDS = ['two words', `it's`, '$HOME', '', '-x', 'new\nline'] as const

describe.each([[['dash']], [['bash', '--posix']], [['bash']], [['busybox', 'sh']]])('in %j', (shell) => {
  const [program = 'sh', ...flags] = shell
  const by = ([, ...rest]: Argv): Argv => [program, ...flags, ...rest]
  const run = (argv: Argv, extra: { cwd?: string; env?: Record<string, string> } = {}) =>
    local.read(by(frameArgv({ argv, wantsInput: false, ...extra }, 'mark', false)))

  it('hands the command over as it is, and its status back', async () => {
    const { stdout, stderr, exitCode } = await run(['sh', '-c', 'printf "%s|" "$@"; exit 7', 'sh', ...WORDS])
    expect(stdout).toBe(`${WORDS.join('|')}|`)
    expect(stderr).toMatch(/^mark pid \d+\n$/)
    expect(exitCode).toBe(7)
  })

  it.each([
    ['missing', ['opskit-no-such-tool'], {}],
    ['missing', ['/nonexistent/tool'], {}],
    ['denied', ['/etc/passwd'], {}],
    ['denied', ['/etc/'], {}],
    ['no-cwd', ['true'], { cwd: '/nonexistent' }],
  ] as const)('says %s of %j', async (said, argv, extra) => {
    expect((await run(argv, extra)).stderr).toBe(`mark ${said}\n`)
  })

  it('leads a group of its own where it did not', async () => {
    const look = ['sh', '-c', 'read -r a b c d group rest </proc/$$/stat; echo $$ $group'] as const
    const framed = by(frameArgv({ argv: look, wantsInput: false }, 'mark', false))
    const { stdout, stderr } = await local.read(['sh', '-c', '"$@"; exit $?', 'sh', ...framed])
    const [pid, group] = stdout.trim().split(' ')
    expect(group).toBe(pid)
    expect(stderr).toBe(`mark pid ${pid}\n`)
  })

  it('is killed whole, and killing what is gone is no error', async () => {
    const command = await local.stream(
      by(
        frameArgv(
          { argv: ['sh', '-c', 'trap "" TERM; sleep 300 & echo $! $$; wait'], wantsInput: false },
          'mark',
          false,
        ),
      ),
    )
    const [line] = (await command.stdout.take(1).toArray()) as [Buffer]
    const [child = '', leader = ''] = line.toString().trim().split(' ')
    command.done.catch(() => undefined)
    expect((await local.read(by(killArgv(Number(leader), false)))).exitCode).toBe(0)
    const isGone = async (pid: string) =>
      (await local.read(['grep', '-q', '^State:.[^ZX]', `/proc/${pid}/status`])).exitCode !== 0
    await waitFor('both to be gone', async () => (await isGone(child)) && (await isGone(leader)))
    expect((await local.read(by(killArgv(Number(leader), false)))).exitCode).toBe(0)
  })
})
