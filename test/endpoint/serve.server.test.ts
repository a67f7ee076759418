/** `endpoint serve` as a process: what it answers, what it does when its file changes, breaks or vanishes, and how it ends. */
import { readFileSync } from 'node:fs'
import { appendFile, mkdir, readFile, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { NODE, opskit, ROOT } from '../support/opskit.ts'
import { freePort } from '../support/ports.ts'
import { startServer, type ServerProcess } from '../support/server.ts'
import { tempDir } from '../support/temp.ts'
import { waitFor } from '../support/wait.ts'

const { documented } = JSON.parse(readFileSync(new URL('fixtures/reference.json', import.meta.url), 'utf8')) as {
  documented: { text: string; body: string }
}
const LIST = '/api/v1/config/endpoints'
const FULL = 'DomainList:\na.example.com\nb.example.com\nIPList:\n192.0.2.1\n'

interface Served {
  readonly url: string
  readonly file: string
  readonly dir: string
  readonly process: ServerProcess
  readonly get: (path: string, init?: RequestInit) => Promise<Response>
  /** The hosts that are served. */
  readonly hosts: () => Promise<string[]>
}

interface ServeOptions {
  readonly text?: string
  readonly config?: string
  readonly env?: Record<string, string>
  readonly args?: readonly string[]
  readonly dir?: string
}

async function serve({ text = FULL, config = '', env = {}, args = [], dir }: ServeOptions = {}): Promise<Served> {
  const at = dir ?? (await tempDir('endpoint'))
  const file = join(at, 'endpoints.txt')
  if (dir === undefined) await writeFile(file, text)
  await writeFile(join(at, 'opskit.yaml'), `state: { dir: ./state }\n${config}`)
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const server = await startServer({
    argv: [NODE, `${ROOT}scripts/endpoint.ts`, 'serve', '--file', file, '--port', String(port), ...args],
    cwd: at,
    env: { ...process.env, ...env },
    ready: async () => (await fetch(`${url}/health`)).ok,
  })
  onTestFinished(() => server.stop())
  const get = (path: string, init?: RequestInit) => fetch(`${url}${path}`, init)
  return {
    url,
    file,
    dir: at,
    process: server,
    get,
    async hosts() {
      const { socketio_endpoints: list } = (await (await get(LIST)).json()) as { socketio_endpoints: { url: string }[] }
      return list.map((endpoint) => endpoint.url.replace('https://', ''))
    },
  }
}

describe('endpoint serve', () => {
  it('answers the documented example byte for byte, and as the reference does otherwise', async () => {
    const { get } = await serve({ text: documented.text })
    const answer = await get(`${LIST}?x=1`)
    expect(await answer.text()).toBe(documented.body)
    expect(answer.headers.get('content-type')).toBe('application/json')
    expect(answer.headers.get('content-length')).toBe(String(Buffer.byteLength(documented.body)))
    expect(await (await get('/health')).json()).toEqual({
      status: 'healthy',
      service: 'opskit-endpoint',
      version: '1.0.0',
    })
    expect([(await get('/x')).status, await (await get('/x')).text()]).toEqual([404, '{"detail":"Not Found"}'])
    const post = await get(LIST, { method: 'POST', body: 'x' })
    expect([post.status, post.headers.get('allow'), await post.text()]).toEqual([
      405,
      'GET, HEAD',
      '{"detail":"Method Not Allowed"}',
    ])
    const head = await get(LIST, { method: 'HEAD' })
    expect([head.status, head.headers.get('content-length'), await head.text()]).toEqual(
      [200, '554', ''].map((x) => (x === '554' ? String(Buffer.byteLength(documented.body)) : x)),
    )
  })

  it('sends a list that the client has already only once', async () => {
    const { get, file, hosts } = await serve()
    const etag = (await get(LIST)).headers.get('etag') ?? ''
    for (const known of [etag, `W/${etag}`, `"x", ${etag}`, '*']) {
      const answer = await get(LIST, { headers: { 'if-none-match': known } })
      expect([known, answer.status, await answer.text()]).toEqual([known, 304, ''])
    }
    expect((await get(LIST, { headers: { 'if-none-match': '"x"' } })).status).toBe(200)
    await writeFile(file, FULL.replace('a.', 'c.'))
    await waitFor('the new list', async () => (await hosts())[0] === 'c.example.com')
    expect((await get(LIST, { headers: { 'if-none-match': etag } })).status).toBe(200)
  })

  it('asks for the token where one is configured, and never shows it', async () => {
    const secret = 'endpoint-token-value'
    const config = 'endpoint: { serve: { token: { env: LIST_TOKEN } } }\n'
    const { get, process: server } = await serve({ config, env: { LIST_TOKEN: secret }, args: ['--verbose'] })
    const ask = (authorization?: string) => get(LIST, authorization === undefined ? {} : { headers: { authorization } })
    for (const wrong of [
      undefined,
      secret,
      'Bearer',
      'Bearer x',
      `Bearer ${secret}x`,
      `Basic ${secret}`,
      `Bearer ${secret} x`,
    ]) {
      const answer = await ask(wrong)
      expect([wrong, answer.status, answer.headers.get('www-authenticate')]).toEqual([wrong, 401, 'Bearer'])
    }
    const right = await ask(`bearer ${secret}`)
    expect([right.status, right.headers.get('cache-control')]).toEqual([200, 'private, no-cache'])
    expect((await get('/health')).status).toBe(200)
    expect(server.output()).not.toContain(secret)
  })

  it('takes its settings from the environment, over those of the config', async () => {
    const env = { ENDPOINT_PROTOCOL: 'http', ENDPOINT_API_PATH: '/v2', ENDPOINT_DEFAULT_PORT: '8443' }
    const { get } = await serve({ env, config: 'endpoint: { serve: { api_path: /v1, socket_path: /ws } }\n' })
    expect(await (await get(LIST)).json()).toMatchObject({
      api_endpoints: [{ url: 'http://a.example.com:8443/v2' }, {}, {}],
      socketio_endpoints: [{ url: 'http://a.example.com/ws' }, {}, {}],
    })
  })

  it('follows its file: written over, replaced, linked to another', async () => {
    const { file, dir, hosts } = await serve()
    await appendFile(file, '192.0.2.2\n')
    await waitFor('the added host', async () => (await hosts()).includes('192.0.2.2'))
    await writeFile(`${file}.new`, FULL.replace('a.', 'c.'))
    await rename(`${file}.new`, file)
    await waitFor('the replaced file', async () => (await hosts())[0] === 'c.example.com')
    await writeFile(join(dir, 'other.txt'), FULL.replace('a.', 'd.'))
    await symlink(join(dir, 'other.txt'), `${file}.link`)
    await rename(`${file}.link`, file)
    await waitFor('the linked file', async () => (await hosts())[0] === 'd.example.com')
    await writeFile(join(dir, 'other.txt'), FULL.replace('a.', 'e.'))
    await waitFor('the file behind the link', async () => (await hosts())[0] === 'e.example.com')
  })

  it('keeps the last good list whatever happens to its file, and takes the next good one', async () => {
    const { file, hosts, process: server } = await serve()
    const harms: readonly (readonly [harm: () => Promise<unknown>, because: string])[] = [
      [() => truncate(file, 0), 'it names no host'],
      [() => truncate(file, 20), 'cut off'],
      [() => rm(file), 'ENOENT'],
      [() => writeFile(file, Buffer.from([0xff, 0xfe, 0, 1])), 'not UTF-8'],
      [() => appendFile(file, 'https://x y\n'), 'one line is wrong'],
      [() => writeFile(file, 'DomainList:\n' + 'a.example.com\n'.repeat(50_000)), 'larger than'],
      [() => rm(file).then(() => mkdir(file)), 'EISDIR'],
    ]
    for (const [harm, because] of harms) {
      const before = await hosts()
      await harm()
      await waitFor(because, () => server.output().includes(because))
      expect(await hosts(), because).toEqual(before)
      await rm(file, { recursive: true, force: true })
      await writeFile(file, FULL.replace('a.', `${because.replace(/\W/g, '').toLowerCase()}.`))
      await waitFor('the next good list', async () => (await hosts())[0] !== before[0])
    }
  })

  it('reads its file again on SIGHUP, and goes on', async () => {
    const { file, hosts, process: server } = await serve()
    await writeFile(file, FULL.replace('a.', 'c.'))
    server.kill('SIGHUP')
    await waitFor('the new list', async () => (await hosts())[0] === 'c.example.com')
    expect(server.running()).toBe(true)
  })

  it('lets an empty list replace a full one where that is allowed', async () => {
    const { file, hosts } = await serve({ args: ['--allow-empty'] })
    await writeFile(file, '# none today\n')
    await waitFor('the empty list', async () => (await hosts()).length === 0)
  })

  it('serves the list of before when it starts and its file is broken', async () => {
    const first = await serve()
    await first.process.stop()
    await rm(first.file)
    const again = await serve({ dir: first.dir })
    expect(await again.hosts()).toEqual(['a.example.com', 'b.example.com', '192.0.2.1'])
    expect(again.process.output()).toContain('the list that was served last is used')
  })

  it('ends what is under way before it stops', async () => {
    const { url, process: server } = await serve()
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    let answer = ''
    socket.on('data', (chunk) => (answer += chunk.toString()))
    socket.write(`GET ${LIST} HTTP/1.1\r\nHost: x\r\n`)
    await waitFor('the connection', () => !socket.connecting)
    // The request is half sent: the server has to wait for its end.
    await fetch(`${url}/health`)
    server.kill('SIGTERM')
    await waitFor('no new connections', async () =>
      fetch(`${url}/health`).then(
        () => false,
        () => true,
      ),
    )
    socket.write('\r\n')
    await waitFor('the answer', () => answer.includes('a.example.com'))
    await waitFor('its end', () => !server.running())
    expect(answer).toMatch(/^HTTP\/1\.1 200 OK/)
  })

  it('survives requests that are none', async () => {
    const { url, get } = await serve()
    const talk = (text: string) =>
      new Promise<string>((resolve) => {
        let answer = ''
        const socket = connect(Number(new URL(url).port), '127.0.0.1', () => socket.write(text))
        socket
          .on('data', (chunk) => (answer += chunk.toString()))
          .on('close', () => resolve(answer))
          .on('error', () => resolve(answer))
      })
    expect(await talk('\u0000\u0001\r\n\r\n')).toMatch(/^HTTP\/1\.1 400/)
    expect(await talk(`GET /${'x'.repeat(40_000)} HTTP/1.1\r\n\r\n`)).toMatch(/^HTTP\/1\.1 4\d\d/)
    expect((await get(LIST)).status).toBe(200)
  })
})

describe('endpoint serve, started wrongly', () => {
  it.each<[string, string | undefined, string[], number, string]>([
    ['without its file', undefined, [], 78, 'ENOENT'],
    ['with an empty list', '# nothing\n', [], 78, 'it names no host'],
    ['with wrong lines', 'DomainList:\nx y\nhttps://z\n', [], 78, 'list.txt:3: https://z: a URL, not a host'],
    ['with a wrong port', FULL, ['--port', '99999'], 64, '65535'],
  ])('%s it ends with what to do', async (...[, text, args, exitCode, message]) => {
    const dir = await tempDir()
    const file = join(dir, 'list.txt')
    if (text !== undefined) await writeFile(file, text)
    await writeFile(join(dir, 'opskit.yaml'), 'state: { dir: ./state }\n')
    const ran = await opskit('endpoint', ['serve', '--file', file, '--port', String(await freePort()), ...args], {
      cwd: dir,
    })
    expect(ran.stderr).toContain(message)
    expect(ran.exitCode).toBe(exitCode)
    expect(await readFile(join(dir, 'opskit.yaml'), 'utf8')).toContain('state')
  })

  it('on a port that is taken it says so', async () => {
    const { url, file, dir } = await serve()
    const ran = await opskit('endpoint', ['serve', '--file', file, '--port', new URL(url).port], { cwd: dir })
    expect(ran.stderr).toContain('another program listens there')
    expect(ran.exitCode).toBe(73)
  })
})
