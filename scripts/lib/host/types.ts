/**
 * One door to machines: what a local, an SSH and a container host all offer.
 *
 * `HostReader` can look and cannot change; planners and probes get nothing more. `Host` is what an applied step gets.
 * One contract suite (test/host/contract.ts) runs against every implementation.
 */
import type { Duplex, Readable, Writable } from 'node:stream'
import type { Argv } from '../core/quote.ts'

export type { Argv } from '../core/quote.ts'

export interface RunOptions {
  /** Milliseconds until the command and its children are killed. Default 30,000. */
  readonly timeoutMs?: number
  /** Written to the command's stdin, which is then closed. Without it stdin is empty. Secrets go here, never into argv. */
  readonly input?: string | Uint8Array
  /** Added to the environment of the command. Not for secrets over SSH: use `input`. */
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  readonly signal?: AbortSignal
  /** Bytes kept of stdout and of stderr, each; the rest is read and dropped (`truncated` says so). Default 8 MiB. */
  readonly maxOutputBytes?: number
  /** Exit codes that are an answer. `'any'` (the default of `read`): every code. Default of `run`: `[0]`; others throw FAILED. */
  readonly okCodes?: readonly number[] | 'any'
}

export interface RunResult {
  readonly argv: Argv
  /** Always a number: a command that was killed or gave no status is an OpsError, not a result. */
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
  readonly durationMs: number
  /** True when output beyond `maxOutputBytes` was dropped. */
  readonly truncated: boolean
}

export interface GetOptions {
  /** Bytes read at most. Default 64 MiB; a larger file throws unless `tail` is set. */
  readonly maxBytes?: number
  /** Read the last `maxBytes` of a larger file in place of refusing it. */
  readonly tail?: boolean
  readonly signal?: AbortSignal
  readonly timeoutMs?: number
}

export interface PutOptions {
  /** Permission bits of a new file, e.g. 0o640. An existing file keeps its own mode and owner unless this is given. */
  readonly mode?: number
  readonly signal?: AbortSignal
  readonly timeoutMs?: number
}

export interface CommandStream {
  /** A chunk is done with when its callback is called: its buffer may then be used again. */
  readonly stdin: Writable
  readonly stdout: Readable
  /** Resolves with the exit status when both streams are done; `stdout` of the result is empty, `stderr` is kept (bounded). */
  readonly done: Promise<RunResult>
}

/** File transfer with a machine that may offer nothing else: SFTP, for accounts without a shell too. */
export interface SftpSession {
  /** @returns undefined when there is nothing at that path */
  stat(path: string): Promise<{ readonly sizeBytes: number; readonly isDirectory: boolean } | undefined>
  /** Names in a directory, sorted; empty when there is none. */
  list(path: string): Promise<string[]>
  /** With its parents; nothing happens when it is there. Mode 0700. */
  makeDirectory(path: string): Promise<void>
  /** Writes the rest of a local file behind `fromByte` of the far one, which is created (mode 0600) when that is 0; fsynced. */
  upload(localPath: string, path: string, options: TransferOptions): Promise<void>
  /** The bytes of a far file, in order. */
  download(path: string, options: TransferOptions): AsyncIterable<Uint8Array>
  rename(from: string, to: string): Promise<void>
  /** A file or an empty directory; nothing happens when there is none. */
  remove(path: string): Promise<void>
  close(): void
}

export interface TransferOptions {
  readonly fromByte?: number
  readonly signal: AbortSignal
  /** Bytes of the whole file that are over. */
  readonly onBytes?: (bytes: number) => void
}

export type HostKind = 'local' | 'ssh' | 'container'

export interface HostReader {
  /** The host's opskit name; `localhost` for this machine. */
  readonly name: string
  readonly kind: HostKind
  /**
   * Runs a command that only looks. Any exit code is an answer.
   * @throws OpsError TIMEOUT, UNREACHABLE, MISSING_TOOL (program not found), NOT_PERMITTED, FAILED (killed, no status)
   */
  read(argv: Argv, options?: RunOptions): Promise<RunResult>
  /**
   * A file's bytes.
   * @returns undefined when there is no such file
   * @throws OpsError NOT_PERMITTED, UNREACHABLE, FAILED (a directory, too large)
   */
  get(path: string, options?: GetOptions): Promise<Uint8Array | undefined>
}

export interface Host extends HostReader {
  /** Runs a command that may change the machine. A non-zero exit throws FAILED with the redacted end of stderr. */
  run(argv: Argv, options?: RunOptions): Promise<RunResult>
  /** Starts a command and hands over its streams, with back-pressure in both directions. */
  stream(argv: Argv, options?: Omit<RunOptions, 'input' | 'maxOutputBytes'>): Promise<CommandStream>
  /**
   * Replaces a file whole: writes beside the target (through a symbolic link: beside what it points to), fsyncs,
   * keeps owner and mode, renames. Never half-written, whatever happens.
   * @throws OpsError CANNOT_WRITE, NOT_PERMITTED, UNREACHABLE
   */
  put(path: string, data: Uint8Array | string, options?: PutOptions): Promise<void>
  /**
   * A connection to a Unix socket on that machine (its Docker engine); absent where the kind of host has none.
   * @throws OpsError MISSING_TOOL (no such socket), NOT_PERMITTED, UNREACHABLE (nobody listens)
   */
  readonly connect?: (socketPath: string, signal?: AbortSignal) => Promise<Duplex>
  /**
   * File transfer, as the log-in user (without sudo); absent where the kind of host has none.
   * @throws OpsError UNREACHABLE, NOT_PERMITTED (the server offers no SFTP)
   */
  readonly sftp?: (signal: AbortSignal) => Promise<SftpSession>
  close(): Promise<void>
}

/** Opens hosts by name, each at most once, and closes them together. */
export interface Hosts {
  /** @throws OpsError USAGE for an unknown name (with the nearest), UNREACHABLE, NOT_PERMITTED, HOST_KEY */
  open(name: string, options?: { signal?: AbortSignal }): Promise<Host>
  /** The configured names, without `localhost`. */
  names(): readonly string[]
  close(): Promise<void>
}
