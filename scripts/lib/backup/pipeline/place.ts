/**
 * Where a source's own tools run: on this machine, over SSH or in a container, with one interface.
 *
 * Here a tool is spawned with real descriptors; elsewhere it goes through `host.stream`. What a tool must know and nobody
 * may see (a password) reaches it as descriptor 3: a file of mode 0600 that is unlinked before the tool starts, so that it
 * is in no argument list, no environment and, whatever is killed, in no directory. A pipe would not do: libpq refuses one,
 * and MariaDB's tools open the path again. `credentialPath` is how the tool finds it.
 */
import { open, rm, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { PassThrough, type Readable, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { isOpsError, OpsError } from '../../core/errors.ts'
import type { Argv } from '../../core/quote.ts'
import type { CommandStream, Host } from '../../host/types.ts'
import { missingTool, type Redact } from './failure.ts'
import { openBulkReader } from './reader.ts'
import { inLargeWrites, withoutWrapper } from './programs.ts'
import { release, startProcess, type ProcessEnd } from './process.ts'
import { makePrivateDirectory } from './private.ts'

export const CREDENTIAL_PATH = '/dev/fd/3'

export interface ToolSpec {
  readonly argv: Argv
  readonly env?: Readonly<Record<string, string>>
  /** Becomes what CREDENTIAL_PATH holds. */
  readonly credentials?: string
  /** Give the tool an input to write to; without it stdin is empty. */
  readonly wantsInput?: boolean
  /** A sink's input: the bytes go there and `output` is absent. */
  readonly into?: Writable
  /** It prints very much: read it with `each`. */
  readonly bulk?: boolean
}

export interface Tool {
  readonly input: Writable
  /** Absent when it goes into a sink, and of a bulk tool. */
  readonly output: Readable | undefined
  /** Hands the output over piece by piece; a piece is only valid until `take` resolves. */
  each(take: (bytes: Buffer) => Promise<void>): Promise<void>
  readonly ended: Promise<ToolEnd>
  readonly kill: () => void
}

/** `error`: the way to the tool broke, or its time was up; then nothing is known of the tool itself. */
export interface ToolEnd extends ProcessEnd {
  readonly error?: OpsError
}

export interface Place {
  readonly host: string
  readonly redact: Redact
  start(spec: ToolSpec): Promise<Tool>
}

export interface PlaceOptions {
  readonly host: Host
  readonly redact: Redact
  readonly signal: AbortSignal
  /** Milliseconds any one tool may take. */
  readonly timeoutMs: number
}

export function openPlace(options: PlaceOptions): Place {
  const { host, redact } = options
  const start = host.kind === 'local' ? startHere : startThere
  return {
    host: host.name,
    redact,
    start(spec) {
      options.signal.throwIfAborted()
      return start(spec, options)
    },
  }
}

/** Settings of the operator's shell that would change what a tool does or where it connects. */
const FOREIGN_ENV = /^(?:PG|MYSQL|MARIADB|LC_|LANG)/

async function startHere(spec: ToolSpec, { signal }: PlaceOptions): Promise<Tool> {
  const file = spec.credentials === undefined ? undefined : await openUnlinked(spec.credentials)
  const reader = spec.bulk && !spec.into ? await openBulkReader() : undefined
  const clean = Object.fromEntries(Object.entries(process.env).filter(([key]) => !FOREIGN_ENV.test(key)))
  try {
    const argv = await withoutWrapper(spec.argv, spec.env)
    const stage = startProcess({
      argv: spec.bulk ? await inLargeWrites(argv) : argv,
      env: { ...clean, LC_ALL: 'C.UTF-8', ...spec.env },
      stdin: spec.wantsInput ? 'pipe' : 'ignore',
      stdout: spec.into ?? reader?.writer ?? 'pipe',
      ...(file ? { extraFd: file.fd } : {}),
    })
    if (spec.into) release(spec.into)
    signal.addEventListener('abort', stage.kill, { once: true })
    void stage.ended.then(() => signal.removeEventListener('abort', stage.kill))
    return {
      input: stage.input ?? new PassThrough().resume(),
      output: stage.output,
      each: reader?.each ?? ((take) => eachPiece(stage.output, take)),
      ended: stage.ended.then((end) => ({ ...end, program: spec.argv[0] })),
      kill: stage.kill,
    }
  } finally {
    if (reader) release(reader.writer)
    // Not awaited: what a tool that ends at once has said is lost when nobody listens in the same turn.
    void file?.close().catch(() => undefined)
  }
}

async function openUnlinked(text: string): Promise<FileHandle> {
  const dir = await makePrivateDirectory()
  try {
    const file = await open(join(dir, 'c'), 'wx+', 0o600)
    await file.writeFile(text)
    return file
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

/** $1 is the number of bytes on stdin that are the credentials; then the command. 73 and 127 as in sysexits and POSIX. */
const FAR_SCRIPT = `n=$1
shift
command -v "$1" >/dev/null 2>&1 || exit 127
LC_ALL=C.UTF-8
export LC_ALL
if [ "$n" -gt 0 ]; then
umask 077
d=$(mktemp -d /dev/shm/opskit-XXXXXX 2>/dev/null) || d=$(mktemp -d) || exit 73
trap 'rm -rf "$d"' 0 1 2 15
dd bs=1 count="$n" of="$d/c" 2>/dev/null && exec 3<"$d/c" || exit 73
rm -rf "$d"
trap - 0 1 2 15
fi
exec "$@"`

async function startThere(spec: ToolSpec, { host, signal, timeoutMs }: PlaceOptions): Promise<Tool> {
  const credentials = Buffer.from(spec.credentials ?? '')
  const abort = new AbortController()
  const stream = await host.stream(['sh', '-c', FAR_SCRIPT, 'opskit', String(credentials.length), ...spec.argv], {
    okCodes: 'any',
    timeoutMs,
    signal: AbortSignal.any([signal, abort.signal]),
    ...(spec.env ? { env: spec.env } : {}),
  })
  stream.stdin.on('error', () => undefined)
  if (credentials.length > 0) stream.stdin.write(credentials)
  if (!spec.wantsInput) stream.stdin.end()
  const carried = spec.into && pipeline(stream.stdout, spec.into).catch(() => undefined)
  const ended = endOf(stream, spec.argv[0]).then(async (end) => (await carried, end))
  return {
    input: stream.stdin,
    output: spec.into ? undefined : stream.stdout,
    each: (take) => eachPiece(stream.stdout, take),
    ended,
    kill: () => abort.abort(new OpsError('INTERRUPTED', `${spec.argv[0]} was stopped`)),
  }
}

async function eachPiece(output: Readable | undefined, take: (bytes: Buffer) => Promise<void>): Promise<void> {
  // A stream that breaks is the end of its tool, which says why.
  const pieces = (output ?? []) as AsyncIterable<Buffer>
  for await (const piece of pieces) await take(piece)
}

async function endOf({ done }: CommandStream, program: string): Promise<ToolEnd> {
  try {
    const { exitCode, stderr } = await done
    return { program, code: exitCode, signal: null, stderr }
  } catch (error) {
    const known = isOpsError(error) ? error : new OpsError('FAILED', `${program} was cut off`, { cause: error })
    return { program, code: null, signal: null, stderr: '', error: known }
  }
}

const OUTPUT_KEPT = 4 * 1024 ** 2

/**
 * Runs a short tool to its end.
 * @throws OpsError MISSING_TOOL; any other end is an answer
 */
export async function runTool(place: Place, spec: ToolSpec): Promise<ToolEnd & { readonly stdout: string }> {
  const tool = await place.start(spec)
  let stdout = ''
  tool.output?.setEncoding('utf8').on('data', (text: string) => {
    if (stdout.length < OUTPUT_KEPT) stdout += text
  })
  tool.output?.on('error', () => undefined)
  const end = await tool.ended
  if (end.cannotStart === 'missing' || end.code === 127) throw missingTool(spec.argv[0], place.host)
  if (end.error) throw end.error
  return { ...end, stdout }
}
