/**
 * The recent end of a log that may be huge or freshly rotated: a small piece first, a larger one only when the time
 * asked for reaches further back, and the rotated predecessor when the log itself is too young. What a line means, and
 * how its time is written, is the caller's business.
 */
import type { HostReader } from '../../host/types.ts'

export interface LogTail {
  /** Whole lines, oldest first; one character per byte (latin1), so that no byte sequence is slow or refused. */
  readonly text: string
  /** True when the text reaches back to the moment asked for, or to the beginning of all there is. */
  readonly complete: boolean
  /** The rotated file that was read too. */
  readonly rotated?: string
  readonly bytesRead: number
}

export interface LogTailOptions {
  /** How far back, in milliseconds since the epoch. */
  readonly sinceMs: number
  /** Now, for the names of dated rotations. */
  readonly now: number
  /** The time of one line; undefined for a line that has none. */
  readonly timeOf: (line: string) => number | undefined
  /** Bytes kept at most. */
  readonly maxBytes: number
  readonly signal?: AbortSignal
}

/** Holds some minutes of most logs, and comes over SSH in one go. */
const FIRST_BYTES = 512 * 1024

/** Lines at the beginning that are asked for their time: a log may start in the middle of a multi-line message. */
const LINES_TO_DATE = 50

/** @returns undefined when there is no such file; NOT_PERMITTED and the like are thrown */
export async function readLogTail(
  host: HostReader,
  path: string,
  options: LogTailOptions,
): Promise<LogTail | undefined> {
  const first = await readEnd(host, path, Math.min(FIRST_BYTES, options.maxBytes), options)
  if (!first) return undefined
  const needsMore = first.cut && !reachesBack(first.text, options) && options.maxBytes > FIRST_BYTES
  const end = (needsMore ? await readEnd(host, path, options.maxBytes, options) : first) ?? first
  const bytesRead = end === first ? first.bytes : first.bytes + end.bytes
  if (end.cut || reachesBack(end.text, options)) {
    return { text: end.text, complete: !end.cut || reachesBack(end.text, options), bytesRead }
  }
  const before = await readRotated(host, path, options.maxBytes - end.bytes, options)
  if (!before) return { text: end.text, complete: true, bytesRead }
  return {
    text: before.text + end.text,
    complete: !before.cut || reachesBack(before.text, options),
    rotated: before.path,
    bytesRead: bytesRead + before.bytes,
  }
}

/** The lines of a text, without building them all at once. */
export function* linesOf(text: string): Generator<string> {
  let start = 0
  while (start < text.length) {
    const end = text.indexOf('\n', start)
    const stop = end === -1 ? text.length : end
    yield text.slice(start, stop)
    start = stop + 1
  }
}

interface End {
  readonly text: string
  /** True when the file holds more before this. */
  readonly cut: boolean
  readonly bytes: number
}

async function readEnd(
  host: HostReader,
  path: string,
  maxBytes: number,
  { signal }: Pick<LogTailOptions, 'signal'>,
): Promise<End | undefined> {
  const bytes = await host.get(path, { maxBytes, tail: true, ...(signal && { signal }) })
  if (!bytes) return undefined
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
  const cut = bytes.byteLength >= maxBytes
  return { text: cut ? text.slice(text.indexOf('\n') + 1) : text, cut, bytes: bytes.byteLength }
}

/** logrotate's usual names: `.1`, and with `dateext` the day of the rotation. Compressed ones are older than any window. */
async function readRotated(
  host: HostReader,
  path: string,
  maxBytes: number,
  options: LogTailOptions,
): Promise<(End & { path: string }) | undefined> {
  if (maxBytes <= 0) return undefined
  const day = new Date(options.now).toISOString().slice(0, 10).replaceAll('-', '')
  for (const candidate of [`${path}.1`, `${path}-${day}`]) {
    const small = await readEnd(host, candidate, Math.min(FIRST_BYTES, maxBytes), options)
    if (!small) continue
    const enough = !small.cut || reachesBack(small.text, options) || maxBytes <= FIRST_BYTES
    const end = enough ? small : ((await readEnd(host, candidate, maxBytes, options)) ?? small)
    return { ...end, path: candidate }
  }
  return undefined
}

function reachesBack(text: string, { sinceMs, timeOf }: LogTailOptions): boolean {
  let tried = 0
  for (const line of linesOf(text)) {
    const at = timeOf(line)
    if (at !== undefined) return at < sinceMs
    tried += 1
    if (tried >= LINES_TO_DATE) return false
  }
  return false
}
