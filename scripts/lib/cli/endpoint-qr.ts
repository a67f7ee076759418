/** `endpoint qr`: the list as a QR code, in the terminal or as an SVG file. */
import { OpsError } from '../core/errors.ts'
import { formatQr, type QrForm } from '../endpoint/client/document.ts'
import type { EndpointList } from '../endpoint/client/types.ts'
import { openContext, type CommonFlags, type OpenedContext } from './context.ts'
import { print, wantsColor, writeOutput } from './output.ts'

export interface QrFlags extends CommonFlags {
  readonly form: QrForm
  readonly file?: string
  readonly room?: string
  readonly output?: string
  /** The text of the code alone. */
  readonly text?: boolean
}

export async function qr(flags: QrFlags, signal: AbortSignal): Promise<void> {
  await using context = await openContext(flags, { looksOnly: true, signal })
  const list = flags.file === undefined ? await readOwn(context) : await readFileList(flags.file, context)
  const text = formatQr({ ...list, ...(flags.room !== undefined && { roomId: flags.room }) }, flags.form)
  if (flags.json || flags.text) return print(text)
  const { default: qrcode } = await import('qrcode')
  if (flags.output !== undefined) {
    await writeOutput(flags.output, await qrcode.toString(text, { type: 'svg', margin: 4 }))
    return print(`written to ${flags.output}`)
  }
  // Colours make it black on white whatever the terminal's own are, as a scanner wants it.
  const drawn = await qrcode.toString(text, wantsColor() ? { type: 'terminal', small: true } : { type: 'utf8' })
  await print(drawn)
}

async function readOwn({ config, journal }: OpenedContext): Promise<EndpointList> {
  const { listedEndpoints, readLists } = await import('../endpoint/state.ts')
  const { lists, problem } = readLists(journal, config.endpoint)
  if (problem !== undefined) throw new OpsError('DATA_MISMATCH', problem)
  const [api, socketio] = [
    listedEndpoints(lists, 'api', config.endpoint),
    listedEndpoints(lists, 'socketio', config.endpoint),
  ]
  if (api.length + socketio.length > 0) return { api, socketio }
  throw new OpsError('USAGE', 'there are no endpoints to put into a QR code', {
    hint: 'Add one, or name the file of a list: --file config/endpoints.txt',
  })
}

/** The list as the service would serve it. @throws OpsError DATA_MISMATCH when the file has errors */
async function readFileList(file: string, { config }: OpenedContext): Promise<EndpointList> {
  const [{ readList }, { lintEndpointFile, formatProblem }, { convertEndpoints, readEnvironment }] = await Promise.all([
    import('../endpoint/action-look.ts'),
    import('../endpoint/file/lint.ts'),
    import('../endpoint/file/convert.ts'),
  ])
  const linted = lintEndpointFile(await readList(file))
  const errors = linted.problems.filter(({ severity }) => severity === 'error')
  if (errors.length > 0) {
    throw new OpsError('DATA_MISMATCH', errors.map((problem) => formatProblem(problem, file)).join('\n'), {
      hint: `npx zx scripts/endpoint.ts check --file ${file}`,
    })
  }
  const { serve } = config.endpoint
  const base = {
    protocol: serve.protocol,
    apiPath: serve.api_path,
    socketPath: serve.socket_path,
    defaultPort: serve.default_port,
  }
  const document = convertEndpoints(linted.file, readEnvironment(process.env, base).settings)
  return { api: document.api_endpoints, socketio: document.socketio_endpoints }
}
