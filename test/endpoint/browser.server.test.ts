/** The endpoint client in a real browser: the compiled library, from a page, against two servers of which one dies. */
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { startChromium, type Browser, type Page } from '../support/chromium.ts'
import { ROOT } from '../support/opskit.ts'
import { makeTempDir } from '../support/temp.ts'

let browser: Browser
let page: Page
let dist: Awaited<ReturnType<typeof makeTempDir>>
const servers: Server[] = []

beforeAll(async () => {
  dist = await makeTempDir('browser-dist')
  await promisify(execFile)('npx', ['tsc', '-p', 'tsconfig.build.json', '--outDir', dist.path], { cwd: ROOT })
  const files = await serve(async (path, response) => {
    response.setHeader('content-type', path.endsWith('.js') ? 'text/javascript' : 'text/html')
    response.end(path === '/' ? '<!doctype html><title>opskit</title>' : await readFile(join(dist.path, path)))
  })
  browser = await startChromium()
  page = await browser.open(files)
})

afterAll(async () => {
  await browser?.close()
  await dist.remove()
  for (const server of servers) {
    server.closeAllConnections()
    server.close()
  }
})

type Respond = (path: string, response: ServerResponse) => Promise<void>

async function serve(respond: Respond): Promise<string> {
  const server = createServer((request, response) => {
    response.setHeader('access-control-allow-origin', '*')
    respond(request.url ?? '/', response).catch(() => response.writeHead(404).end())
  }).listen(0, '127.0.0.1')
  servers.push(server)
  await once(server, 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
}

it('goes on to the next endpoint when one dies, and finds its list again after the page is loaded anew', async () => {
  const first = await serve(async (_path, response) => void response.end('first'))
  const second = await serve(async (_path, response) => void response.end('second'))
  const script = (body: string) => `(async () => {
    const { openEndpointManager, createWebStorage } = await import('/endpoint/client/index.js')
    const manager = await openEndpointManager({
      initial: { api: ${JSON.stringify([first, second])} }, storage: createWebStorage(localStorage),
      allowPrivate: true, autoCheck: false,
    })
    ${body}
  })()`
  const ask = "const text = await (await manager.fetch('/x')).text(); await manager.close(); return text"
  expect(await page.evaluate<string>(script(ask))).toBe('first')
  servers.at(-2)?.closeAllConnections()
  servers.at(-2)?.close()
  expect(await page.evaluate<string>(script(ask))).toBe('second')
  const added = 'https://added.example.com'
  await page.evaluate(script(`await manager.add('api', '${added}', 9); await manager.close()`))
  const list = "return manager.status('api').map(({ url }) => url)"
  expect(await page.evaluate<string[]>(script(list))).toContain(added)
})
