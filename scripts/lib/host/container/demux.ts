/**
 * The engine sends stdout and stderr of a command in one stream, in frames: one byte for which, three of zero, four for the
 * length (Docker Engine API, "Stream format"). Split here with back-pressure, which the client library's own splitter lacks.
 */
import { PassThrough, Writable, type Readable } from 'node:stream'

const HEADER_BYTES = 8
const STDERR = 2
const NEWLINE = 0x0a

export interface Demuxed {
  readonly stdout: Readable
  readonly stderr: Readable
}

export function demux(source: Readable): Demuxed {
  const stdout = new PassThrough()
  const stderr = new PassThrough()
  let header = Buffer.alloc(0)
  let left = 0
  let sink = stdout

  async function consume(chunk: Buffer): Promise<void> {
    let rest = chunk
    while (rest.length > 0) {
      if (left === 0) {
        const taken = rest.subarray(0, HEADER_BYTES - header.length)
        header = Buffer.concat([header, taken])
        rest = rest.subarray(taken.length)
        if (header.length < HEADER_BYTES) return
        sink = header[0] === STDERR ? stderr : stdout
        left = header.readUInt32BE(4)
        header = Buffer.alloc(0)
        continue
      }
      const part = rest.subarray(0, left)
      rest = rest.subarray(part.length)
      left -= part.length
      if (!sink.write(part)) await drained(sink)
    }
  }

  const splitter = new Writable({
    write: (chunk: Buffer, _encoding, done) => void consume(chunk).then(() => done(), done),
  })
  const end = () => {
    splitter.end(() => {
      stdout.end()
      stderr.end()
    })
  }
  source.once('end', end).once('close', end).once('error', end)
  source.pipe(splitter, { end: false })
  return { stdout, stderr }
}

/**
 * The text of both streams, line by line in the order in which the lines ended: a long line comes in several frames, and
 * what the other stream says meanwhile does not break into it. A line without an end comes last, and bytes that are no
 * whole frame are taken as text.
 */
export function demultiplex(output: Buffer): string {
  const lines: Buffer[] = []
  const begun = new Map<number, Buffer[]>()
  let at = 0
  while (at + HEADER_BYTES <= output.length) {
    const stream = output[at] ?? 0
    if (stream > STDERR || output.readUIntBE(at + 1, 3) !== 0) break
    const end = at + HEADER_BYTES + output.readUInt32BE(at + 4)
    const text = output.subarray(at + HEADER_BYTES, end)
    const whole = text.lastIndexOf(NEWLINE) + 1
    const before = begun.get(stream) ?? []
    if (whole > 0) lines.push(...before, text.subarray(0, whole))
    begun.set(stream, [...(whole > 0 ? [] : before), ...(whole < text.length ? [text.subarray(whole)] : [])])
    at = end
  }
  const rest = [...begun.values(), [output.subarray(at)]].map((parts) => Buffer.concat(parts).toString())
  return Buffer.concat(lines).toString() + rest.filter((line) => line !== '').join('\n')
}

/** Also when the reader went away: then the rest is dropped. */
function drained(stream: PassThrough): Promise<void> {
  return new Promise((resolve) => {
    if (stream.destroyed) return resolve()
    const done = () => {
      stream.off('drain', done).off('close', done)
      resolve()
    }
    stream.on('drain', done).on('close', done)
  })
}
