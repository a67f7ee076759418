/**
 * Follows the file of the list: reads it when it changes (its directory entry is looked at twice a second, which sees
 * replaced files, symbolic links and network file systems too), and keeps the last good list whatever happens to it.
 */
import { open, stat } from 'node:fs/promises'
import type { Clock } from '../../core/clock.ts'
import { messageOf, OpsError, systemCode } from '../../core/errors.ts'
import { formatProblem, lintEndpointFile, MAX_FILE_BYTES, type LintedFile } from '../file/lint.ts'
import type { EndpointFile } from '../file/parse.ts'
import { countHosts, decideList } from './decide.ts'

export interface ListSourceOptions {
  readonly path: string
  readonly allowEmpty: boolean
  readonly clock: Clock
  /** The last good list of an earlier run, and where to keep the next one. */
  readonly kept: { read(): string | undefined; write(text: string): void }
  /** Called for each list that is taken over. */
  readonly onList: (file: EndpointFile) => void
  readonly log: { info(message: string): void; warn(message: string): void }
}

export interface ListSource {
  /** Reads the file now, changed or not. */
  reload(): Promise<void>
  stop(): Promise<void>
}

const LOOK_EVERY_MS = 500
/** Whoever writes a file in place needs a moment between emptying and filling it. */
const SETTLE_MS = 100
const SETTLE_TRIES = 20

/** @throws OpsError CONFIG_INVALID when there is neither a good file nor a good list from before */
export async function startListSource(options: ListSourceOptions): Promise<ListSource> {
  const { path, clock, log } = options
  let served: string | undefined
  let mark: string | undefined
  let queue: Promise<void> = Promise.resolve()
  const stopped = new AbortController()

  const take = (text: string, linted: LintedFile) => {
    served = text
    options.onList(linted.file)
  }
  const keep = (text: string) => {
    try {
      options.kept.write(text)
    } catch (error) {
      log.warn(`the list is served, but could not be kept for the next start: ${messageOf(error)}`)
    }
  }
  const load = async () => {
    const read = await readSettled(path, clock, stopped.signal)
    mark = read.mark
    const linted = read.text === undefined ? undefined : lintEndpointFile(read.text)
    const { take: isTaken, because } = decideList({ text: read.text, linted, served, allowEmpty: options.allowEmpty })
    if (isTaken && read.text !== undefined && linted) {
      take(read.text, linted)
      keep(read.text)
      for (const problem of linted.problems) log.warn(formatProblem(problem, path))
      log.info(`${path}: ${countHosts(linted)} hosts are served, because ${because}`)
    } else if (read.text === undefined || read.text !== served) {
      log.warn(`${path}: not taken, because ${read.problem ?? because}; the last good list stays`)
      for (const problem of linted?.problems ?? []) log.warn(formatProblem(problem, path))
    }
  }
  const reload = () => (queue = queue.then(load, load))
  const watch = async () => {
    while (!stopped.signal.aborted) {
      await clock.sleep(LOOK_EVERY_MS, stopped.signal).catch(() => undefined)
      if (!stopped.signal.aborted && (await readMark(path)) !== mark) await reload()
    }
  }

  await reload()
  if (served === undefined) {
    const before = options.kept.read()
    const linted = before === undefined ? undefined : lintEndpointFile(before)
    if (before === undefined || !linted) throw await refuse(options)
    take(before, linted)
    log.warn(`${path}: the list that was served last is used: ${countHosts(linted)} hosts`)
  }
  const watching = watch()
  return {
    reload,
    async stop() {
      stopped.abort()
      await watching
      await queue
    },
  }
}

interface ReadFile {
  readonly text: string | undefined
  readonly mark: string
  /** Why there is no text. */
  readonly problem?: string
}

/** Reads until the file has not changed while it was read and for a moment after. */
async function readSettled(path: string, clock: Clock, signal: AbortSignal): Promise<ReadFile> {
  for (let attempt = 1; ; attempt += 1) {
    const before = await readMark(path)
    const read = await readOnce(path)
    await clock.sleep(SETTLE_MS, signal).catch(() => undefined)
    const mark = await readMark(path)
    if (mark === before || attempt === SETTLE_TRIES || signal.aborted) return { ...read, mark }
  }
}

/** What changes whenever the file does: another file, another size, another time. */
async function readMark(path: string): Promise<string> {
  try {
    const { ino, dev, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true })
    return `${dev}:${ino}:${size}:${mtimeNs}:${ctimeNs}`
  } catch (error) {
    return systemCode(error) ?? 'unknown'
  }
}

async function readOnce(path: string): Promise<Omit<ReadFile, 'mark'>> {
  try {
    await using file = await open(path, 'r')
    const buffer = Buffer.alloc(MAX_FILE_BYTES + 1)
    let size = 0
    for (let bytesRead = 1; bytesRead > 0 && size < buffer.length; size += bytesRead) {
      ;({ bytesRead } = await file.read(buffer, size, buffer.length - size, size))
    }
    if (size > MAX_FILE_BYTES) return { text: undefined, problem: `it is larger than ${MAX_FILE_BYTES / 1024} KiB` }
    return { text: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(buffer.subarray(0, size)) }
  } catch (error) {
    const code = systemCode(error)
    return {
      text: undefined,
      problem: code === 'ERR_ENCODING_INVALID_ENCODED_DATA' ? 'it is not UTF-8' : `${code ?? 'it cannot be read'}`,
    }
  }
}

async function refuse({ path }: ListSourceOptions): Promise<OpsError> {
  const { text, problem } = await readOnce(path)
  const problems = text === undefined ? [] : lintEndpointFile(text).problems
  const lines = problems.filter(({ severity }) => severity === 'error').map((one) => formatProblem(one, path))
  const message = lines.length > 0 ? lines.join('\n') : `${path}: ${problem ?? 'it names no host'}`
  return new OpsError('CONFIG_INVALID', message, {
    place: `${path}:${problems[0]?.line ?? 1}:1`,
    hint: 'endpoint.ts check --file FILE shows every problem; --allow-empty serves an empty list.',
  })
}
