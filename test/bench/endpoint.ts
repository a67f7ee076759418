/**
 * The list service beside the reference server (FastAPI under uvicorn, with uvloop and httptools where they are installed), in
 * one run: `node_modules/.bin/node test/bench/endpoint.ts`. wrk (Debian package wrk) asks for the list over 32 kept
 * connections; rounds of both take turns, and each figure is the median of the rounds. Then the answer time of a backup when
 * the primary hangs.
 */
import { execFile } from 'node:child_process'
import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { openEndpointManager } from '../../scripts/lib/endpoint/client/index.ts'
import { startReferenceServer } from '../support/fastapi.ts'
import { NODE, ROOT } from '../support/opskit.ts'
import { freePort } from '../support/ports.ts'
import { startServer } from '../support/server.ts'
import { startBlackHole } from '../support/tcp.ts'
import type { BenchRow } from './types.ts'

const ROUNDS = 5
const SECONDS = 3
const PATH = '/api/v1/config/endpoints'
const LIST = `DomainList:
log.example.com
api.example.net
xx,www.example.org
IPList:
192.0.2.78
198.51.100.12
`

export async function bench(): Promise<BenchRow[]> {
  return [...(await benchService()), ...(await benchHung())]
}

async function benchService(): Promise<BenchRow[]> {
  const dir = await mkdtemp(join(tmpdir(), 'opskit-bench-'))
  const file = join(dir, 'endpoints.txt')
  await writeFile(file, LIST)
  await writeFile(join(dir, 'opskit.yaml'), 'state: { dir: ./state }\n')
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const ours = await startServer({
    argv: [NODE, `${ROOT}scripts/endpoint.ts`, 'serve', '--file', file, '--port', String(port)],
    cwd: dir,
    ready: async () => (await fetch(`${url}/health`)).ok,
  })
  const peer = await startReferenceServer({ ENDPOINT_CONFIG_FILE: file })
  try {
    const [our, their]: [number[], number[]] = [[], []]
    // Once unmeasured: both compile what is hot.
    await requestsPerSecond(url + PATH)
    await requestsPerSecond(peer.url + PATH)
    for (let round = 0; round < ROUNDS; round += 1) {
      our.push(await requestsPerSecond(url + PATH))
      their.push(await requestsPerSecond(peer.url + PATH))
    }
    const [mine, other] = [median(our), median(their)]
    return [
      {
        name: 'list service, cached',
        ours: mine,
        peer: other,
        unit: 'requests/s',
        target: 45_000,
        met: mine >= 45_000,
      },
      { name: 'list service beside FastAPI', ours: mine / other, unit: 'times', target: 8, met: mine / other >= 8 },
    ]
  } finally {
    await Promise.all([ours.stop(), peer.process.stop()])
    await rm(dir, { recursive: true, force: true })
  }
}

async function requestsPerSecond(url: string): Promise<number> {
  const { stdout } = await promisify(execFile)('wrk', ['-t1', '-c32', `-d${SECONDS}s`, url])
  if (/Non-2xx/.test(stdout)) throw new Error(stdout)
  return Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1])
}

/** The worst of ten requests, each to a client that does not yet know that its primary hangs. */
async function benchHung(): Promise<BenchRow[]> {
  const hole = await startBlackHole()
  const server = createServer((_request, response) => response.end('ok')).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const backup = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const measure = async (options: { hedgeMs?: number | false; requestTimeoutMs?: number }) => {
    const times: number[] = []
    for (let i = 0; i < 10; i += 1) {
      const initial = { api: [`http://${hole.address}`, backup] }
      const manager = await openEndpointManager({ initial, allowPrivate: true, autoCheck: false, ...options })
      const startedMs = performance.now()
      await (await manager.fetch('/')).text()
      times.push(performance.now() - startedMs)
      await manager.close()
    }
    return Math.max(...times)
  }
  try {
    const hedged = await measure({})
    const unhedged = await measure({ hedgeMs: false, requestTimeoutMs: 1_000 })
    return [
      { name: 'hung primary, hedged: worst of 10', ours: hedged, unit: 'ms', target: 300, met: hedged <= 300 },
      {
        name: 'hung primary, timeout 1 s: worst of 10',
        ours: unhedged,
        unit: 'ms',
        target: 1_100,
        met: unhedged <= 1_100,
      },
    ]
  } finally {
    server.closeAllConnections()
    server.close()
    await hole.close()
  }
}

function median(figures: readonly number[]): number {
  return [...figures].sort((a, b) => a - b)[Math.floor(figures.length / 2)] ?? Number.NaN
}

if (import.meta.main) {
  for (const { name, ours, peer, unit, target, met } of await bench()) {
    const beside = peer === undefined ? '' : `, reference ${peer.toFixed(0)}`
    process.stdout.write(`${met ? 'met' : 'MISSED'}  ${name}: ${ours.toFixed(1)} ${unit}${beside} (target ${target})\n`)
  }
}
