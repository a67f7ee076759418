/**
 * The streams that `stream()` hands out: of their own, so that stdout ends well only once the command is known to have,
 * a dead command fails whoever still writes to it, and nobody's leaving blocks the command.
 *
 * What is written is done with when its callback is called, not before: whoever writes may then use the buffer again. (A
 * PassThrough would say so when it has handed the buffer on, which may be long before its bytes are on their way.)
 */
import { PassThrough, Writable, type Readable } from 'node:stream'
import type { Running } from './running.ts'

export interface Pipes {
  readonly stdin: Writable
  readonly stdout: Readable
  /** When everything of stdout has gone into the pipe. */
  readonly read: Promise<void>
  /** Lets the command run dry, when nobody will read it to its end. */
  readonly abandon: () => void
  readonly end: () => void
  readonly fail: (error: unknown) => void
}

export function openPipes(running: Running): Pipes {
  const stdin = new Writable({
    write: (chunk: Buffer, _encoding, done) => void running.stdin.write(chunk, done),
    final: (done) => {
      running.stdin.end()
      done()
    },
  })
  const stdout = new PassThrough()
  running.stdin.on('error', (error) => stdin.destroy(error))
  stdin.on('error', () => running.stdin.end())
  running.stdout.pipe(stdout, { end: false })
  const abandon = () => {
    running.stdout.unpipe(stdout)
    running.stdout.resume()
  }
  // `done` tells of errors; a reader need not listen for them here.
  stdout.on('error', () => undefined).once('close', abandon)
  const read = new Promise<void>((resolve) => {
    for (const event of ['end', 'error', 'close']) running.stdout.once(event, () => resolve())
  })
  const release = () => {
    if (!stdin.writableFinished) stdin.destroy()
  }
  return {
    stdin,
    stdout,
    read,
    abandon,
    end: () => {
      release()
      stdout.end()
    },
    fail: (error) => {
      release()
      stdout.destroy(error as Error)
    },
  }
}
