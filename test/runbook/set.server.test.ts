/** Params that are set during an incident, in shells and in the walk, and where they show. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { NODE, ROOT } from '../support/opskit.ts'
import { openScreen } from '../support/tmux.ts'
import { item, openPlace, type Place } from './place.ts'

const FRONT = [
  'params:',
  '  file: { type: text, default: "", description: A file to be emptied }',
  '  to: { type: text, default: "", description: Where it goes }',
].join('\n')

async function demo(): Promise<Place> {
  const place = await openPlace()
  const empty = `id: empty\nwhen: "{{file}}"\nneeds: [to]\nrun: cp "$OPSKIT_FILE" "$OPSKIT_TO"\nrollback: { run: [rm, -f, "{{to}}"] }`
  place.runbook(
    'demo',
    [
      '## Look\n',
      item('What filled it?', 'id: cause\nevidence: required\nmarks: root-cause'),
      '## Do\n',
      item('Copy {{file}} to {{to}}', empty),
      item('All is well', `id: well\nverify: { run: [test, -e, ${place.dir}/well] }`),
    ].join('\n'),
    FRONT,
  )
  writeFileSync(join(place.dir, 'a'), 'a')
  return place
}

describe('a param that is set during an incident', () => {
  it('is checked, written down, and shown wherever the incident is', async () => {
    const place = await demo()
    await place.run(['start', 'demo'])
    const [id = ''] = place.incidents()
    const applies = (await place.run(['status'])).stdout
    expect(applies).toContain('[/] 2.1 Copy … to …  does not apply: only when file is set')
    await place.run(['done', 'cause', '--evidence', 'debug logging was left on'])

    expect(await place.run(['set', 'fil=/a'])).toMatchObject({
      exitCode: 64,
      stderr: expect.stringContaining('Did you mean "file"?') as string,
    })
    expect(await place.run(['set', 'file=password=hunter2secret'])).toMatchObject({ exitCode: 64 })
    expect(await place.as('bob', ['set', id, `file=${place.dir}/a`])).toMatchObject({ exitCode: 0 })
    expect((await place.run(['set', `file=${place.dir}/a`])).stdout).toContain('they have these values already')

    const waits = await place.run(['next'])
    expect(waits).toMatchObject({ exitCode: 10 })
    expect(waits.stdout).toContain(`waiting at 2.1 Copy ${place.dir}/a to …`)
    expect(waits.stdout).toMatch(/set to=… .*# the value that it needs/)
    await place.run(['set', `to=${place.dir}/b`])
    expect((await place.run(['next'])).stdout).toContain('waiting at 2.2')
    expect(readFileSync(join(place.dir, 'b'), 'utf8')).toBe('a')
    await place.run(['set', `to=${place.dir}/c`])

    const { stdout } = await place.run(['status'])
    expect(stdout).toMatch(
      /params: file=\S+\/a \(set by bob at \d\d:\d\d:\d\d UTC, before: nothing\), to=\S+\/c \(set by alice/,
    )
    expect(stdout).toContain(`[x] 2.1 Copy ${place.dir}/a to ${place.dir}/b`)
    expect(place.events(id)).toContainEqual(
      expect.objectContaining({ kind: 'param.set', param: 'file', from: '', to: `${place.dir}/a`, who: 'bob' }),
    )
    const exported = (await place.run(['export'])).stdout
    expect(exported).toContain(`bob: Set file: ${place.dir}/a (before: nothing)`)
    expect(exported).toMatch(/\| Params \| file: \S+\/a \(set by bob/)
    expect(exported).toMatch(
      /## Root cause\n[^#]*> alice at [\d:]+, 1\.1 What filled it\?:\n>\n> debug logging was left on/,
    )
    expect((await place.run(['export', '--format', 'html'])).stdout).toContain('debug logging was left on')

    expect(await place.run(['abort', '--reason', 'enough', '--yes'])).toMatchObject({ exitCode: 11 })
    expect(existsSync(join(place.dir, 'b'))).toBe(false)
    expect(await place.run(['audit'])).toMatchObject({ exitCode: 0 })
  })

  it('is asked for in the walk, and a step that was passed over has its turn when it applies', async () => {
    const place = await demo()
    const argv = [NODE, `${ROOT}scripts/runbook.ts`, 'start', 'demo', '--config', place.config] as const
    const screen = await openScreen(argv, { env: { OPSKIT_USER: 'alice', NO_COLOR: '1' }, cwd: place.dir, columns: 80 })
    await screen.shows('[enter] begin')
    await screen.type('Enter')
    await screen.shows('done: what did you see?')
    await screen.type('s')
    await screen.shows('why?')
    await screen.type('known', 'Enter')
    await screen.shows(/2 of 2[^]*\[q\] leave/)
    await screen.type('Enter')
    await screen.shows('[?] 2.2 All is well')
    await screen.type('p')
    await screen.shows('name=value: ')
    await screen.type(`file=${place.dir}/a`, 'Enter')
    await screen.shows('[enter] give to')
    await screen.type('Enter')
    await screen.shows(/\n {6}to: $/m)
    await screen.type(`${place.dir}/b`, 'Enter')
    await screen.shows('[x] 2.1 Copy')
    expect(readFileSync(join(place.dir, 'b'), 'utf8')).toBe('a')
  })
})

describe('an answer that was written down beforehand', () => {
  it('waits for a human where the machine does not agree, and names the step', async () => {
    const place = await demo()
    const answers = join(place.dir, 'answers.yaml')
    writeFileSync(answers, 'cause: { evidence: known }\nwell: done\n')
    const ran = await place.run(['start', 'demo', '--answers', answers])
    expect(ran).toMatchObject({ exitCode: 10, stderr: '' })
    expect(ran.stdout).toContain('[!] 2.2 is not done: verify: exit status 1')
    expect(ran.stdout).toContain('waiting at 2.2 All is well')
    const [id = ''] = place.incidents()
    expect(place.events(id)).toContainEqual(expect.objectContaining({ kind: 'step.refused', step: 'well' }))
  })
})
