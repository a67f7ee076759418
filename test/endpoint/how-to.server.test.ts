/** The program of docs/how-to/endpoint.md, as it stands there: checked by the compiler, and run against real servers. */
import { readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { formatQr } from '../../scripts/lib/endpoint/client/document.ts'
import { NODE, ROOT, runProgram } from '../support/opskit.ts'
import { freePort } from '../support/ports.ts'
import { tempDir } from '../support/temp.ts'

const [program = '', ...others] = [
  ...readFileSync(`${ROOT}docs/how-to/endpoint.md`, 'utf8').matchAll(/^```ts\n(.*?)^```$/gms),
].map(([, text]) => text)

/** What the page leaves to the reader. */
const GIVEN = 'declare const scannedText: string\ndeclare const token: string\n'
const FROM_QR = formatQr({ api: [{ url: 'https://qr.example.com', priority: 0 }], socketio: [] }, 'priority')
const FETCHED = formatQr({ api: [{ url: 'https://new.example.com', priority: 0 }], socketio: [] }, 'priority')

/** One server in place of all names of the page but `api.example.com`, which is down. */
async function startNames(): Promise<{ readonly seen: string[]; readonly ports: Record<string, number> }> {
  const seen: string[] = []
  const server = createServer((request: IncomingMessage, response) => {
    const { authorization = 'nobody' } = request.headers
    seen.push(`${request.method} ${String(request.headers['x-name'])}${request.url} ${authorization}`)
    const isList = request.headers['x-name'] === 'config.example.com'
    response.setHeader('content-type', 'application/json').end(isList ? FETCHED : '[]')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const { port } = server.address() as AddressInfo
  const up = ['backup', 'config', 'qr', 'new'].map((name) => [`${name}.example.com`, port] as const)
  return { seen, ports: { ...Object.fromEntries(up), 'api.example.com': await freePort() } }
}

/** A directory in which the page's import leads to the library, and its names to `ports`. */
async function placeProgram(ports: Readonly<Record<string, number>>): Promise<string> {
  const dir = await tempDir('endpoint-page')
  symlinkSync(`${ROOT}scripts`, join(dir, 'scripts'))
  symlinkSync(`${ROOT}node_modules`, join(dir, 'node_modules'))
  writeFileSync(join(dir, 'package.json'), '{ "type": "module" }')
  writeFileSync(join(dir, 'program.ts'), `${GIVEN}${program}`)
  writeFileSync(
    join(dir, 'names.mjs'),
    `const ports = ${JSON.stringify(ports)}
const fetchThere = globalThis.fetch
globalThis.fetch = (address, init) => {
  const { hostname, pathname, search } = new URL(address)
  const headers = { ...Object.fromEntries(new Headers(init?.headers)), 'x-name': hostname }
  return fetchThere(\`http://127.0.0.1:\${ports[hostname]}\${pathname}\${search}\`, { ...init, headers })
}
globalThis.scannedText = ${JSON.stringify(FROM_QR)}
globalThis.token = 'a-token'
`,
  )
  return dir
}

describe('the program on the page about endpoints', () => {
  it('is the only one, and is right in its types', async () => {
    expect(others).toEqual([])
    const dir = await placeProgram({})
    const compilerOptions = { noEmit: true, allowImportingTsExtensions: true, skipLibCheck: true }
    const base = JSON.parse(readFileSync(`${ROOT}tsconfig.json`, 'utf8')) as { compilerOptions: object }
    const options = { ...base.compilerOptions, ...compilerOptions }
    writeFileSync(join(dir, 'tsconfig.json'), JSON.stringify({ compilerOptions: options, files: ['program.ts'] }))
    const checked = await runProgram([NODE, `${ROOT}node_modules/typescript/bin/tsc`, '-p', dir], { cwd: dir })
    expect(checked.stdout).toBe('')
    expect(checked.exitCode).toBe(0)
  })

  it('goes on to the endpoint that answers, takes a QR code and a list over, and ends', async () => {
    const { seen, ports } = await startNames()
    const dir = await placeProgram(ports)
    const ran = await runProgram([NODE, '--import', './names.mjs', 'program.ts'], { cwd: dir })
    expect(ran).toMatchObject({ exitCode: 0, stdout: '200\n', stderr: '' })
    expect(seen).toContain('GET backup.example.com/users nobody')
    expect(seen.filter((line) => line.includes('config.example.com'))).toEqual([
      expect.stringMatching(/^GET config\.example\.com\/\S+ Bearer a-token$/) as string,
    ])
  })
})
