import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { blockPage, page } from '../runbook/pages.ts'
import { opskit } from '../support/opskit.ts'
import { tempDir } from '../support/temp.ts'

const SOUND = blockPage(
  'id: look\nrun: [df, -h, "{{mount}}"]\non: "{{host}}"\nread_only: yes\nverify: { run: [true], expect: ok, within: 5s }',
  'params: { host: { type: host, default: local, description: Where }, mount: { type: path } }\nroles: { lead: decides }',
).replace('Do it', '**Look** at {{mount}}')

interface Shelf {
  readonly dir: string
  run(...args: string[]): ReturnType<typeof opskit>
}

async function shelf(files: Readonly<Record<string, string>>): Promise<Shelf> {
  const dir = await tempDir('runbooks')
  for (const [name, text] of Object.entries(files)) await writeFile(join(dir, name), text)
  await writeFile(join(dir, 'opskit.yaml'), `runbook: { dirs: [.] }\nhosts: { web-1: { ssh: { host: 192.0.2.1 } } }\n`)
  return { dir, run: (...args) => opskit('runbook', args, { cwd: dir, env: { NO_COLOR: '1' } }) }
}

describe('runbook list', () => {
  it('shows every runbook, those that ship and your own, and which are broken', async () => {
    const { run } = await shelf({ 'demo.md': SOUND, 'broken.md': '# x\n' })
    const { stdout, exitCode } = await run('list')
    expect(exitCode).toBe(0)
    expect(stdout).toMatch(/^demo +high +Demo +\[host\] mount +2026-11-01$/m)
    expect(stdout).toMatch(/^disk-full +critical +Disk full /m)
    expect(stdout).toContain('broken: broken.md:1:1: the front matter is missing')
  })

  it('as JSON names params with type and default', async () => {
    const { run, dir } = await shelf({ 'demo.md': SOUND, 'demo.zh-CN.md': SOUND.replace('title: Demo', 'title: 演示') })
    const { stdout } = await run('list', '--json', '--lang', 'zh-CN')
    const entries = JSON.parse(stdout) as { id: string }[]
    expect(entries.find(({ id }) => id === 'demo')).toEqual({
      id: 'demo',
      languages: ['en', 'zh-CN'],
      file: join(dir, 'demo.md'),
      title: '演示',
      severity: 'high',
      owner: 'platform team',
      mode: 'read-do',
      subject: [],
      lastTested: '2026-11-01',
      params: [
        { name: 'host', type: 'host', description: 'Where', required: false, default: 'local' },
        { name: 'mount', type: 'path', description: '', required: true },
      ],
    })
  })
})

describe('runbook show', () => {
  it('reads like the page, with what each item runs', async () => {
    const { run, dir } = await shelf({ 'demo.md': SOUND })
    const { stdout, exitCode } = await run('show', 'demo')
    expect(exitCode).toBe(0)
    expect(stdout).toBe(`Demo
demo · high · read-do · platform team · last tested 2026-11-01
${dir}/demo.md

Params
  host   host, default local. Where
  mount  path, must be given

Roles
  lead  decides

1  Look

  1.1  [ ] Look at {{mount}}
       $ df -h '{{mount}}'
         on {{host}} · at most 1 min
       verify $ true
                on {{host}} · at most 1 min · must say "ok" · within 5 s
       look · only looks

next: npx zx scripts/runbook.ts start demo --param mount=…
`)
  })

  it('in another language, as JSON, and nothing that moves the cursor', async () => {
    const hostile = page('- [ ] \u001b[2Jx').replace('title: Demo', 'title: 演示')
    const { run } = await shelf({ 'demo.md': SOUND, 'demo.zh-CN.md': hostile })
    const shown = await run('show', 'demo', '--lang', 'zh-CN')
    expect(shown.stdout).toContain('演示')
    expect(shown.stdout).not.toContain('\u001b')
    const json = JSON.parse((await run('show', 'demo', '--json')).stdout) as object
    expect(json).toMatchObject({ id: 'demo', phases: [{ steps: [{ id: 'look', readOnly: true }] }] })
  })

  it.each([
    ['a mistyped id', ['show', 'demmo'], 64, 'error: there is no runbook "demmo"\n  next: Did you mean "demo"?\n'],
    ['a broken one', ['show', 'broken'], 78, 'error: broken.md:1:1: the front matter is missing\n'],
  ])('%s', async (_, args, exitCode, message) => {
    const { run } = await shelf({ 'demo.md': SOUND, 'broken.md': '# x\n' })
    const ran = await run(...args)
    expect(ran.stderr).toContain(message)
    expect(ran.exitCode).toBe(exitCode)
  })
})

describe('runbook lint', () => {
  it('tells every mistake with its place, and 78', async () => {
    const { run } = await shelf({ 'demo.md': SOUND.replace('read_only: yes', 'raed_only: yes') })
    const { stdout, exitCode } = await run('lint', 'demo.md')
    expect(stdout).toBe(
      '1 mistake, 0 warnings in 1 file\ndemo.md:21:3: raed_only: unknown key; did you mean "read_only"?\n',
    )
    expect(exitCode).toBe(78)
  })

  it('warns without failing, of a host that opskit.yaml does not have', async () => {
    const { run } = await shelf({ 'demo.md': SOUND.replace('"{{host}}"', 'web-2').replace('Do it', '{{host}}') })
    const { stdout, exitCode } = await run('lint', 'demo')
    expect(stdout).toContain('demo.md:20:7: warning: opskit.yaml has no host "web-2"\n  next: Did you mean "web-1"?')
    expect(exitCode).toBe(0)
  })

  it('judges a translation beside its original, whichever of the two is named', async () => {
    const { run, dir } = await shelf({ 'demo.md': SOUND, 'demo.zh-CN.md': SOUND.replace('-h', '-H') })
    for (const name of ['demo.md', 'demo.zh-CN.md', dir]) {
      const { stdout, exitCode } = await run('lint', name)
      expect(stdout).toContain('demo.zh-CN.md:19:8: run is not that of item 1.1 of the original')
      expect(exitCode).toBe(78)
    }
  })

  it('as JSON is one document', async () => {
    const { run, dir } = await shelf({ 'demo.md': page('- [x] x') })
    const { stdout, exitCode } = await run('lint', '--json', 'demo')
    expect(exitCode).toBe(0)
    expect(JSON.parse(stdout)).toEqual({
      valid: true,
      ...{ files: 1, errors: 0, warnings: 1 },
      complaints: [
        {
          ...{ file: join(dir, 'demo.md'), line: 13, column: 1, severity: 'warning' },
          ...{ message: 'this item is ticked in the file', hint: 'Write "- [ ] ".' },
        },
      ],
    })
  })
})

describe('runbook schema', () => {
  let schema: { $defs: Record<string, { properties: Record<string, unknown>; additionalProperties: boolean }> }

  beforeAll(async () => {
    schema = JSON.parse((await opskit('runbook', ['schema'])).stdout) as typeof schema
  })

  it('names the keys of front matter and blocks, and refuses others', () => {
    expect(Object.keys(schema.$defs['front']?.properties ?? {})).toEqual([
      ...['id', 'title', 'severity', 'owner', 'last_tested', 'mode', 'subject', 'params', 'roles', 'timers'],
    ])
    expect(Object.keys(schema.$defs['block']?.properties ?? {})).toEqual([
      ...['id', 'run', 'action', 'params', 'on', 'timeout', 'verify', 'rollback', 'when', 'needs', 'confirm'],
      ...['retries', 'approve', 'evidence', 'irreversible', 'read_only', 'informs', 'marks'],
    ])
    expect(Object.values(schema.$defs).map((one) => one.additionalProperties)).toEqual([false, false])
  })
})
