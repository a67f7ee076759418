/** The runbooks about machines, run for real: nginx, a second host over SSH, full disks, certificates, processes. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { lstat, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:tls'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { makeCertificate } from '../support/certificates.ts'
import { mountMemory } from '../support/mounts.ts'
import { startNginx, type TestNginx } from '../support/nginx.ts'
import { freePort } from '../support/ports.ts'
import { startSshd, type Sshd } from '../support/sshd.ts'
import { startHttpServer } from '../support/tcp.ts'
import { waitFor } from '../support/wait.ts'
import { makeBench, sshHost, startListener, type Bench } from './shipped-support.ts'

const execute = promisify(execFile)

let sshd: Sshd
let bench: Bench

beforeAll(async () => {
  sshd = await startSshd()
  bench = await makeBench({ hosts: { 'web-1': sshHost(sshd) } })
})

afterAll(async () => {
  for (const mark of ['taken-out', 'put-back']) await rm(`/run/opskit-${mark}`, { force: true })
  await Promise.all([sshd?.stop(), bench?.remove()])
})

const ask = async (url: string) => (await fetch(url, { signal: AbortSignal.timeout(2_000) })).text()

describe('nginx-down', () => {
  it('starts nginx that was killed, and sees that it answers', async () => {
    const nginx = await startNginx({ server: "location / { return 200 'up'; }" })
    try {
      await nginx.process.stop()
      const ran = await bench.start('nginx-down', {
        params: { host: 'web-1', url: nginx.url, nginx_config: nginx.config, error_log: nginx.errorLog },
      })
      expect(ran.said).toContain('verified')
      expect(ran.exitCode, ran.said).toBe(0)
      expect(await ask(nginx.url)).toBe('up')
    } finally {
      await quit(nginx)
    }
  })

  it('changes nothing while the configuration is broken, and shows the line', async () => {
    const nginx = await startNginx({ server: "location / { return 200 'up'; }" })
    try {
      await writeFile(join(nginx.directory, 'conf.d/broken.conf'), 'server { listn 1; }\n')
      const ran = await bench.start('nginx-down', {
        params: { url: nginx.url, nginx_config: nginx.config, error_log: nginx.errorLog },
      })
      expect(ran.exitCode, ran.said).toBe(12)
      expect(ran.said).toContain('listn')
      expect(await ask(nginx.url)).toBe('up')
    } finally {
      await quit(nginx)
    }
  })
})

describe('standby-down', () => {
  const upstream = (dir: string) => join(dir, 'upstream.conf')
  const CONFIG = (one: number, two: number) => `# the pool
upstream api_gateway {
    server 127.0.0.1:${one} weight=1 max_fails=3 fail_timeout=30s;   # primary
\tserver 127.0.0.1:${two} weight=1 max_fails=3 fail_timeout=30s backup;
}
`

  async function startPool() {
    const [one, two] = [await startHttpServer('one'), await startListener()]
    const nginx = await startNginx({
      http: 'include upstream.conf;',
      server: 'location / { proxy_pass http://api_gateway; }',
      files: { 'upstream.conf': CONFIG(one.port, two.port) },
    })
    const params = {
      primary: 'web-1',
      server: `127.0.0.1:${two.port}`,
      upstream_file: upstream(nginx.directory),
      nginx_config: nginx.config,
    }
    const stop = async () => {
      await quit(nginx)
      await one.close()
      await two.close().catch(() => undefined)
    }
    return { nginx, params, config: CONFIG(one.port, two.port), stop, two }
  }

  it('takes the standby out, and puts it back byte for byte when it answers', async () => {
    const { nginx, params, config, stop } = await startPool()
    try {
      const ran = await bench.start('standby-down', { params: { ...params, url: nginx.url } })
      expect(ran.exitCode, ran.said).toBe(0)
      expect(await readFile(params.upstream_file, 'utf8')).toBe(config)
      expect(ran.said).toContain(`# opskit-out: server ${params.server} weight=1`)
    } finally {
      await stop()
    }
  })

  it('does not put back what does not answer', async () => {
    const { nginx, params, config, stop, two } = await startPool()
    try {
      await two.close()
      const ran = await bench.start('standby-down', { params: { ...params, url: nginx.url } })
      expect(ran.said).toContain('no answer')
      expect(ran.exitCode, ran.said).toBe(11)
      expect(await readFile(params.upstream_file, 'utf8')).toBe(config)
    } finally {
      await stop()
    }
  })

  it('brings the old upstream back when the site does not answer with the new one', async () => {
    const { nginx, params, config, stop } = await startPool()
    try {
      const ran = await bench.start('standby-down', { params: { ...params, url: `${nginx.url}:1` }, within: '1s' })
      expect(ran.exitCode, ran.said).toBe(11)
      expect(await readFile(params.upstream_file, 'utf8')).toBe(config)
      expect(await ask(nginx.url)).toBe('one')
    } finally {
      await stop()
    }
  })

  it('touches nothing when that server is not in the upstream', async () => {
    const { nginx, params, config, stop } = await startPool()
    try {
      const ran = await bench.start('standby-down', {
        params: { ...params, server: '127.0.0.1:1', url: nginx.url },
      })
      expect(ran.said).toContain("no line 'server 127.0.0.1:1'")
      expect(await readFile(params.upstream_file, 'utf8')).toBe(config)
    } finally {
      await stop()
    }
  })
})

describe('certificate-expired', () => {
  it('puts the new certificate in place and serves it; one that does not fit is refused; one that is not served comes back out', async () => {
    const port = await freePort()
    const nginx = await startNginx()
    try {
      const dir = join(nginx.directory, 'ssl')
      await mkdir(dir)
      const make = (name: string, names: string, days: number) => makeCertificate(dir, { name, names, days })
      const old = await make('old', 'DNS:www.example.com', -3)
      const fresh = await make('fresh', 'DNS:www.example.com', 90)
      const other = await make('other', 'DNS:other.example.com', 90)
      const [certificate, key] = [join(dir, 'live.pem'), join(dir, 'live.key')]
      await writeFile(certificate, old.cert)
      await writeFile(key, old.key)
      await writeFile(
        join(nginx.directory, 'conf.d/tls.conf'),
        `server { listen 127.0.0.1:${port} ssl; server_name www.example.com; ssl_certificate ${certificate}; ssl_certificate_key ${key}; }\n`,
      )
      await execute('nginx', ['-s', 'reload', '-c', nginx.config])
      await waitFor('the expired certificate to be served', async () => (await daysServed(port)) < 0)
      const params = {
        domain: 'www.example.com',
        address: '127.0.0.1',
        port,
        certificate,
        key,
        nginx_config: nginx.config,
      }

      const wrong = await bench.start('certificate-expired', {
        params: { ...params, host: 'web-1', new_certificate: other.certFile, new_key: other.keyFile },
      })
      expect(wrong.exitCode, wrong.said).toBe(11)
      expect(await readFile(certificate, 'utf8')).toBe(old.cert)

      // What is served is asked on another port, where nobody answers: as if the reload had not taken.
      const unproved = await bench.start('certificate-expired', {
        params: { ...params, port: await freePort(), new_certificate: fresh.certFile, new_key: fresh.keyFile },
        within: '1s',
      })
      expect(unproved.exitCode, unproved.said).toBe(11)
      expect(await readFile(certificate, 'utf8')).toBe(old.cert)
      await waitFor('the old certificate to be served again', async () => (await daysServed(port)) < 0)

      const ran = await bench.start('certificate-expired', {
        params: { ...params, host: 'web-1', new_certificate: fresh.certFile, new_key: fresh.keyFile },
      })
      expect(ran.exitCode, ran.said).toBe(0)
      expect(await daysServed(port)).toBeGreaterThan(80)
      const [kept = ''] = (await readdir(dir)).filter((name) => name.startsWith('live.pem.before-'))
      expect(await readFile(join(dir, kept), 'utf8')).toBe(old.cert)
    } finally {
      await quit(nginx)
    }
  })
})

describe('disk-full', () => {
  it('makes room: empties the log that a program holds open, moves what must be kept, and proves that it can be written', async () => {
    const disk = await mountMemory(join(bench.path, 'disk'), { size: '8m' })
    const elsewhere = join(bench.path, 'elsewhere')
    await mkdir(elsewhere)
    try {
      await mkdir(join(disk.path, 'data'))
      await writeFile(join(disk.path, 'data', "it's kept"), Buffer.alloc(3e6, 'd'))
      await writeFile(join(disk.path, 'app.log'), Buffer.alloc(4e6, 'l'))
      await writeFile(join(disk.path, 'rest'), Buffer.alloc(3e6, 'r')).catch(() => undefined)
      const ran = await bench.start('disk-full', {
        params: {
          ...{ host: 'web-1', mount: disk.path, truncate: join(disk.path, 'app.log') },
          ...{ move: join(disk.path, 'data'), move_to: elsewhere },
        },
      })
      expect(ran.exitCode, ran.said).toBe(0)
      expect(ran.stdout).toMatch(/\| Filesystem[^]*\| opskit-test/)
      expect((await lstat(join(disk.path, 'app.log'))).size).toBe(0)
      expect((await lstat(join(disk.path, 'data'))).isSymbolicLink()).toBe(true)
      expect((await readFile(join(disk.path, 'data', "it's kept"))).length).toBe(3e6)
      await writeFile(join(disk.path, 'new'), Buffer.alloc(1e6))
    } finally {
      await disk.unmount()
    }
  })

  it('brings back what it moved when that did not make enough room', async () => {
    const disk = await mountMemory(join(bench.path, 'disk-2'), { size: '4m' })
    const elsewhere = join(bench.path, 'elsewhere-2')
    await mkdir(elsewhere)
    try {
      await writeFile(join(disk.path, 'small'), Buffer.alloc(1e5, 's'))
      await writeFile(join(disk.path, 'big'), Buffer.alloc(39e5, 'b'))
      const ran = await bench.start('disk-full', {
        params: { mount: disk.path, move: join(disk.path, 'small'), move_to: elsewhere },
      })
      expect(ran.exitCode, ran.said).toBe(11)
      expect((await lstat(join(disk.path, 'small'))).isFile()).toBe(true)
      expect((await readFile(join(disk.path, 'small'))).length).toBe(1e5)
    } finally {
      await disk.unmount()
    }
  })
})

describe('host-overloaded', () => {
  it('ends the process that was named', async () => {
    const culprit = spawn('sleep', ['600'], { stdio: 'ignore' })
    const ended = once(culprit, 'exit')
    const ran = await bench.start('host-overloaded', {
      params: { host: 'web-1', process: culprit.pid ?? 0 },
      answers: { relieved: { override: 'this machine runs other tests too' } },
    })
    expect(ran.exitCode, ran.said).toBe(0)
    expect(await ended).toEqual([null, 'SIGTERM'])
  })
})

describe('host-unreachable', () => {
  it('waits at the console until the machine answers again', async () => {
    const lost = await startSshd()
    const lone = await makeBench({ hosts: { 'web-2': sshHost(lost) } })
    try {
      const params = { host: 'web-2', address: '127.0.0.1', outside: '127.0.0.1', port: lost.port }
      const up = await lone.start('host-unreachable', { params })
      expect(up.exitCode, up.said).toBe(0)

      await lost.server.stop()
      const down = await lone.start('host-unreachable', { params, within: '1s' })
      expect(down.exitCode, down.said).not.toBe(0)
      expect(down.said).toMatch(/2\.1 is not done: .*cannot be reached/)
    } finally {
      await Promise.all([lost.stop(), lone.remove()])
    }
  })
})

/** Days that the certificate which is served there is still valid. */
async function daysServed(port: number): Promise<number> {
  const socket = connect({ port, host: '127.0.0.1', servername: 'www.example.com', rejectUnauthorized: false })
  try {
    await once(socket, 'secureConnect')
    return (Date.parse(socket.getPeerCertificate().valid_to) - Date.now()) / 86_400_000
  } finally {
    socket.destroy()
  }
}

/** Also what a runbook has started anew, which is no child of ours. */
async function quit(nginx: TestNginx): Promise<void> {
  const pid = Number(await readFile(nginx.pidFile, 'utf8').catch(() => ''))
  if (pid > 0) process.kill(pid, 'SIGQUIT')
  await waitFor('nginx to end', async () => (await readFile(nginx.pidFile).catch(() => undefined)) === undefined)
  await nginx.stop()
}
