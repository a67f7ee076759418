/** `failover` as operators run it: real commands against real servers, one process after the other. */
import { access, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { commandFor } from '../../scripts/lib/cli/failover-child.ts'
import { parseInstance } from '../../scripts/lib/resilience/index.ts'
import { opskit } from '../support/opskit.ts'
import { freePort } from '../support/ports.ts'
import { startHttpServer, startSilentServer, type BadServer } from '../support/tcp.ts'
import { tempDir } from '../support/temp.ts'
import { waitFor } from '../support/wait.ts'

let good: BadServer
let silent: BadServer
let dead: string

beforeAll(async () => {
  ;[good, silent] = await Promise.all([startHttpServer('hello\n'), startSilentServer()])
  dead = `127.0.0.1:${await freePort()}`
})
afterAll(() => Promise.all([good.close(), silent.close()]))

const CURL = ['--', 'curl', '-sS', '-f', 'http://{instance}/'] as const
const sh = (script: string) => ['--', 'sh', '-c', script, 'name', '{instance}', '{host}', '{port}']

const call = (flags: readonly string[], command: readonly string[] = CURL) =>
  opskit('failover', ['call', ...flags, ...command])
const callNow = (flags: readonly string[], command?: readonly string[]) => call(['--no-state', ...flags], command)

describe('failover call', () => {
  it('goes on to the next instance and prints what the winner printed, and nothing else', async () => {
    const ran = await callNow(['--instances', `${dead},${good.address}`])
    expect([ran.exitCode, ran.stdout]).toEqual([0, 'hello\n'])
    expect(ran.stderr).toContain(`answered by ${good.address}; failed before: ${dead}`)
  })

  it('prints nothing of an attempt that failed half-way', async () => {
    const script = 'echo "partial of $1"; [ "$1" = b:2 ]'
    const ran = await callNow(['--instances', 'a:1,b:2', '--idempotent'], sh(script))
    expect([ran.exitCode, ran.stdout]).toEqual([0, 'partial of b:2\n'])
  })

  it('does not repeat what may have reached a server unless it is idempotent', async () => {
    const dir = await tempDir('call')
    const script = `echo "$1" >> ${dir}/calls; exit 3`
    const once = await callNow(['--instances', 'a:1,b:2', '--wait', '1ms'], sh(script))
    expect([once.exitCode, await readFile(join(dir, 'calls'), 'utf8')]).toEqual([3, 'a:1\n'])
    expect(once.stderr).toContain('it may have reached the server and is not idempotent')
    const often = await callNow(
      ['--instances', 'a:1,b:2', '--wait', '1ms', '--idempotent', '--retries', '2'],
      sh(script),
    )
    expect([often.exitCode, await readFile(join(dir, 'calls'), 'utf8')]).toEqual([3, 'a:1\na:1\nb:2\na:1\n'])
  })

  it('takes an exit status for an answer when told so, with its output', async () => {
    const ran = await callNow(
      ['--instances', 'a:1,b:2', '--idempotent', '--answer', '3,4'],
      sh('echo "no such row"; exit 4'),
    )
    expect([ran.exitCode, ran.stdout]).toEqual([4, 'no such row\n'])
  })

  it('stops a command that hangs, with all that it started, and goes on', async () => {
    const dir = await tempDir('call')
    const script = `[ "$1" = b:2 ] && echo fine && exit; sleep 600 & echo $! > ${dir}/grandchild; wait`
    const ran = await callNow(['--instances', 'a:1,b:2', '--idempotent', '--timeout', '500ms'], sh(script))
    expect([ran.exitCode, ran.stdout]).toEqual([0, 'fine\n'])
    expect(await isAlive(join(dir, 'grandchild'))).toBe(false)
  })

  it('kills a command that ignores SIGTERM', async () => {
    const dir = await tempDir('call')
    const script = `trap '' TERM; echo $$ > ${dir}/child; while :; do sleep 0.1; done`
    const ran = await callNow(['--instances', 'a:1', '--timeout', '300ms'], sh(script))
    expect(ran.exitCode).toBe(69)
    expect(ran.stderr).toContain('no answer within 300 ms')
    expect(await isAlive(join(dir, 'child'))).toBe(false)
  })

  it('is answered by the backup when the first is silent and a hedge was asked for', async () => {
    const ran = await callNow(['--instances', `${silent.address},${good.address}`, '--idempotent', '--hedge', '200ms'])
    expect([ran.exitCode, ran.stdout]).toEqual([0, 'hello\n'])
    expect(ran.stderr).toContain(`answered by ${good.address}`)
  })

  it('ends with 130 and leaves no child behind when it is interrupted', async () => {
    const dir = await tempDir('call')
    const pidFile = join(dir, 'child')
    const ran = await opskit(
      'failover',
      ['call', '--no-state', '--instances', 'a:1', '--timeout', '60s', ...sh(`echo $$ > ${pidFile}; sleep 600`)],
      { onStart: (pid) => void exists(pidFile).then(() => process.kill(pid, 'SIGINT')) },
    )
    expect(ran.exitCode).toBe(130)
    expect(await isAlive(pidFile)).toBe(false)
  })

  it.each<[string, number, string, readonly string[], readonly string[]]>([
    ['an instance that is no address', 64, 'is not an address', ['--instances', 'a b'], CURL],
    ['the same instance twice', 64, 'a:1 is named twice', ['--instances', 'a:1,a:1'], CURL],
    ['no instances', 64, '--instances', [], CURL],
    ['a port that is wanted and not there', 64, 'names no port', ['--instances', 'web-1'], ['--', 'echo', '{port}']],
    ['no command', 64, "missing required argument 'command'", ['--instances', 'a:1'], []],
    [
      'a command that is not there',
      69,
      'cannot run "no-such-program"',
      ['--instances', 'a:1'],
      ['--', 'no-such-program'],
    ],
    ['a wrong flag', 64, 'Did you mean --retries?', ['--instances', 'a:1', '--retrie', '3'], CURL],
    ['a number that is none', 64, 'It must be a whole number', ['--instances', 'a:1', '--retries', 'many'], CURL],
  ])('says what is wrong with %s', async (...[, exitCode, message, flags, command]) => {
    const ran = await callNow(flags, command)
    expect([ran.exitCode, ran.stdout]).toEqual([exitCode, ''])
    expect(ran.stderr).toContain(message)
  })
})

describe('what calls have learnt', () => {
  it('keeps a breaker open in the next shell, and is shown by `metrics`', async () => {
    const state = join(await tempDir('state'), 'failover.db')
    const flags = [
      '--state',
      state,
      '--instances',
      dead,
      '--retries',
      '0',
      '--breaker-threshold',
      '2',
      '--breaker-timeout',
      '10m',
    ]
    for (let i = 0; i < 2; i += 1) expect((await call(flags)).exitCode).toBe(7)
    const refused = await call(flags, sh('echo was called'))
    expect([refused.exitCode, refused.stdout]).toEqual([69, ''])
    expect(refused.stderr).toContain(`no instance can be called: ${dead} has its breaker open`)

    const metrics = await opskit('failover', ['metrics', '--state', state])
    expect(metrics.exitCode).toBe(0)
    expect(metrics.stdout).toContain(`opskit_failover_breaker_state{instance="${dead}",state="open"} 1\n`)
    expect(metrics.stdout).toContain(`opskit_failover_attempts_total{instance="${dead}",outcome="failure"} 2\n`)
    expect(metrics.stdout).toContain('opskit_failover_calls_total{service="shell",outcome="failure"} 3\n')
  })

  it('is not lost by shells that run side by side', async () => {
    const state = join(await tempDir('state'), 'failover.db')
    await Promise.all(Array.from({ length: 6 }, () => call(['--state', state, '--instances', 'a:1'], ['--', 'true'])))
    const { stdout } = await opskit('failover', ['metrics', '--state', state])
    expect(stdout).toContain('opskit_failover_attempts_total{instance="a:1",outcome="success"} 6\n')
  })

  it.each<[string, string]>([
    ['no database', 'this is not a database, it is a text that is longer than a header of one would be'.repeat(20)],
    ['a directory that cannot be', '/dev/null/x'],
  ])('does not stop a call when it cannot be kept: %s', async (...[, content]) => {
    const path = content.startsWith('/') ? content : join(await tempDir('state'), 'failover.db')
    if (path !== content) await writeFile(path, content)
    const ran = await call(['--state', path, '--instances', good.address])
    expect([ran.exitCode, ran.stdout]).toEqual([0, 'hello\n'])
    expect(ran.stderr).toContain('warning: breakers do not hold over this call')
  })

  it('is nothing at first', async () => {
    const ran = await opskit('failover', ['metrics', '--state', join(await tempDir('state'), 'failover.db')])
    expect([ran.exitCode, ran.stdout]).toEqual([0, ''])
  })
})

describe('failover probe', () => {
  it.each<[number, () => string[]]>([
    [0, () => [good.address, `http://${good.address}/health`]],
    [1, () => [good.address, dead]],
    [2, () => [dead, `http://${silent.address}/`]],
  ])('exits with %i by how many answer', async (exitCode, instances) => {
    const ran = await opskit('failover', ['probe', '--timeout', '500ms', '--instances', instances().join(',')])
    expect(ran.exitCode).toBe(exitCode)
    for (const instance of instances()) expect(ran.stdout).toContain(instance)
  })

  it('says why, as a table and as JSON', async () => {
    const args = ['probe', '--timeout', '500ms', '--instances', `${dead},http://${silent.address}/`]
    const table = await opskit('failover', args)
    expect(table.stdout).toMatch(/fail .*connection refused\n.*fail .*no answer within 500 ms/)
    const json = await opskit('failover', [...args, '--json'])
    expect(JSON.parse(json.stdout)).toEqual([
      { instance: dead, outcome: 'fail', because: 'connection refused' },
      { instance: `http://${silent.address}/`, outcome: 'fail', because: 'no answer within 500 ms' },
    ])
  })

  it('refuses what it cannot look at', async () => {
    const ran = await opskit('failover', ['probe', '--instances', 'ftp://example.com/'])
    expect([ran.exitCode, ran.stderr]).toEqual([64, expect.stringContaining('cannot be probed')])
  })
})

describe('the command for one instance', () => {
  it.each<[string, readonly [string, ...string[]], string, string[]]>([
    [
      'replaces inside arguments',
      ['c', '{host}', 'p={port}', '{instance}'],
      'a.example.com:80',
      ['c', 'a.example.com', 'p=80', 'a.example.com:80'],
    ],
    [
      'puts an IPv6 host into brackets in a URL only',
      ['c', '{host}', 'http://{host}:{port}/'],
      '[2001:db8::1]:80',
      ['c', '2001:db8::1', 'http://[2001:db8::1]:80/'],
    ],
    [
      'leaves other braces alone',
      ['c', '{"json":{"host":1}}', '%{http_code}'],
      'a:1',
      ['c', '{"json":{"host":1}}', '%{http_code}'],
    ],
    ['never replaces the program', ['{host}'], 'a:1', ['{host}']],
  ])('%s', (...[, argv, instance, expected]) => {
    expect(commandFor(argv, parseInstance(instance))).toEqual(expected)
  })
})

async function exists(path: string): Promise<void> {
  await waitFor(path, () => readFile(path, 'utf8').then((text) => text.trim() !== ''))
}

async function isAlive(pidFile: string): Promise<boolean> {
  const pid = (await readFile(pidFile, 'utf8')).trim()
  const status = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '')
  if (status === '' || / [ZX] /.test(status)) return false
  return access(`/proc/${pid}`).then(
    () => true,
    () => false,
  )
}
