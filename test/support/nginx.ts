/**
 * A real nginx with its own prefix, ports, logs and pid file, stopped by its own pid. It runs in the foreground, so its
 * master is a child of the test.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { freePort } from './ports.ts'
import { startServer, type ServerProcess } from './server.ts'
import { makeTempDir } from './temp.ts'

export interface TestNginx {
  readonly url: string
  readonly port: number
  readonly directory: string
  readonly config: string
  readonly accessLog: string
  readonly errorLog: string
  readonly pidFile: string
  readonly process: ServerProcess
  /** Stops it gracefully and removes its directory. */
  stop(): Promise<void>
}

export interface TestNginxOptions {
  /** Inside `http { }`, beside the server: log formats, upstreams, more servers. */
  readonly http?: string
  /** Inside the `server { }` that listens on `port`. */
  readonly server?: string
  /** Beside its configuration, by name. */
  readonly files?: Readonly<Record<string, string>>
  /** Name of a log_format for the access log. */
  readonly format?: string
}

export async function startNginx({
  http = '',
  server = '',
  format = '',
  files = {},
}: TestNginxOptions = {}): Promise<TestNginx> {
  const dir = await makeTempDir('nginx')
  const port = await freePort()
  const path = (name: string) => join(dir.path, name)
  await mkdir(path('tmp'))
  await mkdir(path('conf.d'))
  await writeFile(
    path('conf.d/site.conf'),
    `server { listen 127.0.0.1:${port}; server_name test.example.com; ${server} }\n`,
  )
  for (const [name, text] of Object.entries(files)) await writeFile(path(name), text)
  const temps = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${path('tmp')};`)
  await writeFile(
    path('nginx.conf'),
    `user root;
worker_processes 1;
pid ${path('nginx.pid')};
error_log ${path('error.log')} notice;
events { worker_connections 64; }
http {
  ${temps.join(' ')}
  ${http}
  access_log ${path('access.log')} ${format};
  include conf.d/*.conf;
}
`,
  )
  const process = await startServer({
    argv: ['nginx', '-p', dir.path, '-c', path('nginx.conf'), '-g', 'daemon off;'],
    ready: () => accepts(port),
  })
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    directory: dir.path,
    config: path('nginx.conf'),
    accessLog: path('access.log'),
    errorLog: path('error.log'),
    pidFile: path('nginx.pid'),
    process,
    async stop() {
      await process.stop()
      await dir.remove()
    },
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' })
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('close', () => socket.destroy())
    socket.once('connect', () => socket.end())
  })
}
