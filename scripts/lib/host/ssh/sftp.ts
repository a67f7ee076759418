/**
 * File transfer over the SFTP subsystem, for accounts that may do nothing else too. SFTP protocol version 3
 * (draft-ietf-secsh-filexfer-02) with OpenSSH's fsync where the server has it.
 */
import { open } from 'node:fs/promises'
import { posix } from 'node:path'
import type { FileEntryWithStats, SFTPWrapper, Stats } from 'ssh2'
import { messageOf, OpsError } from '../../core/errors.ts'
import { raceAbort } from '../deadline.ts'
import type { SftpSession, TransferOptions } from '../types.ts'

/** Every server must take packets of 32 KiB of data. */
const PACKET_BYTES = 32 * 1024
/** Packets on the way at once: 2 MiB fill a link of 100 Mbit/s with a round trip of 160 ms. */
const IN_FLIGHT = 64

/** Status codes of the protocol, section 7. */
const NO_SUCH_FILE = 2
const PERMISSION_DENIED = 3
const EOF = 1

type Callback<T> = (error: Error | null | undefined, value: T) => void

export function openSftp(sftp: SFTPWrapper, host: string): SftpSession {
  const gone = Promise.withResolvers<never>()
  gone.promise.catch(() => undefined)
  sftp.on('error', () => undefined)
  sftp.once('close', () => gone.reject(lost(host)))

  const call = <T>(what: string, start: (done: Callback<T>) => void): Promise<T> => {
    const answer = new Promise<T>((resolve, reject) => {
      start((error, value) => (error ? reject(asOpsError(error, what, host)) : resolve(value)))
    })
    return Promise.race([answer, gone.promise])
  }
  const stat = async (path: string): Promise<Stats | undefined> => {
    try {
      return await call<Stats>(`looking at ${path}`, (done) => sftp.stat(path, done))
    } catch (error) {
      if (codeOf((error as Error).cause) === NO_SUCH_FILE) return undefined
      throw error
    }
  }
  const makeDirectory = async (path: string): Promise<void> => {
    if (path === '/' || path === '.' || path === '') return
    if (await stat(path)) return
    await makeDirectory(posix.dirname(path))
    await call<void>(`making ${path}`, (done) => sftp.mkdir(path, { mode: 0o700 }, (error) => done(error)))
  }
  const openRemote = (path: string, flags: 'r' | 'w' | 'r+') =>
    call<Buffer>(`opening ${path}`, (done) => sftp.open(path, flags, { mode: 0o600 }, done))
  const closeRemote = (path: string, handle: Buffer) =>
    call<void>(`closing ${path}`, (done) => sftp.close(handle, (error) => done(error)))

  return {
    async stat(path) {
      const facts = await stat(path)
      return facts && { sizeBytes: facts.size, isDirectory: facts.isDirectory() }
    },
    async list(path) {
      if (!(await stat(path))?.isDirectory()) return []
      const entries = await call<FileEntryWithStats[]>(`listing ${path}`, (done) => sftp.readdir(path, done))
      return entries.map(({ filename }) => filename).sort()
    },
    makeDirectory,
    async upload(localPath, path, { fromByte = 0, signal, onBytes }) {
      const handle = await openRemote(path, fromByte === 0 ? 'w' : 'r+')
      const write = (chunk: Buffer, position: number) =>
        call<void>(`writing ${path}`, (done) => {
          sftp.write(handle, chunk, 0, chunk.length, position, (error) => done(error))
        })
      await raceAbort(sendFile(localPath, { fromByte, signal, onBytes }, write), signal)
      await call<void>(`syncing ${path}`, (done) => sync(sftp, handle, done))
      await closeRemote(path, handle)
    },
    async *download(path, { fromByte = 0, signal, onBytes }) {
      const handle = await openRemote(path, 'r')
      let position = fromByte
      for (;;) {
        signal.throwIfAborted()
        const chunk = await raceAbort(
          call<Buffer>(`reading ${path}`, (done) => readSome(sftp, handle, position, done)),
          signal,
        )
        if (chunk.length === 0) break
        position += chunk.length
        onBytes?.(position)
        yield chunk
      }
      await closeRemote(path, handle)
    },
    rename: (from, to) => call(`renaming ${from}`, (done) => sftp.rename(from, to, (error) => done(error, undefined))),
    async remove(path) {
      const facts = await stat(path)
      if (!facts) return
      await call<void>(`removing ${path}`, (done) => {
        if (facts.isDirectory()) sftp.rmdir(path, (error) => done(error))
        else sftp.unlink(path, (error) => done(error))
      })
    },
    close: () => sftp.end(),
  }
}

/** Reads the local file in order and keeps a window of packets on the way. */
async function sendFile(
  localPath: string,
  {
    fromByte = 0,
    signal,
    onBytes,
  }: { [K in keyof TransferOptions]: TransferOptions[K] | undefined } & { signal: AbortSignal },
  write: (chunk: Buffer, position: number) => Promise<void>,
): Promise<void> {
  const file = await open(localPath, 'r')
  const onTheWay = new Set<Promise<void>>()
  let arrived = fromByte
  try {
    for (let position = fromByte; ;) {
      signal.throwIfAborted()
      const chunk = Buffer.allocUnsafe(PACKET_BYTES)
      const { bytesRead } = await file.read(chunk, 0, PACKET_BYTES, position)
      if (bytesRead === 0) break
      const writing = write(chunk.subarray(0, bytesRead), position).then(() => {
        onTheWay.delete(writing)
        arrived += bytesRead
        onBytes?.(arrived)
      })
      // A failure is met at the next wait; it must not be unheard until then.
      writing.catch(() => undefined)
      onTheWay.add(writing)
      position += bytesRead
      if (onTheWay.size >= IN_FLIGHT) await Promise.race(onTheWay)
    }
    await Promise.all(onTheWay)
  } finally {
    await file.close()
  }
}

function readSome(sftp: SFTPWrapper, handle: Buffer, position: number, done: Callback<Buffer>): void {
  const buffer = Buffer.allocUnsafe(PACKET_BYTES)
  sftp.read(handle, buffer, 0, PACKET_BYTES, position, (error, bytesRead) => {
    if (error && codeOf(error) === EOF) done(null, Buffer.alloc(0))
    else done(error, buffer.subarray(0, bytesRead))
  })
}

/** Servers without the extension keep what they keep; OpenSSH has it. */
function sync(sftp: SFTPWrapper, handle: Buffer, done: Callback<void>): void {
  try {
    sftp.ext_openssh_fsync(handle, (error) => done(error))
  } catch {
    done(null)
  }
}

function codeOf(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined
  return typeof error.code === 'number' ? error.code : undefined
}

function lost(host: string): OpsError {
  return new OpsError('UNREACHABLE', `the connection to ${host} was lost`, { host, transient: true })
}

function asOpsError(error: Error, what: string, host: string): OpsError {
  const code = codeOf(error)
  if (code === PERMISSION_DENIED) {
    return new OpsError('NOT_PERMITTED', `${what} on ${host}: permission denied`, { host, cause: error })
  }
  if (code === undefined)
    return new OpsError('UNREACHABLE', `${what} on ${host}: ${messageOf(error)}`, {
      host,
      cause: error,
      transient: true,
    })
  return new OpsError(code === NO_SUCH_FILE ? 'FAILED' : 'CANNOT_WRITE', `${what} on ${host}: ${messageOf(error)}`, {
    host,
    cause: error,
  })
}
