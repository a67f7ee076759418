/** The walk, on a real terminal, as an operator sees it. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { NODE, ROOT } from '../support/opskit.ts'
import { openScreen, type Screen } from '../support/tmux.ts'
import { item, openPlace, type Place } from './place.ts'

function walk(place: Place, args: readonly string[]): Promise<Screen> {
  const env = { OPSKIT_USER: 'alice', NO_COLOR: '1' }
  return openScreen([NODE, `${ROOT}scripts/runbook.ts`, ...args, '--config', place.config], { env, cwd: place.dir })
}

async function demo(): Promise<Place> {
  const place = await openPlace({
    runbook: { contacts: { ann: { name: 'Ann Example', role: 'technical lead', phone: '1234' } } },
  })
  const change = `id: change\nrun: [touch, ${place.dir}/changed]\nrollback: { run: [rm, ${place.dir}/changed] }\nconfirm: Really change it?`
  place.runbook(
    'demo',
    [
      '## Look\n',
      item('Look at it', 'id: look\nrun: [echo, fine]\nread_only: yes'),
      item('Tell the others', 'id: tell'),
      '## Change\n',
      item('**Change** it', change),
      item('See that it answers', `id: see\nverify: { run: [test, -e, ${place.dir}/answers] }`),
      item('Write down what you saw', 'id: write\nevidence: required'),
    ].join('\n'),
  )
  return place
}

describe('the walk', () => {
  it('leads through phases, gates a tick, asks for evidence, and ends with exit code 0', async () => {
    const place = await demo()
    const screen = await walk(place, ['start', 'demo'])
    await screen.shows('[enter] begin')
    const first = await screen.shows(/acknowledge in 4 min 5\d s/)
    expect(first).toContain('── 1 of 2: Look ──')
    expect(first).toContain('To call: technical lead Ann Example 1234')
    await screen.type('a')
    await screen.shows('acknowledged by alice')
    await screen.shows(/\[n\] note[^]*\n {6}\[n\] note/)
    await screen.type('Enter')
    await screen.shows('[x] 1.1 Look at it: ended well')
    await screen.shows('[enter] done')
    await screen.type('Enter')
    await screen.shows(/── 2 of 2: Change ──[^]*\[q\] leave/)
    await screen.type('Enter')
    await screen.shows('Really change it?')
    expect(existsSync(join(place.dir, 'changed'))).toBe(false)
    await screen.type('y')
    await screen.shows('[x] 2.1 Change it: ended well')
    await screen.shows('[?] 2.2 See that it answers')
    await screen.type('Enter')
    await screen.shows('2.2 is not done: verify: exit status 1')
    writeFileSync(join(place.dir, 'answers'), '')
    await screen.type('Enter')
    await screen.shows('[x] 2.2 (see): done')
    await screen.shows('done: what did you see?')
    await screen.type('Enter')
    await screen.shows('what did you see? ')
    await screen.type('all green', 'Enter')
    const end = await screen.shows('exit code')
    expect(end).toContain('exit code 0')
    const [id = ''] = place.incidents()
    expect(readFileSync(place.journalOf(id), 'utf8')).toContain('all green')
    expect(await place.run(['audit', id])).toMatchObject({ exitCode: 0 })
  })

  it('is left at will and come back to, and follows what others answer meanwhile', async () => {
    const place = await demo()
    const screen = await walk(place, ['start', 'demo'])
    await screen.shows('[enter] begin')
    await screen.type('Enter')
    await screen.shows(/\[enter\] done[^]*acknowledge in /)
    await screen.type('C-c')
    const left = await screen.shows('exit code 10')
    const [id = ''] = place.incidents()
    expect(left).toContain(`To come back:\n  npx zx scripts/runbook.ts resume ${id}`)
    const again = await walk(place, ['resume'])
    await again.shows('[enter] begin')
    await again.type('Enter')
    await again.shows('[enter] done')
    expect(await place.as('bob', ['done', 'tell'])).toMatchObject({ exitCode: 0 })
    expect(await again.shows('── 2 of 2: Change ──')).toContain('* bob: tell: done')
  })

  it('ends a step on Ctrl-C, and asks what became of it', async () => {
    const place = await openPlace()
    place.runbook('demo', `## One\n\n${item('Wait', 'id: wait\nrun: [sleep, "300"]\nirreversible: yes\ntimeout: 10m')}`)
    const screen = await walk(place, ['start', 'demo'])
    await screen.shows('[enter] begin')
    await screen.type('Enter')
    await screen.shows(/… 1\.1 Wait {2}\d+ s/)
    await screen.type('C-c')
    await screen.shows('exit code 10')
    const again = await walk(place, ['resume'])
    await again.shows('[enter] begin')
    await again.type('Enter')
    await again.shows('[!] 1.1 Wait')
    await again.type('d')
    await again.shows('what did you see? ')
    await again.type('it had slept enough', 'Enter')
    await again.shows('exit code 0')
  })

  it('shows what would be taken back before it is', async () => {
    const place = await demo()
    const screen = await walk(place, ['start', 'demo', '--yes'])
    for (const shown of [/1 of 2[^]*\[q\] leave/, '[enter] done', /2 of 2[^]*\[q\] leave/]) {
      await screen.shows(shown)
      await screen.type('Enter')
    }
    await screen.shows(/2\.2 See that it answers \(waits for a human\)\n[^]*\[o\] override/)
    expect(existsSync(join(place.dir, 'changed'))).toBe(true)
    await screen.type('b')
    await screen.shows(`2.1 Change it: rm ${place.dir}/changed on localhost`)
    await screen.type('false alarm', 'Enter')
    await screen.shows('exit code 11')
    expect(existsSync(join(place.dir, 'changed'))).toBe(false)
  })

  it('lists a phase that is done from memory before it asks for each', async () => {
    const place = await openPlace()
    place.runbook(
      'demo',
      `## Check\n\n${item('Doors are shut', 'id: doors')}\n${item('Lights are out', 'id: lights')}`,
      'mode: do-confirm',
    )
    const screen = await walk(place, ['start', 'demo', '--drill'])
    const listed = await screen.shows('Do them from memory')
    expect(listed).toMatch(/1\.1 Doors are shut[^]*1\.2 Lights are out/)
    await screen.type('Enter')
    await screen.shows('[?] 1.1 Doors are shut (waits for a human)\n      [enter] done')
    await screen.type('Enter')
    await screen.shows('[x] 1.1 (doors): done')
    await screen.type('Enter')
    await screen.shows('exit code 0')
  })
})
