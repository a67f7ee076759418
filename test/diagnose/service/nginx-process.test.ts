/** Which master is meant, what not running means, what differs between disk and memory, and what `nginx -t` says. */
import { describe, expect, it } from 'vitest'
import type { Argv, HostReader } from '../../../scripts/lib/host/types.ts'
import { decideNginxConfig, readNginxConfigTest } from '../../../scripts/lib/diagnose/service/nginx/config-test.ts'
import { instanceFrom, parseMachine } from '../../../scripts/lib/diagnose/service/nginx/instance.ts'
import { decideNginxProcess, type NginxProcessFacts } from '../../../scripts/lib/diagnose/service/nginx/process.ts'
import type { ProcessFacts } from '../../../scripts/lib/diagnose/service/processes.ts'

const NOW = Date.UTC(2026, 10, 20)
const HOUR = 3_600_000

function processOf(pid: number, command: string, more: Partial<ProcessFacts> = {}): ProcessFacts {
  return {
    pid,
    parentPid: 1,
    name: 'nginx',
    command: `nginx: ${command}`,
    startedAtMs: NOW - 10 * HOUR,
    contained: false,
    ...more,
  }
}

const MASTER = processOf(10, 'master process /usr/sbin/nginx -g daemon on; master_process on;')
const WORKER = processOf(11, 'worker process', { parentPid: 10 })
const NO_FACTS = {
  binary: { path: '/usr/sbin/nginx', changedAtMs: 0 },
  configs: ['/etc/nginx/nginx.conf'],
  asRoot: true,
  zoneOffsetMinutes: undefined,
}

const instanceOf = (processes: readonly ProcessFacts[], choice: { config?: string } = {}) =>
  instanceFrom({ ...NO_FACTS, processes }, { binary: 'nginx', ...choice })

function decide(processes: readonly ProcessFacts[], more: Partial<NginxProcessFacts> = {}) {
  const config = { files: [], unreadable: [], directives: [] }
  return decideNginxProcess({
    instance: instanceOf(processes),
    config,
    pidFile: undefined,
    expected: false,
    now: NOW,
    ...more,
  })
}

describe('the nginx that is looked at', () => {
  const other = processOf(20, 'master process nginx -p /srv/x -c conf/nginx.conf')

  it.each<[string, ProcessFacts[], { config?: string }, number | undefined, string, string]>([
    ['the one with the built-in configuration', [other, MASTER], {}, 10, '/etc/nginx/nginx.conf', '/usr/share/nginx'],
    ['the only one there is', [other], {}, 20, '/srv/x/conf/nginx.conf', '/srv/x'],
    [
      'the one that runs the configured file',
      [MASTER, other],
      { config: '/srv/x/conf/nginx.conf' },
      20,
      '/srv/x/conf/nginx.conf',
      '/srv/x',
    ],
    [
      'none, when none runs the configured file',
      [MASTER],
      { config: '/a/conf/nginx.conf' },
      undefined,
      '/a/conf/nginx.conf',
      '/a',
    ],
    [
      'none, when all run in containers',
      [{ ...MASTER, contained: true }],
      {},
      undefined,
      '/etc/nginx/nginx.conf',
      '/usr/share/nginx',
    ],
  ])('is %s', (_, ...row) => {
    const [processes, choice, pid, config, prefix] = row
    const instance = instanceOf(processes, choice)
    expect(instance.master?.pid).toBe(pid)
    expect(instance).toMatchObject({ config, prefix })
  })

  it('is read from what the scripts print on another machine', () => {
    const stat = (pid: number, parent: number) => `process ${pid} (nginx) S ${parent} ${'0 '.repeat(17)}500 0 0`
    const output = [
      'boot 1000',
      stat(10, 1),
      'nspid 10',
      'command nginx: master process nginx',
      stat(11, 10),
      'nspid 11 7',
      'command nginx: worker process',
      'uid 0',
      'zone +0530',
      'binary 77 /usr/sbin/nginx',
      'config /etc/nginx/nginx.conf',
      '',
    ].join('\n')
    expect(parseMachine(output)).toEqual({
      processes: [
        {
          pid: 10,
          parentPid: 1,
          name: 'nginx',
          command: 'nginx: master process nginx',
          startedAtMs: 1_005_000,
          contained: false,
        },
        {
          pid: 11,
          parentPid: 10,
          name: 'nginx',
          command: 'nginx: worker process',
          startedAtMs: 1_005_000,
          contained: true,
        },
      ],
      binary: { path: '/usr/sbin/nginx', changedAtMs: 77_000 },
      configs: ['/etc/nginx/nginx.conf'],
      asRoot: true,
      zoneOffsetMinutes: 330,
    })
  })
})

describe('nginx.process', () => {
  it.each([
    ['only installed', {}, 'warning', 'nginx is installed but not running'],
    ['expected by the operator', { expected: true }, 'critical', 'nginx is not running'],
    ['gone with its pid file left behind', { pidFile: { path: '/run/nginx.pid', pid: 9 } }, 'critical', 'nginx died'],
  ])('not running, %s', (_, facts, severity, title) => {
    expect(decide([], facts)).toMatchObject([{ check: 'nginx.process', severity, title }])
  })

  it('is critical without a worker that serves', () => {
    expect(decide([MASTER])).toMatchObject([{ severity: 'critical' }])
    expect(decide([MASTER, { ...WORKER, command: 'nginx: worker process is shutting down' }])).toMatchObject([
      { severity: 'critical' },
    ])
  })

  it('is fine when master and workers run what is on disk', () => {
    expect(decide([MASTER, WORKER])).toMatchObject([{ severity: 'ok', evidence: 'master pid 10 for 10 h, 1 workers' }])
  })

  it('warns when a configuration file is newer than the newest worker, and not when it is as old', () => {
    const at = (modifiedAtMs: number) => ({
      config: { files: [{ path: '/etc/nginx/x', modifiedAtMs, directives: [] }], unreadable: [], directives: [] },
    })
    expect(decide([MASTER, WORKER], at(NOW - HOUR))[1]).toMatchObject({
      severity: 'warning',
      evidence: '/etc/nginx/x changed 1 h ago, newest worker started 10 h ago',
    })
    expect(decide([MASTER, WORKER], at(WORKER.startedAtMs + 1000))).toHaveLength(1)
  })

  it('warns when the program was replaced after the master started', () => {
    const instance = { ...instanceOf([MASTER, WORKER]), binary: { path: '/usr/sbin/nginx', changedAtMs: NOW - HOUR } }
    expect(decide([], { instance })[1]).toMatchObject({
      severity: 'warning',
      title: 'nginx runs an older program than the one on disk',
    })
  })

  it.each([
    [2 * HOUR, 1],
    [HOUR / 2, 0],
  ])('with old workers %d ms after a reload gives %d warnings', (sinceMs, warnings) => {
    const old = processOf(12, 'worker process is shutting down', { parentPid: 10 })
    const findings = decide([MASTER, old, { ...WORKER, startedAtMs: NOW - sinceMs }])
    expect(findings.filter(({ subject }) => subject === 'old workers')).toHaveLength(warnings)
  })
})

describe('nginx.config', () => {
  it.each([
    [undefined, ['/usr/sbin/nginx', '-t', '-c', '/x/nginx.conf']],
    ['/srv/x', ['/usr/sbin/nginx', '-t', '-c', '/x/nginx.conf', '-p', '/srv/x']],
  ])('is tested with the prefix of the running master: %s', async (prefix, argv) => {
    const host = { read: async (asked: Argv) => ({ argv: asked, exitCode: 0, stderr: '' }) } as unknown as HostReader
    const options = { timeoutMs: 1000, signal: AbortSignal.timeout(1000) }
    const question = { binary: '/usr/sbin/nginx', config: '/x/nginx.conf', prefix }
    expect((await readNginxConfigTest(host, question, options)).argv).toEqual(argv)
  })

  const test = (exitCode: number, stderr: string, asRoot = true) =>
    decideNginxConfig({ argv: ['nginx', '-t', '-c', '/x y'], exitCode, stderr }, asRoot)[0]
  const denied =
    'nginx: [alert] could not open error log file: open() "/e" failed (13: Permission denied)\n2026/11/20 23:00:00 [emerg] 7#7: open() "/k" failed (13: Permission denied)\n'

  it.each<[string, number, string, boolean, object]>([
    ['accepted', 0, 'nginx: the configuration file /x syntax is ok\n', true, { severity: 'ok' }],
    [
      'refused, with the place',
      1,
      'nginx: [emerg] unknown directive "foo" in /x:3\nnginx: configuration file /x test failed\n',
      true,
      { severity: 'critical', evidence: 'unknown directive "foo" in /x:3', next: "nginx -t -c '/x y'" },
    ],
    [
      'accepted with a warning',
      0,
      'nginx: [warn] conflicting server name "a" on 0.0.0.0:80, ignored\n',
      true,
      { severity: 'warning' },
    ],
    [
      'the warning about not being root',
      0,
      'nginx: [warn] the "user" directive makes sense only if the master process runs with super-user privileges, ignored in /x:1\n',
      false,
      { severity: 'ok' },
    ],
    ['not permitted', 1, denied, false, { severity: 'skipped' }],
    ['not permitted even as root', 1, denied, true, { severity: 'critical' }],
    ['wrong and not root', 1, 'nginx: [emerg] unexpected "}" in /x:9\n', false, { severity: 'critical' }],
    ['refused without a word', 139, '', true, { severity: 'critical', evidence: 'exit status 139' }],
  ])('%s', (_, ...row) => {
    const [exitCode, stderr, asRoot, expected] = row
    expect(test(exitCode, stderr, asRoot)).toMatchObject(expected)
  })
})
