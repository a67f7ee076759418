/** The reference server of endpoint lists: FastAPI under uvicorn, with Debian's own Python. */
import { fileURLToPath } from 'node:url'
import { freePort } from './ports.ts'
import { startServer, type ServerProcess } from './server.ts'

export interface ReferenceServer {
  readonly url: string
  readonly process: ServerProcess
}

/** A python3 of somebody's own need not have Debian's packages. */
const PYTHON = '/usr/bin/python3'

/** @param env where its list is: `ENDPOINT_CONFIG_FILE`, and the other `ENDPOINT_…` variables */
export async function startReferenceServer(
  env: Readonly<Record<string, string>>,
  port?: number,
): Promise<ReferenceServer> {
  const at = port ?? (await freePort())
  const url = `http://127.0.0.1:${at}`
  const app = ['-m', 'uvicorn', 'reference-list-server:app', '--host', '127.0.0.1', '--port', String(at)]
  const server = await startServer({
    argv: [PYTHON, ...app, '--log-level', 'warning', '--no-access-log'],
    cwd: fileURLToPath(new URL('.', import.meta.url)),
    env: { ...process.env, ...env, PYTHONDONTWRITEBYTECODE: '1' },
    ready: async () => (await fetch(`${url}/health`)).ok,
  })
  return { url, process: server }
}
