/**
 * The engine sends stdout and stderr of a command in one stream, in frames: one byte for which, three of zero, four for the
 * length (Docker Engine API, "Stream format"). Split here with back-pressure, which the client library's own splitter lacks.
 */
import { PassThrough, Writable, type Readable } from 'node:stream'

const HEADER_BYTES = 8
const STDERR = 2

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

/** The text of both streams as they were interleaved; bytes that are no whole frame are taken as text. */
export function demultiplex(output: Buffer): string {
  const parts: Buffer[] = []
  let at = 0
  while (at + HEADER_BYTES <= output.length) {
    const framed = (output[at] ?? 0) <= 2 && output[at + 1] === 0 && output[at + 2] === 0 && output[at + 3] === 0
    if (!framed) break
    const end = at + HEADER_BYTES + output.readUInt32BE(at + 4)
    parts.push(output.subarray(at + HEADER_BYTES, end))
    at = end
  }
  if (at < output.length) parts.push(output.subarray(at))
  return Buffer.concat(parts).toString('utf8')
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
