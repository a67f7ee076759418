/** The nginx check against a real nginx: traffic that fails, a broken configuration, drift, a crash, hostile logs. */
import { execFileSync } from 'node:child_process'
import { appendFile, readFile, rename, symlink, utimes, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { nginxCheck } from '../../../scripts/lib/diagnose/service/nginx/check.ts'
import type { CheckFinding } from '../../../scripts/lib/diagnose/types.ts'
import { openLocalHost } from '../../../scripts/lib/host/local.ts'
import type { HostReader } from '../../../scripts/lib/host/types.ts'
import { startNginx, type TestNginx } from '../../support/nginx.ts'
import { createPlainHost } from '../../support/plain-host.ts'
import { freePort } from '../../support/ports.ts'
import { makeTempDir, tempDir } from '../../support/temp.ts'
import { waitFor } from '../../support/wait.ts'
import { contextOf } from './support.ts'

const LOCAL = openLocalHost()
const REMOTE = createPlainHost({ name: 'web-1', kind: 'ssh' })
const HOSTS = [
  ['this machine', LOCAL],
  ['another machine', REMOTE],
] as const

async function diagnose(nginx: { config: string }, host: HostReader = LOCAL, diagnose: object = {}) {
  const { findings } = await nginxCheck.run(contextOf(host, { nginx: { config: nginx.config }, ...diagnose }))
  const of = (check: string) => findings.filter((finding) => finding.check === check)
  return { findings, of, one: (check: string) => of(check)[0] as CheckFinding }
}

async function request(url: string, times = 1): Promise<void> {
  for (let count = 0; count < times; count += 1) await (await fetch(url)).arrayBuffer()
}

describe('nginx with traffic', () => {
  let nginx: TestNginx
  let app: Server
  let refusing: number

  beforeAll(async () => {
    refusing = await freePort()
    const appPort = await freePort()
    app = createServer((req, res) => {
      if (req.url?.startsWith('/app/slow')) setTimeout(() => res.end('late'), 300)
      else res.writeHead(500).end('<b>oops</b>')
    }).listen(appPort, '127.0.0.1')
    nginx = await startNginx({
      http: `log_format timed '$remote_addr [$time_local] "$request" $status "$http_user_agent" $request_time $upstream_response_time';`,
      format: 'timed',
      server: `location /ok { return 200 "fine"; }
        location /app { proxy_pass http://127.0.0.1:${appPort}; }
        location /dead { proxy_pass http://127.0.0.1:${refusing}; }`,
    })
    await request(`${nginx.url}/ok`, 20)
    await request(`${nginx.url}/dead/orders?token=s3cret`, 12)
    await request(`${nginx.url}/app/fail`, 2)
    await Promise.all(Array.from({ length: 4 }, () => request(`${nginx.url}/app/slow`)))
  })
  afterAll(async () => {
    await nginx.stop()
    app.close()
  })

  it.each(HOSTS)('names what fails, on %s', async (_, host) => {
    const { one, findings } = await diagnose(nginx, host)
    expect(one('nginx.process')).toMatchObject({ severity: 'ok', title: 'nginx runs' })
    expect(one('nginx.process').evidence).toContain(`master pid ${nginx.process.pid}`)
    expect(one('nginx.config')).toMatchObject({ severity: 'ok' })
    expect(one('nginx.access')).toMatchObject({
      severity: 'critical',
      title: '36.8 % of the requests fail',
      cause: 'an upstream refuses or drops connections: nginx.errors names it',
      lines: ['12× 502 /dead/orders', '2× 500 /app/fail'],
    })
    expect(one('nginx.errors')).toMatchObject({
      severity: 'warning',
      title: `nginx cannot use the upstream 127.0.0.1:${refusing}`,
      cause: 'the upstream is not running, or listens on another address or port',
    })
    expect(one('nginx.errors').lines?.[0]).toMatch(
      /^12× \[error\] connect\(\) failed \(111: .*server test\.example\.com\)$/,
    )
    const p95 = one('nginx.access').measures?.find(({ label }) => label === 'nginx p95')
    expect(p95?.value).toBeGreaterThanOrEqual(250)
    expect(JSON.stringify(findings)).not.toContain('s3cret')
  })

  it('looks into the rotated log right after a rotation', async () => {
    await rename(nginx.accessLog, `${nginx.accessLog}.1`)
    nginx.process.kill('SIGUSR1')
    // The worker follows the master's signal in its own time; until then it writes to the old file.
    await waitFor('a request in the new log', async () => {
      await request(`${nginx.url}/ok`)
      return (await readFile(nginx.accessLog, 'utf8')).includes('/ok')
    })
    expect((await diagnose(nginx)).one('nginx.access').evidence).toMatch(/^14 of \d\d requests/)
  })

  it('reports drift, then the refused configuration with its place', async () => {
    const site = join(nginx.directory, 'conf.d/site.conf')
    const soon = new Date(Date.now() + 60_000)
    await utimes(site, soon, soon)
    expect((await diagnose(nginx)).of('nginx.process')[1]).toMatchObject({
      severity: 'warning',
      title: 'nginx runs an older configuration than the one on disk',
    })
    await appendFile(site, 'no_such_directive on;\n')
    expect((await diagnose(nginx)).one('nginx.config')).toMatchObject({
      severity: 'critical',
      evidence: `unknown directive "no_such_directive" in ${site}:${(await readFile(site, 'utf8')).split('\n').length - 1}`,
    })
  })

  it('hands hostile log text on without choking', async () => {
    const log = join(await tempDir('hostile'), 'access.log')
    const hostile = `\x1b[31m<script>alert(1)</script>\u202e ${'A'.repeat(3_000_000)}\n\0\0\0\n"\n[\n`
    const time = '01/Jan/2030:00:00:00 +0000'
    const line = `192.0.2.1 - - [${time}] "GET /<img%20src=x>\x1b[2J HTTP/1.1" 500 1 "-" "<b>\x1b]0;x\x07"\n`
    await writeFile(log, hostile + line.repeat(30))
    const { one } = await diagnose(nginx, LOCAL, { nginx: { config: nginx.config, access_log: log } })
    expect(one('nginx.access')).toMatchObject({ severity: 'critical', lines: ['30× 500 /<img%20src=x>\x1b[2J'] })
  })
})

describe('certificates of sites', () => {
  it('are judged where nginx uses them', async () => {
    const dir = await makeTempDir('tls')
    const [certificate, key] = [join(dir.path, 'site.pem'), join(dir.path, 'site.key')]
    execFileSync(
      'openssl',
      [
        'req',
        '-x509',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:P-256',
        '-nodes',
        '-days',
        '3',
        '-subj',
        '/CN=test.example.com',
        '-keyout',
        key,
        '-out',
        certificate,
      ],
      { stdio: 'ignore' },
    )
    const nginx = await startNginx({
      server: `listen 127.0.0.1:${await freePort()} ssl; ssl_certificate ${certificate}; ssl_certificate_key ${key};`,
    })
    try {
      const { one } = await diagnose(nginx)
      expect(one('nginx.certificate')).toMatchObject({
        severity: 'critical',
        subject: certificate,
        title: 'The certificate expires soon',
      })
      expect(one('nginx.certificate').evidence).toMatch(/used by test\.example\.com, at .*site\.conf:1$/)
      await rename(certificate, `${certificate}.away`)
      expect((await diagnose(nginx)).one('nginx.certificate')).toMatchObject({
        severity: 'critical',
        title: 'A certificate that nginx uses does not exist',
      })
      expect((await diagnose(nginx, LOCAL, { certificates: [{ file: certificate }] })).of('nginx.certificate')).toEqual(
        [],
      )
    } finally {
      await nginx.stop()
      await dir.remove()
    }
  })
})

it('finds the master of a configuration that is named by a link', async () => {
  const nginx = await startNginx()
  try {
    const config = `${nginx.config}.link`
    await symlink(nginx.config, config)
    expect((await diagnose({ config })).one('nginx.process')).toMatchObject({ severity: 'ok' })
  } finally {
    await nginx.stop()
  }
})

describe('nginx that does not run', () => {
  it('was killed: its pid file is left behind', async () => {
    const nginx = await startNginx()
    const workers = execFileSync('ps', ['--ppid', String(nginx.process.pid), '-o', 'pid='], { encoding: 'utf8' })
    nginx.process.kill('SIGKILL')
    for (const pid of workers.trim().split(/\s+/)) process.kill(Number(pid), 'SIGKILL')
    await waitFor('the master to be gone', () => !nginx.process.running())
    for (const [, host] of HOSTS) {
      expect((await diagnose(nginx, host)).one('nginx.process')).toMatchObject({
        severity: 'critical',
        title: 'nginx died',
      })
    }
    await nginx.stop()
  })

  it.each(HOSTS)('is a warning when it is only installed, critical when it is expected, on %s', async (_, host) => {
    const config = join(await tempDir('stopped'), 'nginx.conf')
    await writeFile(config, `pid ${config}.pid; error_log ${config}.log; events {} http { access_log off; }`)
    expect((await diagnose({ config }, host)).one('nginx.process').severity).toBe('warning')
    expect((await diagnose({ config }, host, { units: ['nginx'] })).one('nginx.process').severity).toBe('critical')
  })

  it.each(HOSTS)('is skipped when it is not installed, critical when it is expected, on %s', async (_, host) => {
    const absent = { binary: 'no-such-server', config: '/nowhere/nginx.conf' }
    const { findings } = await diagnose({ config: '' }, host, { nginx: absent })
    expect(findings).toMatchObject([
      { check: 'nginx', severity: 'skipped', title: expect.stringContaining('because it is not installed') as string },
    ])
    const expected = await diagnose({ config: '' }, host, { nginx: { ...absent, expected: true } })
    expect(expected.findings).toMatchObject([{ check: 'nginx.process', severity: 'critical' }])
  })
})

describe('an unprivileged look', () => {
  it('skips what needs root, and says how to get it', async () => {
    const nginx = await startNginx()
    const script = new URL('./unprivileged-nginx.ts', import.meta.url).pathname
    try {
      execFileSync('chmod', ['-R', 'go-rwx', nginx.accessLog, nginx.errorLog])
      execFileSync('chmod', ['go+rx', nginx.directory])
      const output = execFileSync(process.execPath, [script, nginx.config], {
        encoding: 'utf8',
        uid: 65534,
        gid: 65534,
      })
      const findings = JSON.parse(output) as CheckFinding[]
      const severities = findings.map(({ check, severity }) => `${check} ${severity}`)
      expect(severities).toEqual([
        'nginx.process ok',
        'nginx.config skipped',
        'nginx.errors skipped',
        'nginx.access skipped',
      ])
    } finally {
      await nginx.stop()
    }
  })
})
