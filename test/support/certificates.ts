/** Test certificates made by openssl: an authority of our own and what it signs, or refuses to. */
import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const execute = promisify(execFile)

export interface KeyPair {
  readonly certFile: string
  readonly keyFile: string
  readonly cert: string
  readonly key: string
}

export interface CertificateOptions {
  readonly name: string
  /** `DNS:localhost,IP:127.0.0.1`. */
  readonly names?: string
  /** Days from now; negative for one that has expired (`notBefore` is a year before that). */
  readonly days?: number
  /** Signed by itself when absent. */
  readonly ca?: KeyPair
  readonly isCa?: boolean
}

/** Makes a certificate in `dir`; files are named after `name`. */
export async function makeCertificate(dir: string, options: CertificateOptions): Promise<KeyPair> {
  const { name, names = 'DNS:localhost,IP:127.0.0.1', days = 365, ca, isCa = false } = options
  const file = (suffix: string) => join(dir, `${name}.${suffix}`)
  const openssl = (...args: string[]) => execute('openssl', args, { timeout: 20_000 })
  await openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', file('key'))
  const now = Date.now()
  const extensions = isCa ? 'basicConstraints=critical,CA:TRUE' : `basicConstraints=CA:FALSE\nsubjectAltName=${names}`
  await writeFile(
    file('cnf'),
    `[req]\ndistinguished_name=dn\nprompt=no\n[dn]\nCN=${name}\n[ext]\n${extensions}\n[ca]\ndefault_ca=def\n[def]\ndatabase=${file('db')}\nnew_certs_dir=${dir}\nserial=${file('srl')}\ndefault_md=sha256\npolicy=any\nunique_subject=no\n[any]\ncommonName=supplied\n`,
  )
  await Promise.all([writeFile(file('db'), ''), writeFile(file('srl'), '01')])
  await openssl('req', '-new', '-key', file('key'), '-config', file('cnf'), '-out', file('csr'))
  const validity = [
    '-startdate',
    stamp(Math.min(now - 3_600_000, now + (days - 365) * DAY_MS)),
    '-enddate',
    stamp(now + days * DAY_MS),
  ]
  const signer = ca ? ['-cert', ca.certFile, '-keyfile', ca.keyFile] : ['-selfsign', '-keyfile', file('key')]
  await openssl(
    'ca',
    '-batch',
    '-notext',
    '-config',
    file('cnf'),
    '-extensions',
    'ext',
    '-in',
    file('csr'),
    '-out',
    file('pem'),
    ...validity,
    ...signer,
  )
  const [cert, key] = await Promise.all([readFile(file('pem'), 'utf8'), readFile(file('key'), 'utf8')])
  return { certFile: file('pem'), keyFile: file('key'), cert, key }
}

const DAY_MS = 86_400_000

/** `20260131120000Z` */
function stamp(ms: number): string {
  return `${new Date(ms).toISOString().replace(/[-:T]/g, '').slice(0, 14)}Z`
}
