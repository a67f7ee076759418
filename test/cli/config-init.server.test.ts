/** `config` and `init`, run as operators run them. */
import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { lookAtMachine } from '../../scripts/lib/cli/init-look.ts'
import { validateConfig } from '../../scripts/lib/config/validate.ts'
import type { Argv, Host, RunResult } from '../../scripts/lib/host/types.ts'
import { startNginx } from '../support/nginx.ts'
import { opskit } from '../support/opskit.ts'
import { createPlainHost } from '../support/plain-host.ts'
import { tempDir } from '../support/temp.ts'

const NO_SYSTEM_CONFIG = { OPSKIT_CONFIG: '' }

async function dirWith(text: string): Promise<string> {
  const cwd = await tempDir('cli')
  await writeFile(join(cwd, 'opskit.yaml'), text)
  return cwd
}

const run = (command: string, args: readonly string[], cwd: string) =>
  opskit(command, args, { cwd, env: NO_SYSTEM_CONFIG })

describe('config check', () => {
  it('says that a right file is right, and which secrets are missing', async () => {
    const cwd = await dirWith('hosts: { a: { ssh: { host: h, password: { env: NOT_SET_HERE } } } }\n')
    const ran = await run('config', ['check'], cwd)
    expect(ran).toMatchObject({ exitCode: 0, stdout: `${cwd}/opskit.yaml: no mistakes found\n` })
    expect(ran.stderr).toBe('warning: the secret env:NOT_SET_HERE is not set\n')
  })

  it('ends with 78 and names every mistake at its place', async () => {
    const ran = await run('config', ['check'], await dirWith('hots: {}\nnaem: x\n'))
    expect(ran).toMatchObject({ exitCode: 78, stdout: '' })
    expect(ran.stderr).toMatch(
      /^error: opskit\.yaml:1:1: hots: unknown key; did you mean "hosts"\?\nopskit\.yaml:2:1: naem/,
    )
  })

  it('answers in one JSON document, right or wrong', async () => {
    const wrong = await run('config', ['check', '--json'], await dirWith('naem: x\n'))
    expect(wrong.exitCode).toBe(78)
    expect(JSON.parse(wrong.stdout)).toMatchObject({
      valid: false,
      problems: [{ place: 'opskit.yaml:1:1', message: 'naem: unknown key; did you mean "name"?' }],
    })
    const right = await run('config', ['check', '--json'], await dirWith('name: x\n'))
    expect(JSON.parse(right.stdout)).toMatchObject({ valid: true, problems: [] })
  })

  it('ends with 78 for a named file that is missing', async () => {
    const ran = await run('config', ['check', 'nope.yaml'], await tempDir())
    expect(ran.exitCode).toBe(78)
    expect(ran.stderr).toContain('nope.yaml: no such file')
  })
})

describe('config show and schema', () => {
  it('shows what holds, secrets as references', async () => {
    const cwd = await dirWith('hosts: { a: { ssh: { host: h, password: { env: PW } } } }\n')
    const ran = await run('config', ['show'], cwd)
    expect(ran.exitCode).toBe(0)
    expect(validateConfig(ran.stdout, 'shown').hosts['a']).toMatchObject({ ssh: { password: { env: 'PW' } } })
  })

  it('prints a JSON Schema', async () => {
    const ran = await run('config', ['schema'], await tempDir())
    expect(JSON.parse(ran.stdout)).toMatchObject({ title: 'opskit.yaml', type: 'object' })
  })
})

describe('init', () => {
  it('writes a file that is right, mode 640, and refuses to replace it without --force', async () => {
    const cwd = await tempDir('init')
    const first = await run('init', ['--yes'], cwd)
    expect(first).toMatchObject({ exitCode: 0, stderr: '' })
    expect(first.stdout).toMatch(/^opskit\.yaml is written: /)
    const path = join(cwd, 'opskit.yaml')
    expect((await stat(path)).mode & 0o777).toBe(0o640)
    expect((await run('config', ['check'], cwd)).exitCode).toBe(0)

    await writeFile(path, 'name: mine\n')
    const second = await run('init', ['--yes'], cwd)
    expect(second.exitCode).toBe(73)
    expect(second.stderr).toContain('--force')
    expect(await readFile(path, 'utf8')).toBe('name: mine\n')

    expect((await run('init', ['--yes', '--force'], cwd)).exitCode).toBe(0)
    expect(await readFile(path, 'utf8')).toContain('version: 1')
  })

  it('never waits for an answer without a terminal: it names --yes', async () => {
    const cwd = await tempDir('init')
    const ran = await run('init', [], cwd)
    expect(ran.exitCode).toBe(64)
    expect(ran.stderr).toContain('--yes')
    await expect(stat(join(cwd, 'opskit.yaml'))).rejects.toThrow()
  })

  it.each([['--dry-run'], ['--output=-']])('prints and writes nothing with %s', async (flag) => {
    const cwd = await tempDir('init')
    const ran = await run('init', [flag], cwd)
    expect(ran.exitCode).toBe(0)
    expect(validateConfig(ran.stdout, 'printed').version).toBe(1)
    await expect(stat(join(cwd, 'opskit.yaml'))).rejects.toThrow()
  })

  it('says where it may not write', async () => {
    const ran = await run('init', ['--yes', '--output', 'no/such/dir/opskit.yaml'], await tempDir('init'))
    expect(ran.exitCode).toBe(73)
  })
})

describe('the look at a machine', () => {
  it('sees what listens and nginx with its sites, and says what it could not look at', async () => {
    const nginx = await startNginx()
    onTestFinished(() => nginx.stop())
    const seen = await lookAtMachine(recordingHost({}).host, AbortSignal.timeout(20_000))
    expect(seen.hostname).not.toBe('')
    expect(seen.nginx?.config).toMatch(/^\//)
    expect(seen.notes.join('\n')).toContain('systemd units')
    expect(seen.ports.every(({ port }) => port < 32_768)).toBe(true)
  })

  it('takes units that are enabled and running, templates too, and none of the system itself', async () => {
    const { host, asked } = recordingHost({
      'list-units':
        'nginx.service loaded active running A\npostgresql@15-main.service loaded active running B\nsystemd-logind.service loaded active running C\nadhoc.service loaded active running D\n',
      'list-unit-files':
        'nginx.service enabled enabled\npostgresql@.service enabled enabled\nsystemd-logind.service enabled enabled\n',
    })
    const seen = await lookAtMachine(host, AbortSignal.timeout(20_000))
    expect(seen.units).toEqual(['nginx.service', 'postgresql@15-main.service'])
    const changing = /^(?:list-units|list-unit-files)$/
    expect(asked.filter(([program]) => program === 'systemctl').every(([, verb]) => changing.test(verb ?? ''))).toBe(
      true,
    )
  })
})

/** This machine, but for systemctl, whose answers are given; it keeps what was asked. */
function recordingHost(systemctl: Readonly<Record<string, string>>): { host: Host; asked: Argv[] } {
  const asked: Argv[] = []
  const plain = createPlainHost()
  const read = async (argv: Argv): Promise<RunResult> => {
    asked.push(argv)
    if (argv[0] !== 'systemctl') return plain.read(argv)
    const stdout = systemctl[argv[1] ?? '']
    const exitCode = stdout === undefined ? 1 : 0
    return { argv, exitCode, stdout: stdout ?? '', stderr: 'not booted with systemd', durationMs: 1, truncated: false }
  }
  return { host: { ...plain, read } as Host, asked }
}
