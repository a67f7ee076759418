/** Certificates made by openssl, in files and on TLS servers. */
import { readFile, writeFile } from 'node:fs/promises'
import { createServer as createTcpServer } from 'node:net'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { createServer, type TlsOptions } from 'node:tls'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { certificateChecks, readCertificateFile } from '../../../scripts/lib/diagnose/service/certificates.ts'
import { openLocalHost } from '../../../scripts/lib/host/local.ts'
import { makeCertificate, type KeyPair } from '../../support/certificates.ts'
import { configOf, runChecks } from '../../support/check-context.ts'
import { freePort } from '../../support/ports.ts'
import { makeTempDir } from '../../support/temp.ts'

let dir: Awaited<ReturnType<typeof makeTempDir>>
let authority: KeyPair
let good: KeyPair
let soon: KeyPair
let expired: KeyPair
let wrongName: KeyPair
let selfSigned: KeyPair

beforeAll(async () => {
  dir = await makeTempDir('certificates')
  const make = (options: Parameters<typeof makeCertificate>[1]) => makeCertificate(dir.path, options)
  authority = await make({ name: 'authority', isCa: true, days: 3650 })
  good = await make({ name: 'good', ca: authority })
  soon = await make({ name: 'soon', ca: authority, days: 10 })
  expired = await make({ name: 'expired', ca: authority, days: -3 })
  wrongName = await make({ name: 'wrong', ca: authority, names: 'DNS:other.example.com' })
  selfSigned = await make({ name: 'selfsigned' })
})

afterAll(() => dir.remove())

async function judgeFile(file: string, key?: string) {
  const config = configOf({ diagnose: { certificates: [{ file, ...(key !== undefined && { key }) }] } })
  return runChecks(certificateChecks(config), config)
}

/** Serves TLS while `work` runs. */
async function serving<T>(options: TlsOptions, work: (port: number) => Promise<T>): Promise<T> {
  const server = createServer(options, (socket) => socket.on('error', () => {}).end())
  server.on('tlsClientError', () => {})
  const port = await freePort()
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  try {
    return await work(port)
  } finally {
    server.close()
  }
}

async function judgeSite(pair: KeyPair, site: { ca?: string; server_name?: string } = { ca: authority.certFile }) {
  return serving({ cert: pair.cert, key: pair.key }, async (port) => {
    const certificate = { site: `127.0.0.1:${port}`, server_name: 'localhost', ...site }
    const config = configOf({ diagnose: { certificates: [certificate] } })
    return runChecks(certificateChecks(config), config)
  })
}

describe('a certificate file', () => {
  it('that is valid, with its key, is ok and counts the days', async () => {
    const [finding, ...others] = await judgeFile(good.certFile, good.keyFile)
    expect(others).toEqual([])
    expect(finding).toMatchObject({ severity: 'ok', evidence: expect.stringContaining('the key matches') as string })
    expect(finding?.measures?.[0]).toMatchObject({ label: 'days', value: 364, warn: '21:', crit: '7:' })
  })

  it.each([
    ['expires in ten days', () => soon, 'warning', 'The certificate expires soon'],
    ['has expired', () => expired, 'critical', 'The certificate has expired'],
  ])('that %s', async (_name, pair, severity, title) => {
    expect(await judgeFile(pair().certFile)).toMatchObject([{ severity, title }])
  })

  it('with the key of another is critical', async () => {
    expect(await judgeFile(good.certFile, soon.keyFile)).toMatchObject([
      { severity: 'critical', title: 'The private key does not belong to the certificate' },
    ])
  })

  it('with an encrypted key is ok, and the comparison is skipped', async () => {
    const encrypted = join(dir.path, 'encrypted.key')
    const args = ['pkcs8', '-topk8', '-in', good.keyFile, '-out', encrypted, '-passout', 'pass:hidden']
    await promisify(execFile)('openssl', args)
    const findings = await judgeFile(good.certFile, encrypted)
    expect(findings.map(({ severity }) => severity)).toEqual(['ok', 'skipped'])
  })

  it('with a chain in the wrong order is a warning; in the right order it is ok', async () => {
    const [right, wrong] = [join(dir.path, 'right.pem'), join(dir.path, 'wrong.pem')]
    await writeFile(right, good.cert + authority.cert)
    await writeFile(wrong, authority.cert + good.cert)
    expect((await judgeFile(right))[0]).toMatchObject({ severity: 'ok' })
    const titles = (await judgeFile(wrong)).map(({ title }) => title)
    expect(titles).toContain('The certificates of the file are not in order')
  })

  it('in DER is read as well', async () => {
    const der = join(dir.path, 'good.der')
    await promisify(execFile)('openssl', ['x509', '-in', good.certFile, '-outform', 'DER', '-out', der])
    expect(await judgeFile(der)).toMatchObject([{ severity: 'ok' }])
  })

  it.each([
    ['is not there', '/nonexistent/site.pem', 'critical', 'The certificate file does not exist'],
    ['is a directory', '/tmp', 'unknown', 'The certificate file could not be read'],
    ['holds something else', '/etc/passwd', 'critical', 'The file holds no certificate'],
  ])('that %s', async (_name, path, severity, title) => {
    expect(await judgeFile(path)).toMatchObject([{ severity, title }])
  })

  it('never shows the key', async () => {
    const secret = (await readFile(good.keyFile, 'utf8')).split('\n')[1] ?? 'nothing'
    const facts = await readCertificateFile(openLocalHost(), good.certFile, good.keyFile)
    expect(JSON.stringify(facts)).not.toContain(secret)
  })
})

describe('a site', () => {
  it('whose certificate verifies against its authority is ok', async () => {
    expect(await judgeSite(good)).toMatchObject([{ severity: 'ok' }])
  })

  it.each([
    ['is signed by an authority nobody knows', () => good, {}, ['The certificate does not verify']],
    ['is self-signed', () => selfSigned, {}, ['The certificate does not verify']],
    ['has expired', () => expired, undefined, ['The certificate has expired']],
    ['is for another name', () => wrongName, undefined, ['The certificate is not for localhost']],
  ])('whose certificate %s is critical, said once', async (_name, pair, site, titles) => {
    const findings = await judgeSite(pair(), site)
    expect(findings.map(({ title }) => title)).toEqual(titles)
    expect(findings.every(({ severity }) => severity === 'critical')).toBe(true)
    expect(findings[0]?.next).toContain('openssl s_client -connect 127.0.0.1:')
  })

  it('that accepts and never answers TLS is critical at the deadline', async () => {
    const server = createTcpServer((socket) => socket.on('error', () => {}))
    const port = await freePort()
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
    const config = configOf({ diagnose: { check_timeout: '500ms', certificates: [{ site: `127.0.0.1:${port}` }] } })
    expect(await runChecks(certificateChecks(config), config)).toMatchObject([
      { severity: 'critical', title: 'The site accepts connections but never answers TLS' },
    ])
    server.close()
  })

  it('with a file of authorities that is not there names the file', async () => {
    await expect(judgeSite(good, { ca: '/nonexistent/ca.pem' })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: 'the authorities in /nonexistent/ca.pem cannot be read (ENOENT)',
    })
  })

  it('where nothing listens refuses', async () => {
    const config = configOf({ diagnose: { certificates: [{ site: `127.0.0.1:${await freePort()}` }] } })
    expect(await runChecks(certificateChecks(config), config)).toMatchObject([
      { title: 'The site refuses connections' },
    ])
  })
})
