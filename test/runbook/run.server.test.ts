/** A run as operators have it in their shells: real processes, real signals, exit codes. */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { waitFor } from '../support/wait.ts'
import { item, openPlace, type Place } from './place.ts'

/** Writes a line, then waits for the file `go`: a step that is caught in its middle. */
const slow = (dir: string) =>
  `id: slow\nrun: |\n  echo begun >> ${dir}/out\n  while [ ! -e ${dir}/go ]; do sleep 0.05; done\nirreversible: yes`
const lines = (dir: string) =>
  existsSync(join(dir, 'out')) ? readFileSync(join(dir, 'out'), 'utf8').trim().split('\n') : []

async function killInMidStep(place: Place, signal: NodeJS.Signals) {
  let pid = 0
  const running = place.run(['start', 'demo'], { onStart: (started) => (pid = started) })
  await waitFor('the step to run', () => lines(place.dir).length === 1)
  process.kill(pid, signal)
  return running
}

describe('a run without a terminal', () => {
  it('ends where a human is needed, with the very commands that go on', async () => {
    const place = await openPlace()
    place.runbook(
      'demo',
      `## One\n\n${item('Look', 'id: look\nrun: [echo, fine]\nread_only: yes')}\n${item('Tell the others', 'id: tell')}`,
    )
    const started = await place.run(['start', 'demo'])
    expect(started).toMatchObject({ exitCode: 10, stderr: '' })
    expect(started.stdout).toContain('waiting at 1.2 Tell the others')
    const commands = [...started.stdout.matchAll(/^ {2}npx zx scripts\/runbook\.ts (.*?)\s+#/gm)].map(
      ([, words = '']) => words,
    )
    expect(commands.slice(0, 2)).toEqual([`done tell --config ${place.config}`, `next --config ${place.config}`])
    for (const [index, exitCode] of [
      [0, 0],
      [1, 0],
    ] as const) {
      const words = (commands[index] ?? '').replace(` --config ${place.config}`, '').split(' ')
      expect(await place.run(words)).toMatchObject({ exitCode })
    }
    const { stdout } = await place.run(['status', '--json'])
    expect(JSON.parse(stdout)).toMatchObject({
      state: 'done',
      startedBy: 'alice',
      steps: [{ state: 'done' }, { state: 'done' }],
    })
  })

  it('gives params to commands as they are, whatever they hold', async () => {
    const place = await openPlace()
    const evil = `a b"; $(touch ${place.dir}/pwned) '\`\n{{name}}`
    place.runbook(
      'demo',
      `## One\n\n${item('Argv', `id: argv\nrun: [sh, -c, 'printf %s "$1" > ${place.dir}/argv', x, "{{name}}"]\nread_only: yes`)}\n${item('Shell', `id: shell\nrun: printf %s "$OPSKIT_NAME" > ${place.dir}/shell\nread_only: yes`)}`,
      'params:\n  name: { type: text, description: A name }',
    )
    expect(await place.run(['start', 'demo', '--param', `name=${evil}`])).toMatchObject({ exitCode: 0 })
    expect(readFileSync(join(place.dir, 'argv'), 'utf8')).toBe(evil)
    expect(readFileSync(join(place.dir, 'shell'), 'utf8')).toBe(evil)
    expect(existsSync(join(place.dir, 'pwned'))).toBe(false)
  })

  it('is answered by a file, and by nobody for the other one', async () => {
    const place = await openPlace()
    place.runbook(
      'demo',
      `## One\n\n${[item('Tell', 'id: tell'), item('See', 'id: see\nevidence: required'), item('Ask', 'id: ask\nrun: ["true"]\nconfirm: yes\nirreversible: yes'), item('Agree', 'id: agree\nrun: ["true"]\napprove: lead\nirreversible: yes')].join('\n')}`,
      'roles:\n  lead: agrees',
    )
    const answers = join(place.dir, 'answers.yaml')
    writeFileSync(answers, '"*": done\nsee: { evidence: all green }\nask: { confirm: yes }\n')
    const ran = await place.run(['start', 'demo', '--answers', answers])
    expect(ran.exitCode).toBe(10)
    expect(ran.stdout).toContain('waiting at 1.4 Agree')
    expect(await place.run(['approve', 'agree'])).toMatchObject({ exitCode: 77 })
    expect(await place.as('bob', ['approve', 'agree'])).toMatchObject({ exitCode: 0 })
    expect(await place.run(['next'])).toMatchObject({ exitCode: 0 })
    writeFileSync(answers, '"*": done\nsee: { evidence: all green }\nagree: { approve: bob }\n')
    expect(await place.run(['start', 'demo', '--answers', answers])).toMatchObject({ exitCode: 64 })
    expect(await place.run(['start', 'demo', '--answers', answers, '--yes', '--drill'])).toMatchObject({ exitCode: 0 })
    writeFileSync(answers, 'tel: done\n')
    const mistyped = await place.run(['start', 'demo', '--answers', answers])
    expect(mistyped).toMatchObject({ exitCode: 64, stderr: expect.stringContaining('Did you mean tell?') as string })
  })

  it('shows what it would do, and leaves no trace', async () => {
    const place = await openPlace()
    place.runbook(
      'demo',
      `## One\n\n${item('Look', 'id: look\nrun: [echo, "it is {{name}}"]\nread_only: yes')}\n${item('Change', `id: change\nrun: [touch, "${place.dir}/{{name}}"]\nrollback: { run: [rm, "${place.dir}/{{name}}"] }`)}`,
      'params:\n  name: { type: text, default: x, description: A name }',
    )
    const shown = await place.run(['start', 'demo', '--dry-run', '--param', 'name=web'])
    expect(shown).toMatchObject({ exitCode: 0 })
    expect(shown.stdout).toContain(`run on localhost (1 min): touch ${place.dir}/web`)
    expect(shown.stdout).toContain(`rollback on localhost (1 min): rm ${place.dir}/web`)
    expect(shown.stdout).toContain('| it is web')
    expect(existsSync(join(place.dir, 'web'))).toBe(false)
    expect(existsSync(join(place.dir, 'state', 'incidents'))).toBe(false)
  })

  it('keeps what was seen, without secrets', async () => {
    const place = await openPlace()
    place.runbook(
      'demo',
      `## One\n\n${item('Look', 'id: look\nrun: [echo, "password=hunter2secret"]\nread_only: yes')}\n${item('See', 'id: see\nevidence: required')}`,
    )
    await place.run(['start', 'demo'])
    expect(await place.run(['done', 'see'])).toMatchObject({ exitCode: 64 })
    const log = join(place.dir, 'app.log')
    writeFileSync(log, 'all is well\nDB_PASSWORD=hunter2secret\n')
    expect(await place.run(['done', 'see', '--attach', log])).toMatchObject({ exitCode: 0 })
    const [id = ''] = place.incidents()
    const copy = join(place.dir, 'state', 'incidents', id, 'files', 'app.log')
    expect(readFileSync(copy, 'utf8')).toContain('all is well')
    expect(readFileSync(copy, 'utf8') + readFileSync(place.journalOf(id), 'utf8')).not.toContain('hunter2secret')
    expect(await place.run(['audit'])).toMatchObject({ exitCode: 0 })
    writeFileSync(copy, 'all is bad\n')
    expect(await place.run(['audit'])).toMatchObject({
      exitCode: 74,
      stdout: expect.stringContaining('files/app.log') as string,
    })
  })
})

describe('a run that is interrupted', () => {
  it('never repeats by itself the step in whose midst it was killed', async () => {
    const place = await openPlace()
    place.runbook(
      'demo',
      `## One\n\n${item('First', `id: first\nrun: |\n  echo first > ${place.dir}/first.$$\nirreversible: yes`)}\n${item('Slow', slow(place.dir))}`,
    )
    await killInMidStep(place, 'SIGKILL')
    const resumed = await place.run(['resume'])
    expect(resumed.exitCode).toBe(10)
    expect(resumed.stdout).toContain('nobody knows how it ended: 1.2 Slow')
    expect(resumed.stdout).toMatch(/done slow --evidence .*\n.*redo slow/)
    expect(lines(place.dir)).toEqual(['begun'])
    writeFileSync(join(place.dir, 'go'), '')
    expect(await place.run(['redo', 'slow'])).toMatchObject({ exitCode: 0 })
    expect(lines(place.dir)).toEqual(['begun', 'begun'])
    expect(await place.run(['audit'])).toMatchObject({ exitCode: 0 })
    const [id = ''] = place.incidents()
    expect(place.events(id).filter(({ kind, step }) => kind === 'step.started' && step === 'first')).toHaveLength(1)
  })

  it('stops what it runs on SIGTERM, and says that nobody knows how far it got', async () => {
    const place = await openPlace()
    place.runbook('demo', `## One\n\n${item('Slow', slow(place.dir))}`)
    expect(await killInMidStep(place, 'SIGTERM')).toMatchObject({ exitCode: 143 })
    const { stdout } = await place.run(['status', '--json'])
    expect(JSON.parse(stdout)).toMatchObject({ waiting: { step: 'slow', state: 'unknown' } })
    rmSync(join(place.dir, 'go'), { force: true })
  })

  it('warns when its runbook was edited, and goes on with the copy', async () => {
    const place = await openPlace()
    place.runbook(
      'demo',
      `## One\n\n${item('Tell', 'id: tell')}\n${item('Say', `id: say\nrun: [touch, ${place.dir}/old]\nirreversible: yes`)}`,
    )
    await place.run(['start', 'demo'])
    place.runbook('demo', `## One\n\n${item('Other', `id: other\nrun: [touch, ${place.dir}/new]\nirreversible: yes`)}`)
    await place.run(['done', 'tell'])
    const next = await place.run(['next'])
    expect(next).toMatchObject({
      exitCode: 0,
      stderr: expect.stringContaining('was edited since this run began') as string,
    })
    expect([existsSync(join(place.dir, 'old')), existsSync(join(place.dir, 'new'))]).toEqual([true, false])
  })
})

describe('several shells at once', () => {
  it('the first answer counts, and the others are told whose it was', async () => {
    const place = await openPlace()
    place.runbook('demo', `## One\n\n${item('Tell', 'id: tell')}\n${item('End', 'id: end')}`)
    await place.run(['start', 'demo'])
    const [a, b, c] = await Promise.all([
      place.as('alice', ['done', 'tell']),
      place.as('bob', ['skip', 'tell', '--reason', 'nobody is there']),
      place.as('cleo', ['skip', 'tell', '--reason', 'too late']),
    ])
    const codes = [a, b, c].map(({ exitCode }) => exitCode)
    expect(codes.toSorted()).toEqual([0, 1, 1])
    const winner = ['alice', 'bob', 'cleo'][codes.indexOf(0)] ?? ''
    for (const loser of [a, b, c].filter(({ exitCode }) => exitCode === 1)) {
      expect(loser.stderr).toMatch(
        new RegExp(`answered already: (done|skipped), by ${winner} at \\d\\d:\\d\\d:\\d\\d UTC`),
      )
    }
    const [id = ''] = place.incidents()
    expect(place.events(id).filter(({ kind }) => kind === 'step.answered')).toHaveLength(1)
    expect(await place.run(['audit'])).toMatchObject({ exitCode: 0 })
  })

  it('one runs a step, the other is told who does', async () => {
    const place = await openPlace()
    place.runbook('demo', `## One\n\n${item('Slow', slow(place.dir))}`)
    const running = place.run(['start', 'demo'])
    await waitFor('the step to run', () => lines(place.dir).length === 1)
    const other = await place.as('bob', ['next'])
    expect(other).toMatchObject({ exitCode: 75, stdout: expect.stringContaining('being run by alice') as string })
    expect(await place.as('bob', ['skip', 'slow', '--reason', 'x'])).toMatchObject({ exitCode: 75 })
    writeFileSync(join(place.dir, 'go'), '')
    expect(await running).toMatchObject({ exitCode: 0 })
    expect(lines(place.dir)).toEqual(['begun'])
  })

  it('two who start the same on the same subject are told of each other', async () => {
    const place = await openPlace()
    place.runbook(
      'demo',
      `## One\n\n${item('Tell', 'id: tell')}`,
      'subject: [host]\nparams:\n  host: { type: text, description: Where }',
    )
    const start = (who: string, host: string) => place.as(who, ['start', 'demo', '--param', `host=${host}`])
    const both = await Promise.all([start('alice', 'web-1'), start('bob', 'web-1')])
    expect(both.map(({ exitCode }) => exitCode).toSorted()).toEqual([10, 75])
    expect(both.find(({ exitCode }) => exitCode === 75)?.stderr).toMatch(
      /(alice|bob) started demo on host web-1 at .* UTC, and it is open: demo-/,
    )
    expect(await start('bob', 'web-2')).toMatchObject({ exitCode: 10 })
    expect(await place.run(['done', 'tell'])).toMatchObject({
      exitCode: 64,
      stderr: expect.stringContaining('several incidents are open') as string,
    })
    expect(await place.run(['start', 'demo', '--param', 'host=web-1', '--again'])).toMatchObject({ exitCode: 10 })
  })
})

describe('taking back', () => {
  const change = (dir: string, name: string, more = '') =>
    item(
      `Change ${name}`,
      `id: ${name}\nrun: [sh, -c, 'echo do-${name} >> ${dir}/out']\nrollback: { run: [sh, -c, 'echo undo-${name} >> ${dir}/out'] }${more}`,
    )

  it('goes backwards, the failed step included', async () => {
    const place = await openPlace()
    const { dir } = place
    place.runbook(
      'demo',
      `## One\n\n${[change(dir, 'a'), change(dir, 'b'), change(dir, 'c', '\nverify: { run: ["false"] }'), change(dir, 'd')].join('\n')}`,
    )
    const ran = await place.run(['start', 'demo', '--yes'])
    expect(ran.exitCode).toBe(11)
    expect(lines(dir)).toEqual(['do-a', 'do-b', 'do-c', 'undo-c', 'undo-b', 'undo-a'])
    expect(ran.stdout).toContain('rolled-back after')
  })

  it('is not stopped by one that fails, and names it', async () => {
    const place = await openPlace()
    const { dir } = place
    const broken = item('Change b', `id: b\nrun: ["true"]\nrollback: { run: [sh, -c, 'echo it is stuck >&2; exit 3'] }`)
    place.runbook(
      'demo',
      `## One\n\n${[change(dir, 'a'), broken, item('Fail', 'id: fail\nrun: ["false"]\nread_only: yes')].join('\n')}`,
    )
    const ran = await place.run(['start', 'demo', '--yes'])
    expect(ran.exitCode).toBe(12)
    expect(lines(dir)).toEqual(['do-a', 'undo-a'])
    expect(ran.stdout).toMatch(/A HUMAN MUST LOOK: 1\.2 Change b: its rollback FAILED \(exit status 3/)
  })

  it('is shown first and waits for a word, of a failure as of an abort', async () => {
    const place = await openPlace()
    const { dir } = place
    place.runbook(
      'demo',
      `## One\n\n${[change(dir, 'a'), item('Fail', 'id: fail\nrun: ["false"]\nread_only: yes')].join('\n')}`,
    )
    const failed = await place.run(['start', 'demo'])
    expect(failed.exitCode).toBe(10)
    expect(failed.stdout).toContain('redo fail')
    const asked = await place.run(['abort', '--reason', 'false alarm'])
    expect(asked).toMatchObject({ exitCode: 10, stdout: expect.stringContaining('undo-a') as string })
    expect(asked.stdout).toContain('--yes')
    expect(lines(dir)).toEqual(['do-a'])
    expect(await place.run(['abort', '--reason', 'false alarm', '--yes'])).toMatchObject({ exitCode: 11 })
    expect(lines(dir)).toEqual(['do-a', 'undo-a'])
  })
})

describe('what never begins', () => {
  it.each<[string, string, readonly string[], number, RegExp]>([
    [
      'a broken runbook, with its place',
      'id: look\nrun: ["true"]\nread_onyl: yes',
      [],
      78,
      /demo\.md:\d+:\d+: .*read_onyl/,
    ],
    ['a changing step without a way back', 'id: look\nrun: ["true"]', [], 78, /demo\.md:\d+:\d+/],
    [
      'an unknown param, with the nearest',
      'id: look\nrun: ["true"]\nread_only: yes',
      ['--param', 'hots=web-1'],
      64,
      /no param "hots".*\n.*"host"/,
    ],
    [
      'a param of the wrong type',
      'id: look\nrun: ["true"]\nread_only: yes',
      ['--param', 'count=many'],
      64,
      /count: "many" is not a whole number/,
    ],
    [
      'a secret as a param',
      'id: look\nrun: ["true"]\nread_only: yes',
      ['--param', 'word=https://a:hunter2@example.com'],
      64,
      /word looks like a secret/,
    ],
    [
      'a change on a host that does not answer',
      'id: look\nrun: ["true"]\non: dead\nirreversible: yes',
      [],
      69,
      /nothing was begun.*dead/,
    ],
  ])('%s', async (_name, block, args, exitCode, said) => {
    const place = await openPlace({ hosts: { dead: { ssh: { host: '127.0.0.1', port: 9, connect_timeout: '2s' } } } })
    const used = '\n- [ ] Of {{host}}, {{count}} and {{word}}\n'
    const params =
      'params:\n  host: { default: local, type: host, description: h }\n  count: { type: integer, default: 1, description: c }\n  word: { default: x, description: w }'
    place.runbook('demo', `## One\n\n${item('Look', block)}${used}`, params)
    const ran = await place.run(['start', 'demo', ...args])
    expect(ran).toMatchObject({ exitCode, stderr: expect.stringMatching(said) as string })
    expect(existsSync(join(place.dir, 'state', 'incidents')) ? place.incidents() : []).toEqual([])
  })
})

describe('what is left behind', () => {
  it('tells what happened in every format, with the times', async () => {
    const place = await openPlace()
    place.runbook(
      'demo',
      `## One\n\n${item('Fix <it>', 'id: fix\nrun: [echo, "| done <b>"]\nirreversible: yes\nmarks: mitigated')}\n${item('Tell', 'id: tell')}`,
    )
    await place.run(['start', 'demo', '--detected-at', '10m'])
    for (const args of [
      ['ack'],
      ['note', 'the log was full'],
      ['assign', 'tell', 'bob'],
      ['handover', 'cleo'],
      ['done', 'tell'],
      ['next'],
      ['mark', 'root-cause'],
      ['mark', 'resolved'],
    ]) {
      expect(await place.run(args), args.join(' ')).toMatchObject({ exitCode: 0 })
    }
    const { stdout } = await place.run(['export', '--format', 'json'])
    const { tookMs, timeline, lead } = JSON.parse(stdout) as {
      tookMs: Record<string, number>
      timeline: { what: string }[]
      lead: string
    }
    expect(Math.round((tookMs['detect'] ?? 0) / 60_000)).toBe(10)
    for (const name of ['acknowledge', 'mitigate', 'find_the_cause', 'resolve'])
      expect(tookMs[name]).toBeGreaterThanOrEqual(0)
    expect(lead).toBe('cleo')
    expect(timeline.map(({ what }) => what)).toEqual(
      expect.arrayContaining(['Acknowledged', 'the log was full', '1.2 Tell: assigned to bob']) as string[],
    )
    const file = join(place.dir, 'post-mortem.md')
    await place.run(['export', '--output', file])
    const markdown = readFileSync(file, 'utf8')
    expect(markdown).toMatch(/\| detect \| 10 min.* \|/)
    expect(markdown).not.toContain('{{')
    expect(markdown).toContain('1.1 Fix \\<it\\>')
    const page = (await place.run(['export', '--format', 'html'])).stdout
    expect(page).toContain('Fix &lt;it&gt;')
    expect(page).not.toContain('<b>')
  })

  it('is audited to the byte', async () => {
    const place = await openPlace()
    place.runbook('demo', `## One\n\n${item('Tell', 'id: tell')}`)
    await place.run(['start', 'demo'])
    await place.run(['note', 'the disk was full'])
    const [id = ''] = place.incidents()
    const path = place.journalOf(id)
    const text = readFileSync(path, 'utf8')
    writeFileSync(path, text.replace('full', 'fine'))
    expect(await place.run(['audit', id])).toMatchObject({
      exitCode: 74,
      stdout: expect.stringContaining(`${path}:2`) as string,
    })
    expect(await place.run(['done', 'tell', '--incident', id])).toMatchObject({ exitCode: 74 })
    writeFileSync(path, text.split('\n').slice(0, 1).join('\n') + '\n')
    expect(await place.run(['audit', id])).toMatchObject({
      exitCode: 74,
      stdout: expect.stringContaining(`${path}:2: 2 lines were there`) as string,
    })
  })
})

it('prints usage, not a stack, for what makes no sense', async () => {
  const place = await openPlace()
  for (const args of [
    ['done', 'x'],
    ['status', 'nothing'],
    ['start', 'nothing'],
    ['mark', 'won'],
  ]) {
    const ran = await place.run(args)
    expect(ran.exitCode, args.join(' ')).toBe(64)
    expect(ran.stderr).not.toMatch(/ {4}at /)
  }
})
