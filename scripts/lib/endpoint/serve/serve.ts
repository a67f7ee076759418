/** `endpoint serve`: the list's file and its HTTP service, put together until the operator stops it. */
import { resolve } from 'node:path'
import type { ActionContext } from '../../action/types.ts'
import { convertEndpoints, formatDocument, readEnvironment, type ConvertSettings } from '../file/convert.ts'
import { startListServer, type ListServer } from './server.ts'
import { startListSource } from './source.ts'

/** What flags say; undefined leaves it to the environment, then to the config. */
export interface ServeRequest {
  readonly file?: string | undefined
  readonly address?: string | undefined
  readonly port?: number | undefined
  readonly allowEmpty?: boolean | undefined
  readonly env: NodeJS.ProcessEnv
}

export interface ServedList {
  readonly url: string
  /** Reads the file again; the list stays when it is no good. */
  reload(): Promise<void>
  stop(): Promise<void>
}

const KEPT = 'endpoint.served.'

/** @throws OpsError CONFIG_INVALID (no good list), CANNOT_WRITE or NOT_PERMITTED (the port) */
export async function startServe(
  { config, journal, clock, log, resolveSecret }: ActionContext,
  request: ServeRequest,
): Promise<ServedList> {
  const { serve } = config.endpoint
  const base: ConvertSettings = {
    protocol: serve.protocol,
    apiPath: serve.api_path,
    socketPath: serve.socket_path,
    defaultPort: serve.default_port,
  }
  const fromEnv = readEnvironment(request.env, base)
  for (const warning of fromEnv.warnings) log.warn(warning)
  // The name under which the last good list is kept must not depend on where opskit was started.
  const path = resolve(request.file ?? (fromEnv.file || serve.file))
  let server: ListServer | undefined
  let body = ''
  const source = await startListSource({
    path,
    allowEmpty: request.allowEmpty ?? serve.allow_empty,
    clock,
    kept: {
      read: () => keptText(journal.getState(KEPT + path)),
      write: (text) =>
        journal.transaction(() => {
          journal.setState(KEPT + path, text)
          journal.record({
            kind: 'endpoint.served',
            message: `the list ${path} is served`,
            details: { bytes: text.length },
          })
        }),
    },
    onList(file) {
      body = formatDocument(convertEndpoints(file, fromEnv.settings))
      server?.setBody(body)
    },
    log,
  })
  try {
    server = await startListServer({
      address: request.address ?? serve.address,
      port: request.port ?? serve.port,
      path: serve.path,
      service: serve.service,
      version: serve.version,
      body,
      ...(serve.token && { token: await resolveSecret(serve.token) }),
    })
    server.setBody(body)
  } catch (error) {
    await source.stop()
    throw error
  }
  const running = server
  return {
    url: `${running.url}${serve.path}`,
    reload: () => source.reload(),
    async stop() {
      await source.stop()
      await running.stop()
    },
  }
}

function keptText(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}
