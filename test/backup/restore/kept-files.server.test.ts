/** What a finished restore of files has kept: brought back, and that taken back in turn; at whatever point it was left. */
import { execFileSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import type { ActionContext } from '../../../scripts/lib/action/types.ts'
import { planFinish } from '../../../scripts/lib/backup/restore/action-finish.ts'
import { readKept } from '../../../scripts/lib/backup/restore/kept.ts'
import { tempDir } from '../../support/temp.ts'
import { act, failureOf, makeContext } from '../context.ts'

let dir: string
let context: ActionContext

const shell = (script: string) =>
  execFileSync('bash', ['-euo', 'pipefail', '-c', script], { encoding: 'latin1', cwd: join(dir, 'tree') })
/** Names, kinds, owners, modes, times of files, and contents. */
const state = () =>
  shell(`find . -mindepth 1 -printf '%p %y %U:%G %m %l\\n' | LC_ALL=C sort
    find . -type f -printf '%p %T@\\n' | LC_ALL=C sort; find . -type f -print0 | LC_ALL=C sort -z | xargs -0 cat`)
const traces = () => readdirSync(dir).filter((name) => name.startsWith('.opskit'))
const only = () => readKept(context.journal)[0]?.id ?? ''

beforeEach(async () => {
  dir = await tempDir('kept')
  execFileSync('mkdir', [join(dir, 'tree')])
  shell(`mkdir d e; echo saved > a; echo saved > d/b; echo saved > e/gone; ln -s a link; mkdir turned; echo x > turned/in
    printf saved > $'latin\\xe9 name'; chmod 750 d`)
  const repository = await tempDir('repository')
  context = await makeContext({ config: { backup: { repository, static: { www: { paths: [join(dir, 'tree')] } } } } })
  await act(context, 'backup.static', { name: 'www' })
  // Changed, removed, added, turned into a file, other mode.
  shell(`echo before > a; rm e/gone; echo new > d/new; rm -r turned; echo file > turned; ln -sfn d link; chmod 700 d
    printf before > $'latin\\xe9 name'`)
})

describe('files that a finished restore has kept', () => {
  it('are brought back, and that is taken back, and they are removed', async () => {
    const before = state()
    await act(context, 'restore.static', { backup: 'www', exact: true })
    expect(state()).not.toBe(before)
    shell('echo after > a; echo after > e/gone')
    const after = state()

    const undone = await act(context, 'restore.undo', { id: only() })
    expect(undone.steps[0]).toMatchObject({ outcome: 'verified' })
    expect(state()).toBe(before)
    expect(traces()).toHaveLength(1)

    await act(context, 'restore.undo', { id: only() })
    expect(state()).toBe(after)
    expect(traces()).toHaveLength(1)

    await act(context, 'restore.discard', { id: only() })
    expect([state(), traces(), readKept(context.journal)]).toEqual([after, [], []])
  })

  it('stay kept when they cannot be brought back', async () => {
    await act(context, 'restore.static', { backup: 'www' })
    const [restored, id, kept] = [state(), only(), traces()]
    const failing: ActionContext = {
      ...context,
      journal: {
        ...context.journal,
        setState(key, value) {
          if (key === 'backup.restore.kept') throw new Error('the journal is full')
          context.journal.setState(key, value)
        },
      },
    }
    expect((await failureOf(act(failing, 'restore.undo', { id }))).message).toContain('the journal is full')
    expect([state(), only(), traces()]).toEqual([restored, id, kept])
  })

  it.each(['undo', 'resume'])('and that are half brought back: %s', async (direction) => {
    const before = state()
    await act(context, 'restore.static', { backup: 'www', exact: true })
    const restored = state()
    const plan = await planFinish(context, 'undo', only())
    const host = await context.hosts.open('localhost', { signal: context.signal })
    await plan.steps[0]?.apply(host, context.signal)
    expect(await failureOf(act(context, 'restore.static', { backup: 'www' }))).toMatchObject({ code: 'LOCKED' })
    await act(context, `restore.${direction}`, {})
    expect(state()).toBe(direction === 'undo' ? restored : before)
    expect(traces()).toHaveLength(1)
    await act(context, 'restore.undo', { id: only() })
    expect(state()).toBe(direction === 'undo' ? before : restored)
  })

  it('and that somebody has removed are said to be gone', async () => {
    await act(context, 'restore.static', { backup: 'www' })
    execFileSync('rm', ['-r', join(dir, traces()[0] ?? '')])
    expect(await failureOf(act(context, 'restore.undo', { id: only() }))).toMatchObject({
      message: expect.stringContaining('is not there any more') as string,
    })
    await act(context, 'restore.discard', { id: only() })
    expect(readKept(context.journal)).toEqual([])
  })
})
